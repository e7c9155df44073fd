//! Nearest neighbours: class agreement and memorisation.
//!
//! *Class agreement* is the share of samples whose nearest real point (Euclidean, in data space)
//! has the requested class. *Copies* are samples closer to a training point than the 1st percentile
//! of the distances from each training point to its nearest other training point (of at most
//! [`PROBED`] training points). About 1 % of new real data would also count as copies.
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
use crate::blocks::{self, Block};
use crate::checks::{at_least, same_space, sized, usable};
use crate::distances::spaced;
use crate::manifold::ranges;
use crate::points::{Points, Scalar};
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::ops::Range;

/// Maximum number of training points whose nearest neighbour is searched to determine the copy
/// threshold.
pub const PROBED: usize = 2000;

/// The nearest point of a reference set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its row.
    pub index: usize,
    /// Its Euclidean distance, in the unit of the data.
    pub distance: f64,
}

/// The share of samples that are copies of training data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CopyReport {
    /// Distance below which a sample counts as a copy.
    pub threshold: f64,
    /// Share of samples below this distance.
    pub rate: f64,
}

/// The nearest row of `reference` for each row of `samples`; the first one on ties. References may
/// be bytes: pixels are compared exactly.
///
/// # Errors
/// Different dimensions, an empty reference, values that are not finite.
#[doc(alias = "NearestNeighbors")]
#[doc(alias = "cKDTree")]
#[doc(alias = "kneighbors")]
pub fn nearest<S: Scalar, T: Scalar>(
    samples: ArrayView2<'_, S>,
    reference: ArrayView2<'_, T>,
) -> Result<Vec<Neighbour>, MetricError> {
    nearest_of(samples.into(), reference.into())
}

fn nearest_of(samples: Points<'_>, reference: Points<'_>) -> Result<Vec<Neighbour>, MetricError> {
    same_space(samples.ncols(), reference.ncols())?;
    usable("samples", samples)?;
    search(samples, reference, None)
}

/// The share of samples whose nearest reference row has the requested class.
///
/// # Errors
/// As [`nearest`]; also no samples, or a number of labels that does not match the rows.
#[doc(alias = "KNeighborsClassifier")]
pub fn class_agreement<S: Scalar, T: Scalar>(
    samples: ArrayView2<'_, S>,
    asked: &[u16],
    reference: ArrayView2<'_, T>,
    classes: &[u16],
) -> Result<f64, MetricError> {
    same_space(samples.ncols(), reference.ncols())?;
    for (set, labels, rows) in
        [("samples", asked.len(), samples.nrows()), ("reference", classes.len(), reference.nrows())]
    {
        if labels != rows {
            return Err(MetricError::Labels { set, labels, rows });
        }
    }
    at_least("class agreement", "samples", 1, samples.nrows())?;
    let hits = nearest(samples, reference)?;
    let right = hits.iter().zip(asked).filter(|(hit, class)| classes.get(hit.index) == Some(class)).count();
    Ok(right as f64 / hits.len() as f64)
}

/// The share of samples that copy a training point, as defined above.
///
/// # Errors
/// As [`nearest`]; also with fewer than two training points or no samples.
pub fn copy_rate<T: Scalar>(
    samples: ArrayView2<'_, T>,
    training: ArrayView2<'_, T>,
) -> Result<CopyReport, MetricError> {
    let (samples, training) = (Points::from(samples), Points::from(training));
    same_space(samples.ncols(), training.ncols())?;
    at_least("the copy rate", "samples", 1, samples.nrows())?;
    usable("samples", samples)?;
    let threshold = threshold(training)?;
    let copies = nearest_of(samples, training)?.iter().filter(|n| n.distance < threshold).count();
    Ok(CopyReport { threshold, rate: copies as f64 / samples.nrows() as f64 })
}

/// The 1st percentile of the distances from training points to their nearest other training points,
/// from at most [`PROBED`] evenly spaced points.
///
/// # Errors
/// Fewer than two training points, or values that are not finite or whose squares are not.
pub fn copy_threshold<T: Scalar>(training: ArrayView2<'_, T>) -> Result<f64, MetricError> {
    threshold(training.into())
}

fn threshold(training: Points<'_>) -> Result<f64, MetricError> {
    at_least("the copy rate", "training rows", 2, training.nrows())?;
    usable("reference", training)?;
    let probed: Vec<usize> = spaced(training.nrows(), training.nrows().min(PROBED));
    let rows = training.select(&probed);
    let mut distances: Vec<f64> =
        search(rows.view().into(), training, Some(&probed))?.iter().map(|n| n.distance).collect();
    distances.sort_by(f64::total_cmp);
    Ok(percentile(&distances, 0.01))
}

/// Linear interpolation between order statistics, as NumPy's default percentile.
fn percentile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (low, fraction) = (position.floor() as usize, position.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + fraction * (sorted[high] - sorted[low])
}

/// If `own` is given, sample i is not compared with row `own[i]`.
fn search(samples: Points<'_>, reference: Points<'_>, own: Option<&[usize]>) -> Result<Vec<Neighbour>, MetricError> {
    at_least("a nearest neighbour", "reference rows", 1, reference.nrows())?;
    sized("reference", reference.dim())?;
    let about = blocks::amid(reference);
    let block = |rows: Range<usize>| {
        let mut best = vec![(f64::INFINITY, 0); rows.len()];
        let some = Block::new(samples.rows(rows.clone()), &about);
        blocks::for_each(&some, reference, &about, |first, squared| {
            for ((i, j), d) in squared.indexed_iter() {
                if *d < best[i].0 && own.is_none_or(|own| own[rows.start + i] != first + j) {
                    best[i] = (*d, first + j);
                }
            }
        })?;
        // The distance is computed from the differences, which is cheap and accurate.
        let exact = |(i, (_, index)): (usize, (f64, usize))| Neighbour {
            index,
            distance: samples.distance(rows.start + i, &reference, index),
        };
        Ok(best.into_iter().enumerate().map(exact).collect::<Vec<_>>())
    };
    // Each block reads the reference rows in order, so all blocks fail at the same row.
    Ok(ranges(samples.nrows()).into_par_iter().map(block).collect::<Result<Vec<_>, MetricError>>()?.concat())
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

    /// Across block sizes, compared with a plain search; whole numbers give ties, and the first of
    /// equals counts.
    #[test]
    fn blocks_find_what_a_plain_search_finds() {
        let value = |i: usize, j: usize| ((i * 7919 + j * 104_729 + i * j * 31) % 17) as u8;
        for (n, m) in [(3, 700), (300, 255), (513, 257)] {
            let samples = Array2::from_shape_fn((n, 4), |(i, j)| f32::from(value(i + 5, j)));
            let pixels = Array2::from_shape_fn((m, 4), |(i, j)| value(2 * i, j));
            let hits = nearest(samples.view(), pixels.view()).unwrap();
            let (samples, pixels) = (Points::from(samples.view()), Points::from(pixels.view()));
            for (row, hit) in hits.iter().enumerate() {
                let each = (0..m).map(|other| samples.distance(row, &pixels, other)).collect::<Vec<_>>();
                let least = each.iter().copied().fold(f64::INFINITY, f64::min);
                assert_eq!((hit.index, hit.distance), (each.iter().position(|d| *d == least).unwrap(), least));
            }
        }
    }

    /// With NaN, every distance would be 0.
    #[test]
    fn values_that_are_not_finite_have_no_neighbours() {
        let fine = Array2::from_shape_fn((300, 2), |(i, j)| (i + j) as f32);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut broken = fine.clone();
            broken[[270, 1]] = bad;
            let place = |found: MetricError| match found {
                MetricError::NotFinite { set, row: 270, column: 1, .. } => set,
                other => panic!("{other}"),
            };
            assert_eq!(place(nearest(broken.view(), fine.view()).unwrap_err()), "samples");
            assert_eq!(place(nearest(fine.view(), broken.view()).unwrap_err()), "reference");
            assert_eq!(place(copy_rate(broken.view(), fine.view()).unwrap_err()), "samples");
            assert_eq!(place(copy_rate(fine.view(), broken.view()).unwrap_err()), "reference");
            let classes = [0; 300];
            let found = class_agreement(fine.view(), &classes, broken.view(), &classes);
            assert_eq!(place(found.unwrap_err()), "reference");
        }
        // Its square is infinite.
        let huge = array![[0.0, 0.0], [1.0, 1e200]];
        assert!(matches!(nearest(fine.view(), huge.view()), Err(MetricError::NotFinite { row: 1, column: 1, .. })));
        assert!(matches!(copy_threshold(huge.view()), Err(MetricError::NotFinite { row: 1, column: 1, .. })));
    }

    #[test]
    fn each_row_has_one_class() {
        let x = array![[0f32], [1.0]];
        let found = class_agreement(x.view(), &[0], x.view(), &[0, 1]);
        assert!(matches!(found, Err(MetricError::Labels { set: "samples", labels: 1, rows: 2 })));
        let found = class_agreement(x.view(), &[0, 1], x.view(), &[0]);
        assert!(matches!(found, Err(MetricError::Labels { set: "reference", labels: 1, rows: 2 })));
    }

    #[test]
    fn misuse_is_an_error() {
        let (one, two) = (array![[0f32]], array![[0f32, 0.0]]);
        assert!(matches!(nearest(one.view(), two.view()), Err(MetricError::Dimension { left: 1, right: 2 })));
        assert!(matches!(copy_rate(one.view(), one.view()), Err(MetricError::TooFew { least: 2, .. })));
        assert!(matches!(nearest(one.view(), Array2::<f32>::zeros((0, 1)).view()), Err(MetricError::TooFew { .. })));
    }
}
