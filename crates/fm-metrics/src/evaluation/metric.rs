//! A metric of an evaluation: a name and a function of samples and a reference.
//!
//! ```
//! use fm_metrics::evaluation::SampleMetric;
//! use fm_metrics::{MetricError, sliced::sliced_wasserstein};
//! let metric = SampleMetric::new("sliced_1", |x, y| sliced_wasserstein(x, y, 1, 100, 0));
//! let x = ndarray::array![[0.0f32], [1.0]];
//! let found = metric.compute(x.view(), (&x + 2.0).view())?;
//! assert_eq!((found[0].name.as_str(), found[0].estimate.value), ("sliced_1", 2.0));
//! # Ok::<(), MetricError>(())
//! ```

use crate::MetricError;
use crate::estimate::Estimate;
use crate::inception_score::Score;
use crate::kid::Kid;
use crate::manifold::Manifold;
use crate::nearest::CopyReport;
use ndarray::ArrayView2;
use std::fmt;

/// A number that a metric computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    /// The name of the metric if it computes one number, otherwise the number's own name.
    pub name: String,
    /// The number, with its standard error if known, otherwise NaN.
    pub estimate: Estimate,
}

/// The result of a metric: one number or several.
pub trait Values {
    /// The numbers; a number without a name gets the name of the metric.
    fn quantities(self, metric: &str) -> Vec<Quantity>;
}

impl Values for f64 {
    fn quantities(self, metric: &str) -> Vec<Quantity> {
        Estimate::new(self, None).quantities(metric)
    }
}

impl Values for Estimate {
    fn quantities(self, metric: &str) -> Vec<Quantity> {
        vec![Quantity { name: metric.to_owned(), estimate: self }]
    }
}

impl Values for Manifold {
    fn quantities(self, _: &str) -> Vec<Quantity> {
        let named = [
            ("precision", self.precision),
            ("recall", self.recall),
            ("density", self.density),
            ("coverage", self.coverage),
        ];
        named.map(|(name, estimate)| Quantity { name: name.to_owned(), estimate }).into()
    }
}

impl Values for Kid {
    fn quantities(self, metric: &str) -> Vec<Quantity> {
        self.estimate().quantities(metric)
    }
}

impl Values for Score {
    fn quantities(self, metric: &str) -> Vec<Quantity> {
        Estimate::new(self.mean, self.deviation).quantities(metric)
    }
}

impl Values for CopyReport {
    fn quantities(self, metric: &str) -> Vec<Quantity> {
        self.rate.quantities(metric)
    }
}

impl Values for Vec<Quantity> {
    fn quantities(self, _: &str) -> Vec<Quantity> {
        self
    }
}

type Compute<'a, T> =
    dyn Fn(ArrayView2<'_, T>, ArrayView2<'_, T>) -> Result<Vec<Quantity>, MetricError> + Send + Sync + 'a;

/// A metric of samples (n, d) against a reference (m, d).
pub struct SampleMetric<'a, T = f32> {
    name: String,
    compute: Box<Compute<'a, T>>,
}

impl<'a, T> SampleMetric<'a, T> {
    /// A metric from its name and a function of samples and reference. An error type from outside
    /// this crate becomes a [`MetricError::Own`].
    pub fn new<V: Values>(
        name: impl Into<String>,
        compute: impl Fn(ArrayView2<'_, T>, ArrayView2<'_, T>) -> Result<V, MetricError> + Send + Sync + 'a,
    ) -> Self {
        let name = name.into();
        let metric = name.clone();
        Self { name, compute: Box::new(move |x, y| Ok(compute(x, y)?.quantities(&metric))) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Computes the metric.
    ///
    /// # Errors
    /// Errors of its function.
    pub fn compute(
        &self,
        samples: ArrayView2<'_, T>,
        reference: ArrayView2<'_, T>,
    ) -> Result<Vec<Quantity>, MetricError> {
        (self.compute)(samples, reference)
    }
}

impl<T> fmt::Debug for SampleMetric<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SampleMetric").field("name", &self.name).finish_non_exhaustive()
    }
}
