//! A classifier two-sample test by nearest neighbours.
//!
//! Real rows and an equal number of samples are pooled, and each point is assigned the side of its
//! nearest other point. The share of points assigned to their own side (leave-one-out accuracy) is
//! near 1/2 if both distributions are equal, 1 if they are far apart, and near 0 if samples are
//! copies. Source: Lopez-Paz and Oquab, "Revisiting classifier two-sample tests" (2017). In high
//! dimensions, use it on [principal components](Components) of the real rows.
//!
//! ```
//! use fm_metrics::two_sample::nearest_neighbour_accuracy;
//! use ndarray::array;
//! let real = array![[0.0f32], [1.0], [2.0]];
//! assert_eq!(nearest_neighbour_accuracy(array![[50.0f32], [51.0], [52.0]].view(), real.view())?, 1.0);
//! assert_eq!(nearest_neighbour_accuracy(real.view(), real.view())?, 0.0);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{at_least, comparable, count, fits, same_space, usable};
use crate::distances::spaced;
use crate::points::{Points, Real, Scalar};
use faer::{Mat, Side};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};
use rayon::prelude::*;

/// The leave-one-out accuracy. The larger side is reduced to the size of the smaller, by evenly
/// spaced rows.
///
/// # Errors
/// Different dimensions, fewer than two rows on a side, values that are not finite.
pub fn nearest_neighbour_accuracy<T: Scalar>(
    samples: ArrayView2<'_, T>,
    real: ArrayView2<'_, T>,
) -> Result<f64, MetricError> {
    accuracy(samples.into(), real.into())
}

fn accuracy(samples: Points<'_>, real: Points<'_>) -> Result<f64, MetricError> {
    comparable("the two-sample test", 2, samples, real)?;
    let n = samples.nrows().min(real.nrows());
    let some = |z: Points<'_>| z.select(&spaced(z.nrows(), n));
    let both = concatenate(Axis(0), &[some(samples).view(), some(real).view()]).unwrap_or_default();
    let right = |i: usize| {
        let (row, mut best) = (both.row(i), (f64::INFINITY, i));
        for (j, other) in both.rows().into_iter().enumerate().filter(|(j, _)| *j != i) {
            let squared = row.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            if squared < best.0 {
                best = (squared, j);
            }
        }
        usize::from((best.1 < n) == (i < n))
    };
    let own: usize = (0..2 * n).into_par_iter().map(right).sum();
    Ok(own as f64 / (2 * n) as f64)
}

/// The directions of largest variance of a table, and its mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    mean: Array1<f64>,
    /// (d, k), orthonormal columns, the largest variance first.
    directions: Array2<f64>,
}

impl Components {
    /// The first `k` principal components of a table; fewer where it has fewer columns.
    ///
    /// # Errors
    /// Fewer than two rows, no columns, values that are not finite, k of 0, a covariance that does
    /// not fit into memory, or a failed eigenvalue computation.
    #[doc(alias = "PCA")]
    pub fn of<T: Scalar>(table: ArrayView2<'_, T>, k: usize) -> Result<Self, MetricError> {
        Self::of_points(table.into(), k)
    }

    fn of_points(table: Points<'_>, k: usize) -> Result<Self, MetricError> {
        count("the number of components", 1, usize::MAX, k)?;
        at_least("principal components", "rows", 2, table.nrows())?;
        usable("table", table)?;
        fits(table.ncols(), table.ncols())?;
        let table = table.to_f64();
        let mean = table.mean_axis(Axis(0)).unwrap_or_default();
        let centred = &table - &mean;
        let covariance = centred.t().dot(&centred);
        let d = covariance.nrows();
        let eigen = Mat::from_fn(d, d, |i, j| covariance[[i, j]]).self_adjoint_eigen(Side::Lower);
        let eigen = eigen.map_err(|_| MetricError::Eigenvalues { dimensions: d })?;
        // Eigenvalues are in increasing order.
        let directions = Array2::from_shape_fn((d, k.min(d)), |(i, j)| eigen.U()[(i, d - 1 - j)]);
        Ok(Self { mean, directions })
    }

    /// Coordinates of rows in the principal directions, (n, k).
    ///
    /// # Errors
    /// Rows of another dimension, values that are not finite.
    pub fn coordinates<T: Real>(&self, rows: ArrayView2<'_, T>) -> Result<Array2<T>, MetricError> {
        Ok(self.project(rows.into())?.mapv(T::of))
    }

    fn project(&self, rows: Points<'_>) -> Result<Array2<f64>, MetricError> {
        same_space(rows.ncols(), self.mean.len())?;
        usable("rows", rows)?;
        Ok((rows.to_f64() - &self.mean).dot(&self.directions))
    }
}
