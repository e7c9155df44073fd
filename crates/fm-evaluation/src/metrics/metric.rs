//! The interface of metrics on features.

use crate::extract::Extractor;
use crate::measured::Measured;
use fm_metrics::estimate::Estimate;
use fm_metrics::moments::Gaussian;
use ndarray::ArrayView2;
use serde_json::{Value, json};

/// Inputs of a metric.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Features of the samples.
    pub features: bool,
    /// Class logits of the samples.
    pub logits: bool,
    /// Features of the real images.
    pub real_features: bool,
    /// Mean and covariance of the real images' features; they require more samples than features.
    pub real_gaussian: bool,
}

/// A metric of samples on the features of one extractor.
pub trait FeatureMetric {
    fn needs(&self) -> Needs;

    /// # Errors
    /// Features for which the metric is undefined.
    fn measure(&self, on: &OnFeatures<'_>) -> anyhow::Result<Vec<Measured>>;
}

/// Samples and real images as values of one extractor. Inputs that are not needed are empty.
pub struct OnFeatures<'a> {
    /// The extractor.
    pub extractor: &'a Extractor,
    /// Number of samples.
    pub count: usize,
    /// Features of the samples, (N, D).
    pub samples: ArrayView2<'a, f32>,
    /// Class logits of the samples, (N, C).
    pub logits: ArrayView2<'a, f32>,
    /// Features of the real images, (M, D).
    pub real: ArrayView2<'a, f32>,
    /// Mean and covariance of the features of the real images.
    pub gaussian: Option<&'a Gaussian>,
}

impl OnFeatures<'_> {
    /// A result named `NAME-EXTRACTOR`, with its settings.
    pub fn named(&self, name: &str, label: String, value: Estimate, how: Value) -> Measured {
        Measured {
            key: format!("{name}-{}", self.extractor.name()),
            label,
            value: Ok(value),
            protocol: json!({ "extractor": self.extractor.describe(), "how": how }),
        }
    }

    /// The extractor's name for a label. Inception weights other than FID's include their hash.
    pub fn suffix(&self) -> String {
        let (key, name) = (self.extractor.key(), self.extractor.name());
        if key.starts_with("inception") && !self.extractor.is_fids() {
            return format!("{name}[{}]", key.rsplit('-').next().unwrap_or_default());
        }
        name.to_string()
    }
}
