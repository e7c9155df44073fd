//! Sliced Wasserstein distances.
//!
//! SW_p(X, Y) = (E_theta W_p(theta . X, theta . Y)^p)^(1/p) over directions theta, uniform on the
//! unit sphere: a distance between distributions of any dimension at the cost of a few sorts. In
//! one dimension W_p^p is the integral over u of |Q_X(u) - Q_Y(u)|^p of the quantile functions,
//! computed exactly for samples of any two sizes. The mean over finitely many directions is an
//! estimate, and two samples of one distribution do not have distance 0. Unit: that of the data.
//! Source: Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures" (2015).
//!
//! ```
//! use fm_metrics::sliced::{sliced_wasserstein, wasserstein_line};
//! use ndarray::array;
//! // Quantiles 0, 2 on halves and 1, 1, 4 on thirds: |0 - 1| / 2 + |2 - 1| / 6 + |2 - 4| / 3.
//! let w1 = wasserstein_line(&[2.0, 0.0], &[4.0, 1.0, 1.0], 1)?;
//! assert!((w1 - 4.0 / 3.0).abs() < 1e-15);
//! // A shift by (3, 4): the mean of (theta . shift)^2 over the circle is 25 / 2.
//! let x = array![[0.0f32, 1.0], [2.0, 0.0], [1.0, 5.0]];
//! let sw = sliced_wasserstein(x.view(), (&x + &array![3.0f32, 4.0]).view(), 2, 2000, 0)?;
//! assert!((sw - 12.5f64.sqrt()).abs() < 0.1);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{at_least, comparable, count, fits, same_space};
use crate::points::{Points, Scalar};
use fm_core::rng::{Key, Stream, normal_rows};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// SW_p of two samples, (n, d) and (m, d), over random directions drawn from the seed; p is 1 or 2.
///
/// # Errors
/// Different dimensions, an empty side, values that are not finite, a p other than 1 or 2, no
/// directions or more than fit into memory.
#[doc(alias = "sliced_wasserstein_distance")]
pub fn sliced_wasserstein<T: Scalar>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    p: i32,
    directions: usize,
    seed: u64,
) -> Result<f64, MetricError> {
    let (x, y) = (Points::from(x), Points::from(y));
    check(x, y, p)?;
    let dim = x.ncols();
    count("the number of directions", 1, 1 << 31, directions)?;
    fits(directions, dim)?;
    let mut drawn =
        Array2::from_shape_vec((directions, dim), normal_rows(Key::new(seed, 0, Stream::Data), directions, dim))
            .unwrap_or_default()
            .mapv(f64::from);
    for mut row in drawn.rows_mut() {
        let norm = row.dot(&row).sqrt().max(f64::MIN_POSITIVE);
        row /= norm;
    }
    Ok(along(x, y, p, drawn.view()))
}

/// SW_p over given directions, one unit vector per row.
///
/// # Errors
/// As [`sliced_wasserstein`]; a direction whose norm is not 1.
pub fn sliced_along<T: Scalar>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    p: i32,
    directions: ArrayView2<'_, f64>,
) -> Result<f64, MetricError> {
    let (x, y) = (Points::from(x), Points::from(y));
    check(x, y, p)?;
    same_space(x.ncols(), directions.ncols())?;
    at_least("a mean over directions", "directions", 1, directions.nrows())?;
    for (row, theta) in directions.rows().into_iter().enumerate() {
        let norm = theta.dot(&theta).sqrt();
        if norm.is_nan() || (norm - 1.0).abs() > 1e-6 {
            return Err(MetricError::Direction { row, norm });
        }
    }
    Ok(along(x, y, p, directions))
}

fn check(x: Points<'_>, y: Points<'_>, p: i32) -> Result<(), MetricError> {
    comparable("the sliced Wasserstein distance", 1, x, y)?;
    order(p)
}

fn order(p: i32) -> Result<(), MetricError> {
    if p == 1 || p == 2 { Ok(()) } else { Err(MetricError::Order { p }) }
}

fn along(x: Points<'_>, y: Points<'_>, p: i32, directions: ArrayView2<'_, f64>) -> f64 {
    let rows: Vec<Vec<f64>> = directions.rows().into_iter().map(|row| row.to_vec()).collect();
    // Collected before summing, so that the sum does not depend on the number of threads.
    let powers: Vec<f64> = rows.par_iter().map(|theta| on_a_line(&x.dot(theta), &y.dot(theta), p)).collect();
    (powers.iter().sum::<f64>() / powers.len() as f64).powf(1.0 / f64::from(p))
}

/// W_p^p of one-dimensional samples of any sizes; p is 1 or 2.
///
/// # Errors
/// An empty side, values that are not finite or above 1e140, or a p other than 1 or 2.
#[doc(alias = "wasserstein_distance")]
#[doc(alias = "emd_1d")]
#[doc(alias = "wasserstein_1d")]
pub fn wasserstein_line(x: &[f64], y: &[f64], p: i32) -> Result<f64, MetricError> {
    order(p)?;
    for (set, z) in [("samples", x), ("reference", y)] {
        at_least("the Wasserstein distance on a line", set, 1, z.len())?;
        count("the number of points", 1, 1 << 31, z.len())?;
        if let Some(row) = z.iter().position(|v| v.is_nan() || v.abs() > 1e140) {
            return Err(MetricError::NotFinite { set, row, column: 0, value: z[row] });
        }
    }
    Ok(on_a_line(x, y, p))
}

fn on_a_line(x: &[f64], y: &[f64], p: i32) -> f64 {
    let sorted = |z: &[f64]| {
        let mut z = z.to_vec();
        z.sort_unstable_by(f64::total_cmp);
        z
    };
    let (x, y) = (sorted(x), sorted(y));
    let (n, m) = (x.len(), y.len());
    // Steps of the quantile functions, in units of 1 / (n m).
    let (mut i, mut j, mut at, mut sum) = (0, 0, 0, 0.0);
    while i < n && j < m {
        let (next_x, next_y) = ((i + 1) * m, (j + 1) * n);
        let next = next_x.min(next_y);
        sum += (next - at) as f64 * (x[i] - y[j]).abs().powi(p);
        i += usize::from(next == next_x);
        j += usize::from(next == next_y);
        at = next;
    }
    sum / (n * m) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn orders_points_and_directions_without_meaning_are_errors() {
        let x = array![[0f32, 1.0], [2.0, 3.0]];
        for p in [0, 3, -1, i32::MIN, i32::MAX] {
            assert!(matches!(sliced_wasserstein(x.view(), x.view(), p, 5, 0), Err(MetricError::Order { .. })));
            assert!(matches!(
                sliced_along(x.view(), x.view(), p, array![[1.0, 0.0]].view()),
                Err(MetricError::Order { .. })
            ));
            assert!(matches!(wasserstein_line(&[0.0], &[1.0], p), Err(MetricError::Order { .. })));
        }
        for theta in [array![[0.0, 0.0]], array![[1.0, 1.0]], array![[f64::NAN, 0.0]]] {
            let found = sliced_along(x.view(), x.view(), 1, theta.view());
            assert!(matches!(found, Err(MetricError::Direction { row: 0, .. })), "{found:?}");
        }
        for bad in [f64::NAN, f64::INFINITY, f64::MAX] {
            let found = wasserstein_line(&[0.0], &[1.0, bad], 2);
            assert!(matches!(found, Err(MetricError::NotFinite { set: "reference", row: 1, .. })), "{found:?}");
        }
        assert!(matches!(wasserstein_line(&[], &[1.0], 1), Err(MetricError::TooFew { .. })));
        let many = sliced_wasserstein(x.view(), x.view(), 1, usize::MAX, 0);
        assert!(matches!(many, Err(MetricError::Count { .. })));
        let broken = array![[0f32, 1.0], [2.0, f32::NAN]];
        let found = sliced_wasserstein(x.view(), broken.view(), 1, 5, 0);
        assert!(matches!(found, Err(MetricError::NotFinite { set: "reference", row: 1, column: 1, .. })));
    }
}
