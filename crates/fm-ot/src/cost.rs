//! Cost matrices between two sets of points.
//!
//! C_ij = |x_i - y_j|^2, expanded to |x_i|^2 + |y_j|^2 - 2 x_i . y_j so that a matrix product does the work. The product runs
//! in f64 on points centred at their common mean: an f32 input then keeps its distances to 1e-16 of the squared radius
//! of the data, small distances included.
//!
//! ```
//! use fm_ot::cost::squared_euclidean;
//! use ndarray::array;
//! let c = squared_euclidean(array![[0.0f32, 3.0]].view(), array![[4.0f32, 0.0], [0.0, 3.0]].view())?;
//! assert_eq!(c, array![[25.0, 0.0]]);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::OtError;
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// Squared Euclidean distances between the rows of `x` (n, d) and of `y` (m, d), as an (n, m) matrix.
///
/// # Errors
/// [`OtError::Dimension`] when the dimensions differ.
pub fn squared_euclidean(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Result<Array2<f64>, OtError> {
    let (left, right) = (x.ncols(), y.ncols());
    if left != right {
        return Err(OtError::Dimension { left, right });
    }
    let (mut x, mut y) = (x.mapv(f64::from), y.mapv(f64::from));
    let rows = (x.nrows() + y.nrows()).max(1) as f64;
    let mean = (x.sum_axis(Axis(0)) + y.sum_axis(Axis(0))) / rows;
    x -= &mean;
    y -= &mean;
    let (nx, ny) = (squared_norms(&x), squared_norms(&y));
    let mut cost = x.dot(&y.t());
    for (mut row, a) in cost.rows_mut().into_iter().zip(&nx) {
        row.iter_mut().zip(&ny).for_each(|(c, b)| {
            let squared = a + b - 2.0 * *c;
            // Rounding can leave a distance just below zero; NaN must stay (and f64::max would hide it).
            *c = if squared < 0.0 { 0.0 } else { squared };
        });
    }
    Ok(cost)
}

fn squared_norms(x: &Array2<f64>) -> Array1<f64> {
    x.map_axis(Axis(1), |row| row.dot(&row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::rng::{Stream, normal_rows};

    #[test]
    fn agrees_with_the_definition_far_from_the_origin() {
        let points = |step, rows| {
            let values = normal_rows(1, step, Stream::Data, 0, rows, 48);
            Array2::from_shape_vec((rows, 48), values).unwrap().mapv(|v| 1000.0 + v)
        };
        let (x, y) = (points(0, 7), points(1, 5));
        let c = squared_euclidean(x.view(), y.view()).unwrap();
        for (i, a) in x.rows().into_iter().enumerate() {
            for (j, b) in y.rows().into_iter().enumerate() {
                let want: f64 = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
                assert!((c[(i, j)] - want).abs() < 1e-9 * want, "{i} {j}");
            }
        }
    }

    #[test]
    fn nan_is_kept_for_the_solver_to_report() {
        let x = ndarray::array![[f32::NAN]];
        assert!(squared_euclidean(x.view(), ndarray::array![[1.0]].view()).unwrap()[(0, 0)].is_nan());
    }
}
