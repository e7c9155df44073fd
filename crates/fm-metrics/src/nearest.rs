//! Nearest neighbours: class agreement and memorisation.
//!
//! *Class agreement* is the share of samples whose nearest real point (Euclidean, in data space) has the class that was asked
//! for. *Copies* are samples that lie closer to a training point than the 1st percentile of the distances from each training
//! point to its nearest other one; about 1 % of fresh real data would be called copies too.
//!
//! ```
//! use fm_metrics::nearest::{class_agreement, copy_rate};
//! use ndarray::array;
//! let real = array![[0.0f32], [1.0], [3.0], [7.0]];
//! let samples = array![[0.1f32], [6.0], [6.9]];
//! assert_eq!(class_agreement(samples.view(), &[0, 1, 0], real.view(), &[0, 0, 1, 1])?, 2.0 / 3.0);
//! // Nearest distances among the real points are 1, 1, 2 and 4; their 1st percentile is 1.
//! let report = copy_rate(samples.view(), real.view())?;
//! assert_eq!((report.threshold, report.rate), (1.0, 2.0 / 3.0));
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use ndarray::{ArrayView1, ArrayView2};

/// The nearest point of a reference set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its row.
    pub index: usize,
    /// Its Euclidean distance, in the unit of the data.
    pub distance: f64,
}

/// How many samples are copies of training data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CopyReport {
    /// Distance below which a sample counts as a copy.
    pub threshold: f64,
    /// Share of the samples that do.
    pub rate: f64,
}

/// The nearest row of `reference` for each row of `samples`; the first of equals.
///
/// # Errors
/// Different dimensions, or an empty reference.
pub fn nearest(samples: ArrayView2<'_, f32>, reference: ArrayView2<'_, f32>) -> Result<Vec<Neighbour>, MetricError> {
    search(samples, reference, |_, _| true)
}

/// The share of samples whose nearest reference row has the class that was asked for.
///
/// # Errors
/// As [`nearest`]; also without samples.
pub fn class_agreement(
    samples: ArrayView2<'_, f32>,
    asked: &[u16],
    reference: ArrayView2<'_, f32>,
    classes: &[u16],
) -> Result<f64, MetricError> {
    let hits = nearest(samples, reference)?;
    at_least("class agreement", 1, hits.len().min(asked.len()))?;
    let right = hits.iter().zip(asked).filter(|(hit, class)| classes.get(hit.index) == Some(class)).count();
    Ok(right as f64 / hits.len() as f64)
}

/// The share of samples that copy a training point, by the rule above.
///
/// # Errors
/// As [`nearest`]; also with fewer than two training points or no samples.
pub fn copy_rate(samples: ArrayView2<'_, f32>, training: ArrayView2<'_, f32>) -> Result<CopyReport, MetricError> {
    at_least("the copy rate", 2, training.nrows())?;
    at_least("the copy rate", 1, samples.nrows())?;
    let mut real: Vec<f64> = search(training, training, |i, j| i != j)?.iter().map(|n| n.distance).collect();
    real.sort_by(f64::total_cmp);
    let threshold = percentile(&real, 0.01);
    let copies = nearest(samples, training)?.iter().filter(|n| n.distance < threshold).count();
    Ok(CopyReport { threshold, rate: copies as f64 / samples.nrows() as f64 })
}

/// Linear interpolation between order statistics, as NumPy's default percentile.
fn percentile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (low, fraction) = (position.floor() as usize, position.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + fraction * (sorted[high] - sorted[low])
}

fn search(
    samples: ArrayView2<'_, f32>,
    reference: ArrayView2<'_, f32>,
    admit: impl Fn(usize, usize) -> bool,
) -> Result<Vec<Neighbour>, MetricError> {
    let (left, right) = (samples.ncols(), reference.ncols());
    if left != right {
        return Err(MetricError::Dimension { left, right });
    }
    at_least("a nearest neighbour", 1, reference.nrows())?;
    let closest = |i: usize, x: ArrayView1<'_, f32>| {
        let mut best = Neighbour { index: 0, distance: f64::INFINITY };
        for (index, y) in reference.rows().into_iter().enumerate().filter(|(j, _)| admit(i, *j)) {
            let squared = x.iter().zip(&y).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            if f64::from(squared) < best.distance {
                best = Neighbour { index, distance: f64::from(squared) };
            }
        }
        Neighbour { distance: best.distance.sqrt(), ..best }
    };
    Ok(samples.rows().into_iter().enumerate().map(|(i, x)| closest(i, x)).collect())
}

pub(crate) fn at_least(what: &'static str, least: usize, got: usize) -> Result<(), MetricError> {
    if got < least { Err(MetricError::TooFew { what, least, got }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn training_data_itself_is_all_copies_and_far_data_none() {
        let real = Array2::from_shape_fn((50, 3), |(i, j)| ((i * 31 + j * 17) % 23) as f32 + i as f32);
        assert_eq!(copy_rate(real.view(), real.view()).unwrap().rate, 1.0);
        assert_eq!(copy_rate((&real + 1000.0).view(), real.view()).unwrap().rate, 0.0);
    }

    /// numpy.percentile([1, 2, 4, 8], [1, 50, 90]) = 1.03, 3, 6.8
    #[test]
    fn percentile_is_numpys() {
        for (q, want) in [(0.01, 1.03), (0.5, 3.0), (0.9, 6.8), (0.0, 1.0), (1.0, 8.0)] {
            assert!((percentile(&[1., 2., 4., 8.], q) - want).abs() < 1e-12);
        }
    }

    #[test]
    fn misuse_is_an_error() {
        let (one, two) = (array![[0f32]], array![[0f32, 0.0]]);
        assert_eq!(nearest(one.view(), two.view()), Err(MetricError::Dimension { left: 1, right: 2 }));
        assert!(matches!(copy_rate(one.view(), one.view()), Err(MetricError::TooFew { least: 2, .. })));
        assert!(matches!(nearest(one.view(), Array2::zeros((0, 1)).view()), Err(MetricError::TooFew { .. })));
    }
}
