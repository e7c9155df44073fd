//! Evaluations: a list of metrics, computed on samples and a reference, as one report.
//!
//! Samples are (n, d) and the reference (m, d), f32 or f64. If a metric fails, or its value is not
//! finite, its error is part of the report, and the other metrics are still computed. Rows with a
//! declared [space](crate::space) are compared only with rows of the same space. Units and sources
//! are those of each metric's module.
//!
//! ```
//! use fm_metrics::evaluation::{Evaluation, SampleMetric, energy_distance, precision_recall};
//! use ndarray::{Array2, Axis};
//! let reference = Array2::from_shape_fn((20, 2), |(i, j)| ((7 * i + 3 * j) % 11) as f64);
//! let shift = SampleMetric::new("mean_shift", |x, y| {
//!     Ok((x.mean_axis(Axis(0)).unwrap_or_default() - y.mean_axis(Axis(0)).unwrap_or_default())[0])
//! });
//! let report = Evaluation::new([energy_distance(), precision_recall(50), shift]).run(&(&reference + 100.0), &reference);
//! assert!(report.value("mean_shift").is_some_and(|d| (d - 100.0).abs() < 1e-9));
//! assert!(report.value("energy_distance").is_some_and(|d| (d / 275.0 - 1.0).abs() < 0.02));
//! let (name, error) = report.errors().next().ok_or("no error")?;
//! assert_eq!(name, "precision_recall");
//! assert!(error.to_string().contains("at least 51 points, got 20"));
//! # Ok::<(), &str>(())
//! ```

mod metric;
mod named;
mod report;

pub use metric::{Quantity, SampleMetric, Values};
pub use named::{
    copy_rate, energy_distance, frechet_distance, kid, mmd, nearest_neighbour_accuracy, precision_recall,
    sliced_wasserstein,
};
pub use report::{Entry, Report};

use crate::MetricError;
use crate::checks::same_space;
use crate::points::Scalar;
use crate::space::Labelled;
use ndarray::ArrayView2;

/// A list of metrics that are computed together.
#[derive(Debug)]
pub struct Evaluation<'a, T = f32> {
    metrics: Vec<SampleMetric<'a, T>>,
}

impl<'a, T: Scalar> Evaluation<'a, T> {
    /// An evaluation with these metrics, in this order.
    pub fn new(metrics: impl IntoIterator<Item = SampleMetric<'a, T>>) -> Self {
        Self { metrics: metrics.into_iter().collect() }
    }

    /// Computes every metric of samples (n, d) against a reference (m, d). Errors are part of the
    /// report; if the dimensions of the sides differ, every metric has that error.
    pub fn run<'v>(&self, samples: impl Into<ArrayView2<'v, T>>, reference: impl Into<ArrayView2<'v, T>>) -> Report
    where
        T: 'v,
    {
        let (samples, reference) = (samples.into(), reference.into());
        self.entries(|metric| {
            same_space(samples.ncols(), reference.ncols())?;
            metric.compute(samples, reference).and_then(finite)
        })
    }

    /// [`run`](Self::run) for rows whose [spaces](crate::space) are known: if shapes or ranges of
    /// values differ, every metric has that error.
    pub fn run_in(&self, samples: &Labelled<'_, T>, reference: &Labelled<'_, T>) -> Report {
        self.entries(|metric| {
            samples.same_space(reference)?;
            metric.compute(samples.rows(), reference.rows()).and_then(finite)
        })
    }

    fn entries(&self, compute: impl Fn(&SampleMetric<'a, T>) -> Result<Vec<Quantity>, MetricError>) -> Report {
        let entry = |metric| Entry { metric: SampleMetric::name(metric).to_owned(), outcome: compute(metric) };
        Report { entries: self.metrics.iter().map(entry).collect() }
    }
}

/// Fails if a number is NaN or infinite.
fn finite(quantities: Vec<Quantity>) -> Result<Vec<Quantity>, MetricError> {
    match quantities.iter().find(|quantity| !quantity.estimate.value.is_finite()) {
        Some(Quantity { name, estimate }) => Err(MetricError::Undefined { name: name.clone(), value: estimate.value }),
        None => Ok(quantities),
    }
}
