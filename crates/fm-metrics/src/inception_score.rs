//! The inception score.
//!
//! IS = exp(E_x KL(p(y | x) || p(y))) with a classifier's p(y | x) = softmax(logits): at most the
//! number of classes, and 1 if all samples look alike. It does not use real images. Samples are
//! split, and the mean and standard deviation over splits are reported, as is usual; fewer samples
//! per split give a lower score. Source: Salimans et al., "Improved techniques for training GANs"
//! (2016).
//!
//! ```
//! use fm_metrics::inception_score::inception_score;
//! use ndarray::Array2;
//! // Certain of one of two equally frequent classes: 2. Uncertain: 1.
//! let sure = Array2::from_shape_fn((10, 2), |(i, j)| if i % 2 == j { 50.0f32 } else { 0.0 });
//! assert!((inception_score(sure.view(), 1)?.mean - 2.0).abs() < 1e-9);
//! assert!((inception_score(Array2::<f32>::zeros((10, 2)).view(), 1)?.mean - 1.0).abs() < 1e-12);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{at_least, count, usable};
use crate::estimate::{deviation, group};
use crate::points::{Points, Scalar};
use ndarray::{ArrayView2, Axis};

/// Scores over splits.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (n - 1); `None` for a single split, or for equal scores.
    pub deviation: Option<f64>,
    /// Splits that were used, which may be fewer than requested.
    pub splits: usize,
}

/// The score of logits, (n, classes), in at most `splits` splits of neighbouring rows. A split has
/// at least two rows: the score of one row is 1, whatever the row.
///
/// # Errors
/// Fewer than two rows, no splits, no classes, values that are not finite.
#[doc(alias = "InceptionScore")]
pub fn inception_score<T: Scalar>(logits: ArrayView2<'_, T>, splits: usize) -> Result<Score, MetricError> {
    in_splits(logits.into(), splits)
}

fn in_splits(logits: Points<'_>, splits: usize) -> Result<Score, MetricError> {
    count("the number of splits", 1, usize::MAX, splits)?;
    at_least("an inception score", "samples", 2, logits.nrows())?;
    usable("logits", logits)?;
    let splits = splits.min(logits.nrows() / 2);
    let scores: Vec<f64> = (0..splits).map(|k| one(logits.rows(group(logits.nrows(), splits, k)))).collect();
    let mean = scores.iter().sum::<f64>() / splits as f64;
    Ok(Score { mean, deviation: deviation(&scores), splits })
}

fn one(logits: Points<'_>) -> f64 {
    let mut log_p = logits.to_f64();
    for mut row in log_p.rows_mut() {
        let most = row.fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        let norm = most + row.mapv(|v| (v - most).exp()).sum().ln();
        row -= norm;
    }
    let log_q = log_p.mapv(f64::exp).mean_axis(Axis(0)).unwrap_or_default().mapv(f64::ln);
    // For p = 0 the term is 0 times an infinite value; its limit is 0.
    let term = |p: f64, q: f64| if p.exp() == 0.0 { 0.0 } else { p.exp() * (p - q) };
    let sum: f64 =
        log_p.rows().into_iter().map(|row| row.iter().zip(&log_q).map(|(p, q)| term(*p, *q)).sum::<f64>()).sum();
    (sum / log_p.nrows() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Split by split, each row alone would score 1 +- 0.
    #[test]
    fn splits_have_at_least_two_rows() {
        let sure = |n: usize| Array2::from_shape_fn((n, 3), |(i, j)| if i % 3 == j { 50.0f32 } else { 0.0 });
        for (rows, used) in [(2, 1), (3, 1), (10, 5), (19, 9), (20, 10), (100, 10)] {
            let found = inception_score(sure(rows).view(), 10).unwrap();
            assert_eq!((found.splits, found.deviation.is_some_and(|d| d > 1.0)), (used, false), "{rows}");
            assert!(found.mean > 1.5, "{rows}: {found:?}");
        }
        assert_eq!(inception_score(sure(3).view(), 10).unwrap().deviation, None);
        assert_eq!(inception_score(Array2::<f32>::zeros((40, 3)).view(), 10).unwrap().deviation, None);
        assert!(matches!(inception_score(sure(1).view(), 1), Err(MetricError::TooFew { least: 2, got: 1, .. })));
    }
}
