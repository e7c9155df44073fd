//! Matrix products in f64 on one thread, by faer's kernels, which know wider registers than ndarray's.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{Array2, ArrayView2, ArrayViewMut2};

/// a b^T.
pub(crate) fn with_transposed(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros((a.nrows(), b.nrows()));
    add(out.view_mut(), a, b.t());
    out
}

/// Adds a b to what is there.
pub(crate) fn add(mut out: ArrayViewMut2<'_, f64>, a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) {
    let accumulate = Accum::Add;
    let (rows, columns) = out.dim();
    let (down, along) = (out.strides()[0], out.strides()[1]);
    // SAFETY: the pointer, the shape and the strides are those of an exclusive view.
    #[allow(unsafe_code)]
    let into = unsafe { MatMut::from_raw_parts_mut(out.as_mut_ptr(), rows, columns, down, along) };
    matmul(into, accumulate, view(&a), view(&b), 1.0, Par::Seq);
}

fn view<'a>(array: &'a ArrayView2<'_, f64>) -> MatRef<'a, f64> {
    let strides = array.strides();
    // SAFETY: the pointer, the shape and the strides are those of a shared view.
    #[allow(unsafe_code)]
    unsafe {
        MatRef::from_raw_parts(array.as_ptr(), array.nrows(), array.ncols(), strides[0], strides[1])
    }
}
