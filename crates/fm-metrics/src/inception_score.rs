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
use crate::estimate::group;
use crate::points::{Points, Scalar};
use ndarray::{ArrayView2, Axis};

/// Scores over splits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (n - 1); NaN for a single split.
    pub deviation: f64,
}

/// The score of logits, (n, classes), in `splits` splits of neighbouring rows.
///
/// # Errors
/// Fewer rows than splits, no splits, no classes, values that are not finite.
pub fn inception_score<T: Scalar>(logits: ArrayView2<'_, T>, splits: usize) -> Result<Score, MetricError> {
    in_splits(logits.into(), splits)
}

fn in_splits(logits: Points<'_>, splits: usize) -> Result<Score, MetricError> {
    count("the number of splits", 1, usize::MAX, splits)?;
    at_least("an inception score in that many splits", splits, logits.nrows())?;
    usable("logits", logits)?;
    let scores: Vec<f64> = (0..splits).map(|k| one(logits.rows(group(logits.nrows(), splits, k)))).collect();
    let mean = scores.iter().sum::<f64>() / splits as f64;
    let squares: f64 = scores.iter().map(|v| (v - mean).powi(2)).sum();
    Ok(Score { mean, deviation: if splits > 1 { (squares / (splits as f64 - 1.0)).sqrt() } else { f64::NAN } })
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
