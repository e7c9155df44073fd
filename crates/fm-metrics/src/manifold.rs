//! Precision and recall, density and coverage of samples, from neighbourhoods of features.
//!
//! Each point has a ball whose radius is the distance to its k-th nearest neighbour on the same
//! side. *Precision*: the share of samples in some real point's ball. *Recall*: the share of real
//! points in some sample's ball. *Density*: the mean number of real points' balls that contain a
//! sample, divided by k; may exceed 1. *Coverage*: the share of real points whose nearest sample is
//! in their ball. Each is a mean over points; its standard error takes the balls as fixed. Source:
//! Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models"
//! (2019), k = 3; Naeem et al., "Reliable fidelity and diversity metrics for generative models"
//! (2020), k = 5.
//!
//! ```
//! use fm_metrics::manifold::manifold;
//! use ndarray::array;
//! let real = array![[0.0f32], [1.0], [2.0], [10.0]];
//! let samples = array![[0.5f32], [0.6], [20.0], [30.0]];
//! let m = manifold(samples.view(), real.view(), 1)?;
//! // Radii 1, 1, 1 and 8 around real points; .1, .1, 10 and 10 around samples. Balls are open.
//! assert_eq!((m.precision.value, m.recall.value), (0.5, 0.0));
//! // .5 and .6 are in the balls of 0 and 1; 10's nearest sample is 9.4 away.
//! assert_eq!((m.density.value, m.coverage.value), (1.0, 0.5));
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::blocks::{self, BLOCK, Block};
use crate::checks::{at_least, comparable, count};
use crate::estimate::{Estimate, mean};
use crate::points::{Points, Scalar};
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::ops::Range;

/// Precision, recall, density and coverage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manifold {
    /// Share of samples that look real.
    pub precision: Estimate,
    /// Share of real points that samples could represent.
    pub recall: Estimate,
    /// Density of real points around the samples.
    pub density: Estimate,
    /// Share of real points that samples cover.
    pub coverage: Estimate,
}

/// All four metrics of samples (n, d) and real points (m, d), with balls to the k-th neighbour.
///
/// # Errors
/// Different dimensions, k or fewer rows on a side, k of 0, values that are not finite.
pub fn manifold<T: Scalar>(
    samples: ArrayView2<'_, T>,
    real: ArrayView2<'_, T>,
    k: usize,
) -> Result<Manifold, MetricError> {
    between(samples.into(), real.into(), k)
}

fn between(samples: Points<'_>, real: Points<'_>, k: usize) -> Result<Manifold, MetricError> {
    comparable("precision and recall", 1, samples, real)?;
    count("the number of neighbours", 1, usize::MAX, k)?;
    for (set, rows) in [("samples", samples.nrows()), ("reference rows", real.nrows())] {
        at_least("precision and recall of that many neighbours", set, k.saturating_add(1), rows)?;
    }
    let (balls, reach) = (kth_neighbour(real, k)?, kth_neighbour(samples, k)?);
    let about = blocks::amid(real);
    // For a block of real points: the number of balls that contain each sample and, per point,
    // whether it is in a sample's ball and whether its own ball contains a sample.
    let block = |rows: Range<usize>| {
        let (mut within, mut recalled, mut covered) =
            (vec![0u32; samples.nrows()], vec![0.0; rows.len()], vec![0.0; rows.len()]);
        blocks::for_each(&Block::new(real.rows(rows.clone()), &about), samples, &about, |first, squared| {
            for ((i, j), d) in squared.indexed_iter() {
                if *d < balls[rows.start + i] {
                    within[first + j] += 1;
                    covered[i] = 1.0;
                }
                if *d < reach[first + j] {
                    recalled[i] = 1.0;
                }
            }
        })?;
        Ok((within, recalled, covered))
    };
    let parts = ranges(real.nrows()).into_par_iter().map(block).collect::<Result<Vec<_>, MetricError>>()?;
    let (mut within, mut recalled, mut covered) = (vec![0u32; samples.nrows()], Vec::new(), Vec::new());
    for (part, recall, cover) in parts {
        within.iter_mut().zip(part).for_each(|(sum, n)| *sum += n);
        recalled.extend(recall);
        covered.extend(cover);
    }
    let of = |f: &dyn Fn(u32) -> f64| mean(&within.iter().map(|n| f(*n)).collect::<Vec<_>>());
    Ok(Manifold {
        precision: of(&|n| f64::from(u8::from(n > 0))),
        recall: mean(&recalled),
        density: of(&|n| f64::from(n) / k as f64),
        coverage: mean(&covered),
    })
}

/// The squared distance of each row to its k-th nearest other row.
fn kth_neighbour(rows: Points<'_>, k: usize) -> Result<Vec<f64>, MetricError> {
    let about = blocks::amid(rows);
    let block = |range: Range<usize>| {
        let mut nearest = vec![vec![f64::INFINITY; k]; range.len()];
        blocks::for_each(&Block::new(rows.rows(range.clone()), &about), rows, &about, |first, squared| {
            for ((i, j), d) in squared.indexed_iter() {
                let kept = &mut nearest[i];
                if *d < kept[k - 1] && range.start + i != first + j {
                    let place = kept.partition_point(|other| other <= d);
                    kept.pop();
                    kept.insert(place, *d);
                }
            }
        })?;
        Ok(nearest.into_iter().map(|kept| kept[k - 1]).collect::<Vec<_>>())
    };
    Ok(ranges(rows.nrows()).into_par_iter().map(block).collect::<Result<Vec<_>, MetricError>>()?.concat())
}

/// The rows, divided into blocks.
pub(crate) fn ranges(rows: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(BLOCK).map(|start| start..rows.min(start + BLOCK)).collect()
}
