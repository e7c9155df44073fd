//! The inception score: exp of the mean KL divergence between a classifier's predictions and their
//! mean.

use super::metric::{FeatureMetric, Needs, OnFeatures};
use crate::measured::Measured;
use fm_metrics::estimate::Estimate;
use fm_metrics::inception_score::inception_score;
use serde_json::json;

const SPLITS: usize = 10;

pub(super) struct InceptionScore;

impl FeatureMetric for InceptionScore {
    fn needs(&self) -> Needs {
        Needs { logits: true, ..Needs::default() }
    }

    fn measure(&self, on: &OnFeatures<'_>) -> anyhow::Result<Vec<Measured>> {
        let score = inception_score(on.logits, SPLITS)?;
        let value = Estimate::new(score.mean, score.deviation);
        let how = json!({ "splits": score.splits, "error": "standard deviation over splits" });
        Ok(vec![on.named("is", format!("IS-{}", on.suffix()), value, how)])
    }
}
