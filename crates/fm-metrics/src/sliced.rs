//! Sliced Wasserstein distances.
//!
//! SW_p(X, Y) = (E_theta W_p(theta . X, theta . Y)^p)^(1/p) over directions theta, uniform on the unit sphere: a distance between distributions
//! in any dimension that costs a few sorts. On a line W_p^p is the integral over u of |Q_X(u) - Q_Y(u)|^p of the quantile functions, exact here
//! for samples of any two sizes. The mean over finitely many directions is an estimate, and samples of one distribution are not at 0. Unit: that of the
//! data. Source: Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures" (2015).
//!
//! ```
//! use fm_metrics::sliced::{sliced_wasserstein, wasserstein_line};
//! use ndarray::array;
//! // Quantiles 0, 2 on halves and 1, 1, 4 on thirds: |0 - 1| / 2 + |2 - 1| / 6 + |2 - 4| / 3.
//! let w1 = wasserstein_line(&[2.0, 0.0], &[4.0, 1.0, 1.0], 1);
//! assert!((w1 - 4.0 / 3.0).abs() < 1e-15);
//! // A shift by (3, 4): the mean of (theta . shift)^2 over the circle is 25 / 2.
//! let x = array![[0.0f32, 1.0], [2.0, 0.0], [1.0, 5.0]];
//! let sw = sliced_wasserstein(x.view(), (&x + &array![3.0f32, 4.0]).view(), 2, 2000, 0)?;
//! assert!((sw - 12.5f64.sqrt()).abs() < 0.1);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use fm_core::rng::{Stream, normal_rows};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// SW_p of two samples, (n, d) and (m, d), over so many directions, drawn by the seed; p is 1 or 2.
///
/// # Errors
/// Different dimensions, an empty side, no directions.
pub fn sliced_wasserstein(
    x: ArrayView2<'_, f32>,
    y: ArrayView2<'_, f32>,
    p: i32,
    directions: usize,
    seed: u64,
) -> Result<f64, MetricError> {
    let dim = x.ncols();
    let mut drawn = Array2::from_shape_vec((directions, dim), normal_rows(seed, 0, Stream::Data, 0, directions, dim))
        .unwrap_or_default()
        .mapv(f64::from);
    for mut row in drawn.rows_mut() {
        let norm = row.dot(&row).sqrt().max(f64::MIN_POSITIVE);
        row /= norm;
    }
    sliced_along(x, y, p, drawn.view())
}

/// The same over given directions, a unit vector in each row.
///
/// # Errors
/// As [`sliced_wasserstein`].
pub fn sliced_along(
    x: ArrayView2<'_, f32>,
    y: ArrayView2<'_, f32>,
    p: i32,
    directions: ArrayView2<'_, f64>,
) -> Result<f64, MetricError> {
    for (left, right) in [(x.ncols(), y.ncols()), (x.ncols(), directions.ncols())] {
        if left != right {
            return Err(MetricError::Dimension { left, right });
        }
    }
    crate::nearest::at_least("the sliced Wasserstein distance", 1, x.nrows().min(y.nrows()))?;
    crate::nearest::at_least("a mean over directions", 1, directions.nrows())?;
    let project = |z: &ArrayView2<'_, f32>, theta: &[f64]| -> Vec<f64> {
        let dot = |row: ndarray::ArrayView1<'_, f32>| row.iter().zip(theta).map(|(v, t)| f64::from(*v) * t).sum();
        z.rows().into_iter().map(dot).collect()
    };
    let rows: Vec<Vec<f64>> = directions.rows().into_iter().map(|row| row.to_vec()).collect();
    // Collected before it is added up, so that the sum does not depend on the number of threads.
    let powers: Vec<f64> =
        rows.par_iter().map(|theta| wasserstein_line(&project(&x, theta), &project(&y, theta), p)).collect();
    Ok((powers.iter().sum::<f64>() / powers.len() as f64).powf(1.0 / f64::from(p)))
}

/// W_p^p of samples on a line, of any sizes.
pub fn wasserstein_line(x: &[f64], y: &[f64], p: i32) -> f64 {
    let sorted = |z: &[f64]| {
        let mut z = z.to_vec();
        z.sort_unstable_by(f64::total_cmp);
        z
    };
    let (x, y) = (sorted(x), sorted(y));
    let (n, m) = (x.len(), y.len());
    if n == 0 || m == 0 {
        return f64::NAN;
    }
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
