//! Precision and recall, density and coverage: the samples in neighbourhoods of real images, and
//! vice versa.

use super::metric::{FeatureMetric, Needs, OnFeatures};
use crate::extract::Extractor;
use crate::measured::Measured;
use fm_metrics::manifold::manifold;
use ndarray::{Array2, ArrayView2, Axis};
use serde_json::json;

/// The fractions of 16 and of 255 levels are whole multiples of one over this number.
const WHOLE: f32 = 16.0 * 255.0;

/// Two values based on k-nearest-neighbour balls.
pub(super) struct ManifoldMetric {
    neighbours: usize,
    names: [&'static str; 2],
}

/// The 3rd neighbour, as in the paper.
pub(super) const PRECISION_RECALL: ManifoldMetric = ManifoldMetric { neighbours: 3, names: ["precision", "recall"] };
/// The 5th neighbour, as in the paper.
pub(super) const DENSITY_COVERAGE: ManifoldMetric = ManifoldMetric { neighbours: 5, names: ["density", "coverage"] };

impl FeatureMetric for ManifoldMetric {
    fn needs(&self) -> Needs {
        Needs { features: true, real_features: true, ..Needs::default() }
    }

    fn measure(&self, on: &OnFeatures<'_>) -> anyhow::Result<Vec<Measured>> {
        let mut real = alike(on.real, on.count);
        let mut samples = on.samples.to_owned();
        if matches!(on.extractor, Extractor::Pixels { .. }) {
            // Distances of pixels have many ties, which the rounding of fractions would break.
            [&mut samples, &mut real].into_iter().for_each(|rows| rows.mapv_inplace(|v| (v * WHOLE).round()));
        }
        let m = manifold(samples.view(), real.view(), self.neighbours)?;
        let values = if self.names[0] == "precision" { [m.precision, m.recall] } else { [m.density, m.coverage] };
        let how = json!({
            "neighbours": self.neighbours, "real": real.nrows(), "error": "of a mean over points, neighbourhoods given",
        });
        let one = |(name, value)| on.named(name, format!("{name}-{}", on.suffix()), value, how.clone());
        Ok(self.names.into_iter().zip(values).map(one).collect())
    }
}

/// As many rows as samples, evenly spaced, because neighbourhoods shrink as rows become more.
fn alike(rows: ArrayView2<'_, f32>, count: usize) -> Array2<f32> {
    let n = rows.nrows().min(count);
    rows.select(Axis(0), &(0..n).map(|i| i * rows.nrows() / n.max(1)).collect::<Vec<_>>())
}
