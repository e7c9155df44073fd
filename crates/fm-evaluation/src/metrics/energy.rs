//! The energy distance D^2 = 2 E|x - y| - E|x - x'| - E|y - y'| between samples and real images.

use super::metric::{FeatureMetric, Needs, OnFeatures};
use crate::measured::Measured;
use fm_metrics::energy::energy_distance;
use fm_metrics::estimate::Estimate;
use serde_json::json;

pub(super) struct EnergyDistance;

impl FeatureMetric for EnergyDistance {
    fn needs(&self) -> Needs {
        Needs { features: true, real_features: true, ..Needs::default() }
    }

    fn measure(&self, on: &OnFeatures<'_>) -> anyhow::Result<Vec<Measured>> {
        let value = Estimate::new(energy_distance(on.samples, on.real)?, None);
        let how = json!({ "norm": "Euclidean", "real": on.real.nrows() });
        Ok(vec![on.named("energy", format!("energy-{}", on.suffix()), value, how)])
    }
}
