//! The Fréchet distance between Gaussians fitted to features; FID if the extractor is FID's.

use super::metric::{FeatureMetric, Needs, OnFeatures};
use crate::extract::{Extractor, Protocol};
use crate::measured::Measured;
use fm_metrics::estimate::group;
use fm_metrics::frechet;
use fm_metrics::moments::{Gaussian, Moments};
use ndarray::{ArrayView2, Axis, s};
use serde_json::json;

/// Number of groups for the jackknife error.
const GROUPS: usize = 10;
/// Rows whose products are summed at a time.
const ROWS: usize = 4096;

pub(super) struct FrechetDistance;

impl FeatureMetric for FrechetDistance {
    fn needs(&self) -> Needs {
        Needs { features: true, real_gaussian: true, ..Needs::default() }
    }

    fn measure(&self, on: &OnFeatures<'_>) -> anyhow::Result<Vec<Measured>> {
        let Some(gaussian) = on.gaussian else { return Ok(Vec::new()) };
        let value = frechet::estimate(gaussian, &grouped(on.samples)?)?;
        let how = json!({ "covariance": "n - 1", "error": format!("jackknife over {GROUPS} groups of samples") });
        if on.extractor.is_fids() {
            return Ok(vec![Measured { key: "fid".into(), ..on.named("fd", fids_name(on.extractor), value, how) }]);
        }
        Ok(vec![on.named("fd", format!("FD-{}", on.suffix()), value, how)])
    }
}

/// Sums over rows.
fn moments(rows: ArrayView2<'_, f32>) -> anyhow::Result<Moments> {
    let mut moments = Moments::like(rows.slice(s![..rows.nrows().min(ROWS), ..]))?;
    for part in rows.axis_chunks_iter(Axis(0), ROWS) {
        moments.add(part)?;
    }
    Ok(moments)
}

/// The mean and covariance of features.
pub fn gaussian(rows: ArrayView2<'_, f32>) -> anyhow::Result<Gaussian> {
    Ok(moments(rows)?.gaussian()?)
}

/// Sums over each group of adjacent rows, all relative to one reference point.
fn grouped(rows: ArrayView2<'_, f32>) -> anyhow::Result<Vec<Moments>> {
    let empty = Moments::like(rows.slice(s![..rows.nrows().min(ROWS), ..]))?;
    let of = |k: usize| {
        let mut sums = empty.empty();
        for part in rows.slice(s![group(rows.nrows(), GROUPS, k), ..]).axis_chunks_iter(Axis(0), ROWS) {
            sums.add(part)?;
        }
        Ok(sums)
    };
    (0..GROUPS).map(of).collect()
}

/// The name of FID under an extractor's preparation; plain "FID" is that of pytorch-fid.
fn fids_name(extractor: &Extractor) -> String {
    match extractor {
        Extractor::Inception { protocol: Protocol::CleanFid, .. } => format!("FID ({})", Protocol::CleanFid),
        _ => "FID".into(),
    }
}
