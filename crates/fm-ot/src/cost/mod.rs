//! Cost matrices between two sets of points: the cost of sending row x_i to row y_j.
//!
//! | [`Metric`] | C_ij | unit |
//! |---|---|---|
//! | `squared-euclidean` | \|x_i - y_j\|^2 | of the data, squared |
//! | `euclidean` | \|x_i - y_j\| | of the data |
//! | `cosine` | 1 - x_i . y_j / (\|x_i\| \|y_j\|) | none, from 0 to 2; 1 if a row is zero |
//!
//! Any other cost implements [`Cost`]: a closure over two rows, or a type with one method. Points
//! are f32 or f64, (rows, dimensions); costs are f64.
//!
//! Squared distances in more than a few dimensions are expanded to
//! |x_i|^2 + |y_j|^2 - 2 x_i . y_j and computed by matrix products in f64, on points centred near their mean, in blocks of rows
//! on all cores. Where the terms nearly cancel, the distance is recomputed from its definition:
//! every entry has a relative error below 1e-10, and equal points have distance 0.
//!
//! [`add_conditions`] makes a cost condition-aware: pairs with different conditions cost more
//! (Cheng and Schwing, "The curse of conditions: analyzing and improving optimal transport for
//! conditional flow-based generation", 2025).
//!
//! ```
//! use fm_ot::cost::{Cost, Metric};
//! use ndarray::array;
//! let (x, y) = (array![[0.0f32, 3.0]], array![[4.0f32, 0.0], [0.0, 3.0]]);
//! assert_eq!(Metric::SquaredEuclidean.matrix(x.view(), y.view())?, array![[25.0, 0.0]]);
//! assert_eq!(Metric::Cosine.matrix(x.view(), y.view())?, array![[1.0, 0.0]]);
//! let city_block = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
//! assert_eq!(city_block.matrix(x.view(), y.view())?, array![[7.0, 0.0]]);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

mod conditions;
pub(crate) mod cosine;
pub(crate) mod euclidean;
#[cfg(test)]
mod tests;

pub(crate) use conditions::check_weight;
pub use conditions::{add_condition_vectors, add_conditions};

use crate::element::f64_of;
use crate::scalar::Scalar;
use crate::{OtError, memory, pages};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// The cost of sending one point to another, for points of f32 (or of T).
///
/// Closures `Fn(&[T], &[T]) -> f64 + Sync` implement it. A cost that is NaN or infinite is an error
/// in the solver that receives it.
///
/// ```
/// use fm_ot::{Cost, OtCoupling};
/// /// Moving up costs twice as much as moving down.
/// struct Uphill;
/// impl Cost for Uphill {
///     fn cost(&self, x: &[f32], y: &[f32]) -> f64 {
///         let rise = f64::from(y[0] - x[0]);
///         if rise > 0.0 { 2.0 * rise } else { -rise }
///     }
/// }
/// let (low, high) = (ndarray::array![[0.0f32]], ndarray::array![[3.0f32]]);
/// assert_eq!(Uphill.matrix(low.view(), high.view())?, ndarray::array![[6.0]]);
/// assert_eq!(Uphill.matrix(high.view(), low.view())?, ndarray::array![[3.0]]);
/// # Ok::<(), fm_ot::OtError>(())
/// ```
pub trait Cost<T: Scalar = f32>: Sync {
    /// The cost of sending `x` to `y`, two points of equal dimension.
    fn cost(&self, x: &[T], y: &[T]) -> f64;

    /// The costs between the rows of `x` (n, d) and of `y` (m, d), as an (n, m) matrix.
    ///
    /// # Errors
    /// [`OtError::Dimension`] when the dimensions differ, [`OtError::Memory`] for a matrix that
    /// cannot be allocated.
    fn matrix(&self, x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<Array2<f64>, OtError> {
        pairwise(x, y, |x, y| self.cost(x, y))
    }

    /// Whether the cost from x to y equals the cost from y to x, which saves a coupling a
    /// transposition.
    fn is_symmetric(&self) -> bool {
        false
    }

    /// The built-in cost that this is, if it is one, so that a device can compute it too.
    fn metric(&self) -> Option<Metric> {
        None
    }
}

impl<T: Scalar, F: Fn(&[T], &[T]) -> f64 + Sync> Cost<T> for F {
    fn cost(&self, x: &[T], y: &[T]) -> f64 {
        self(x, y)
    }
}

fm_core::choice! {
    /// A built-in cost.
    #[derive(Default)]
    pub enum Metric("cost") {
        /// The cost of the 2-Wasserstein distance, whose optimal paths do not cross.
        #[default]
        SquaredEuclidean = "squared-euclidean" | "sqeuclidean",
        /// The Euclidean distance.
        Euclidean = "euclidean",
        /// The cosine distance, which is independent of the norms.
        Cosine = "cosine",
    }
}

impl Metric {
    /// The costs between the rows of `x` (n, d) and of `y` (m, d), as an (n, m) matrix. NaN in the
    /// points is reported by the solver.
    ///
    /// # Errors
    /// [`OtError::Dimension`] when the dimensions differ, [`OtError::Memory`] for a matrix that
    /// cannot be allocated.
    #[doc(alias = "dist")]
    #[doc(alias = "distance_matrix")]
    #[doc(alias = "PointCloud")]
    #[doc(alias = "cdist")]
    #[doc(alias = "pairwise_distances")]
    pub fn matrix<T: Scalar>(self, x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<Array2<f64>, OtError> {
        let shape = shape(x, y)?;
        if shape.0 == 0 || shape.1 == 0 {
            return Ok(Array2::zeros(shape));
        }
        Ok(match self {
            Metric::SquaredEuclidean => T::squared_euclidean(x, y)?,
            Metric::Euclidean => T::squared_euclidean(x, y)?.mapv_into(f64::sqrt),
            Metric::Cosine => T::cosine(x, y)?,
        })
    }
}

impl<T: Scalar> Cost<T> for Metric {
    fn cost(&self, x: &[T], y: &[T]) -> f64 {
        let sum = |f: fn(f64, f64) -> f64| x.iter().zip(y).map(|(x, y)| f(f64_of(*x), f64_of(*y))).sum::<f64>();
        match self {
            Metric::SquaredEuclidean => sum(|x, y| (x - y) * (x - y)),
            Metric::Euclidean => sum(|x, y| (x - y) * (x - y)).sqrt(),
            Metric::Cosine => {
                let norms = sum(|x, _| x * x).sqrt() * sum(|_, y| y * y).sqrt();
                if norms == 0.0 { 1.0 } else { 1.0 - sum(|x, y| x * y) / norms }
            }
        }
    }

    fn matrix(&self, x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<Array2<f64>, OtError> {
        Metric::matrix(*self, x, y)
    }

    fn is_symmetric(&self) -> bool {
        true
    }

    fn metric(&self) -> Option<Metric> {
        Some(*self)
    }
}

/// The cost `between` each pair of rows, computed on all cores.
///
/// # Errors
/// [`OtError::Dimension`] when the dimensions differ, [`OtError::Memory`] for a matrix that cannot
/// be allocated.
pub fn pairwise<T: Scalar>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    between: impl Fn(&[T], &[T]) -> f64 + Sync,
) -> Result<Array2<f64>, OtError> {
    let mut cost = pages::zeros(shape(x, y)?)?;
    if cost.is_empty() {
        return Ok(cost);
    }
    let (x, y) = (x.as_standard_layout(), y.as_standard_layout());
    cost.axis_iter_mut(Axis(0)).into_par_iter().zip(x.axis_iter(Axis(0))).for_each(|(mut row, a)| {
        for (c, b) in row.iter_mut().zip(y.rows()) {
            *c = between(a.as_slice().unwrap_or(&[]), b.as_slice().unwrap_or(&[]));
        }
    });
    Ok(cost)
}

/// The shape of the cost between two sets of points; fails if dimensions differ or the matrix does
/// not fit into memory.
fn shape<T>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<(usize, usize), OtError> {
    let (left, right) = (x.ncols(), y.ncols());
    if left != right {
        return Err(OtError::Dimension { left, right });
    }
    let shape = (x.nrows(), y.nrows());
    memory::check(shape, 1)?;
    Ok(shape)
}
