//! Cosine distances 1 - x . y / (|x| |y|), computed by matrix products of unit rows.

use super::euclidean::by_blocks;
use crate::OtError;
use crate::element::Element;
use fm_core::product;
use ndarray::{Array2, ArrayView2, ArrayViewMut1};

pub(crate) fn cosine<T: Element>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<Array2<f64>, OtError> {
    let q = unit(y);
    by_blocks(x, y.nrows(), |x, mut cost| {
        product::gemm(cost.view_mut(), -1.0, unit(x).view(), q.t());
        cost.mapv_inplace(|c| if c < -1.0 { 0.0 } else { 1.0 + c });
    })
}

/// The rows, divided by their norms.
fn unit<T: Element>(rows: ArrayView2<'_, T>) -> Array2<f64> {
    let mut rows = rows.mapv(Into::into);
    for mut row in rows.rows_mut() {
        let norm = norm_of(&mut row);
        // NaN stays NaN; a zero row is treated as orthogonal to every other.
        row.mapv_inplace(|v| if norm == 0.0 { 0.0 } else { v / norm });
    }
    rows
}

/// The norm of a row, which is scaled first if its squares leave the range of f64; those of f32
/// values never do.
fn norm_of(row: &mut ArrayViewMut1<'_, f64>) -> f64 {
    let square = row.dot(&*row);
    if square.is_normal() {
        return square.sqrt();
    }
    let largest = row.fold(0.0f64, |most, v| most.max(v.abs()));
    if largest > 0.0 && largest.is_finite() {
        row.mapv_inplace(|v| v / largest);
    }
    row.dot(&*row).sqrt()
}
