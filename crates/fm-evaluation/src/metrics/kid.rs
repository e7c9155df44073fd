//! The kernel inception distance.

use super::metric::{FeatureMetric, Needs, OnFeatures};
use crate::measured::Measured;
use fm_metrics::kid::{Subsets, kid};
use serde_json::json;

pub(super) struct KernelDistance;

impl FeatureMetric for KernelDistance {
    fn needs(&self) -> Needs {
        Needs { features: true, real_features: true, ..Needs::default() }
    }

    fn measure(&self, on: &OnFeatures<'_>) -> anyhow::Result<Vec<Measured>> {
        let subsets = Subsets::default();
        let found = kid(on.samples, on.real, &subsets)?;
        let how =
            json!({ "kernel": "(x y / d + 1)^3", "subsets": found.count, "size": found.size, "seed": subsets.seed });
        Ok(vec![on.named("kid", format!("KID-{}", on.suffix()), found.estimate(), how)])
    }
}
