//! The maximum mean discrepancy with a Gaussian kernel.
//!
//! MMD^2(X, Y) = E k(X, X') + E k(Y, Y') - 2 E k(X, Y), k(a, b) = exp(-|a - b|^2 / (2 h^2)). The
//! estimate uses all pairs of different points and is unbiased, so an estimate near 0 may be
//! negative. The default bandwidth h is the median of the distances within and between the samples
//! (at most 1000 evenly spaced rows of each). Unit: none. Source: Gretton et al., "A kernel
//! two-sample test" (2012), including the median heuristic.
//!
//! ```
//! use fm_metrics::mmd::{median_distance, mmd};
//! use ndarray::array;
//! let (x, y) = (array![[0.0f32], [1.0]], array![[0.0f32], [2.0]]);
//! let k = |d: f64| (-d * d / 2.0).exp();
//! let want = k(1.0) + k(2.0) - (k(0.0) + k(2.0) + k(1.0) + k(1.0)) / 2.0;
//! assert!((mmd(x.view(), y.view(), Some(1.0))? - want).abs() < 1e-12);
//! // Distances of the four points 0, 1, 0, 2: 1, 0, 2, 1, 1, 2.
//! assert_eq!(median_distance(x.view(), y.view())?, 1.0);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{at_least, comparable};
use crate::distances::{mean_within, spaced, sum_over};
use crate::points::{Points, Scalar};
use ndarray::{ArrayView2, Axis, concatenate};

/// Maximum number of rows per side from which the median is computed.
const MEDIAN_ROWS: usize = 1000;

/// MMD^2 of two samples, (n, d) and (m, d).
///
/// # Errors
/// Different dimensions, fewer than two points on a side, values that are not finite, a bandwidth
/// outside 1e-150 to 1e150, and [`MetricError::NoSpread`] without a bandwidth if half of the rows'
/// distances are 0.
pub fn mmd<T: Scalar>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>, bandwidth: Option<f64>) -> Result<f64, MetricError> {
    between(x.into(), y.into(), bandwidth)
}

fn between(x: Points<'_>, y: Points<'_>, bandwidth: Option<f64>) -> Result<f64, MetricError> {
    comparable("the maximum mean discrepancy", 2, x, y)?;
    let h = match bandwidth {
        Some(h) => h,
        None => match median(x, y)? {
            0.0 => return Err(MetricError::NoSpread),
            median => median,
        },
    };
    // The square of any other value would be 0 or infinite.
    if !(1e-150..=1e150).contains(&h) {
        return Err(MetricError::Bandwidth { value: h });
    }
    let kernel = |squared: f64| (-squared / (2.0 * h * h)).exp();
    let across = sum_over(x, y, kernel) / (x.nrows() * y.nrows()) as f64;
    Ok(mean_within(x, kernel) + mean_within(y, kernel) - 2.0 * across)
}

/// The median distance between different points of the pooled samples.
///
/// # Errors
/// Different dimensions, fewer than two points, values that are not finite.
pub fn median_distance<T: Scalar>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<f64, MetricError> {
    median(x.into(), y.into())
}

fn median(x: Points<'_>, y: Points<'_>) -> Result<f64, MetricError> {
    comparable("a median of distances", 0, x, y)?;
    let some = |z: Points<'_>| z.select(&spaced(z.nrows(), z.nrows().min(MEDIAN_ROWS)));
    let both = concatenate(Axis(0), &[some(x).view(), some(y).view()]).unwrap_or_default();
    at_least("a median of distances", "rows", 2, both.nrows())?;
    let mut distances = Vec::with_capacity(both.nrows() * (both.nrows() - 1) / 2);
    for (i, a) in both.rows().into_iter().enumerate() {
        for b in both.rows().into_iter().skip(i + 1) {
            let squared = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            distances.push(squared.sqrt());
        }
    }
    distances.sort_unstable_by(f64::total_cmp);
    let middle = distances.len() / 2;
    Ok(match distances.len() % 2 {
        1 => distances[middle],
        _ => (distances[middle - 1] + distances[middle]) / 2.0,
    })
}
