//! Matrix products in f64 on one thread; to use several threads, give each a block of the result.
//!
//! out += s A B, with A (n, k), B (k, m) and out (n, m). With the feature `faer` this uses faer's
//! kernels with wider registers, otherwise ndarray's (the crate matrixmultiply). Both agree within
//! rounding, and the bits of a row do not depend on the other rows.
//!
//! ```
//! use fm_core::product::{gemm, gram, matmul_nt};
//! use ndarray::array;
//! let (a, b) = (array![[1.0, 2.0], [3.0, 4.0]], array![[1.0, 0.0], [1.0, 1.0]]);
//! assert_eq!(matmul_nt(a.view(), b.view()), array![[1.0, 3.0], [3.0, 7.0]]);
//! let mut sum = array![[1.0, 1.0], [1.0, 1.0]];
//! gemm(sum.view_mut(), -2.0, a.view(), b.view());
//! assert_eq!(sum, array![[-5.0, -3.0], [-13.0, -7.0]]);
//! assert_eq!(gram(a.view()), array![[5.0, 0.0], [11.0, 25.0]]);
//! ```

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

/// A B^T.
///
/// # Panics
/// When A and B have different numbers of columns.
pub fn matmul_nt(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros((a.nrows(), b.nrows()));
    gemm(out.view_mut(), 1.0, a, b.t());
    out
}

/// The lower triangle of A A^T, including the diagonal; entries above it are zero.
pub fn gram(a: ArrayView2<'_, f64>) -> Array2<f64> {
    kernels::gram(a)
}

/// Adds `scale` A B to `out`.
///
/// # Panics
/// When the number of rows of B is not the number of columns of A, or `out` does not have A's rows
/// and B's columns.
pub fn gemm(mut out: ArrayViewMut2<'_, f64>, scale: f64, a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) {
    let ((n, k), (inner, m)) = (a.dim(), b.dim());
    assert!(k == inner && out.dim() == (n, m), "a product of ({n}, {k}) and ({inner}, {m}) in {:?}", out.dim());
    kernels::gemm(&mut out, scale, a, b);
}

#[cfg(feature = "faer")]
mod kernels {
    use faer::linalg::matmul::{matmul, triangular};
    use faer::{Accum, MatMut, MatRef, Par};
    use ndarray::{Array2, ArrayView2, ArrayViewMut2};

    pub(super) fn gram(a: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut out = Array2::zeros((a.nrows(), a.nrows()));
        let (all, lower) = (triangular::BlockStructure::Rectangular, triangular::BlockStructure::TriangularLower);
        let (a, transposed) = (view(&a), view(&a).transpose());
        triangular::matmul(view_mut(&mut out.view_mut()), lower, Accum::Add, a, all, transposed, all, 1.0, Par::Seq);
        out
    }

    pub(super) fn gemm(out: &mut ArrayViewMut2<'_, f64>, scale: f64, a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) {
        matmul(view_mut(out), Accum::Add, view(&a), view(&b), scale, Par::Seq);
    }

    fn view<'a>(array: &'a ArrayView2<'_, f64>) -> MatRef<'a, f64> {
        let strides = array.strides();
        // SAFETY: the pointer, the shape and the strides are those of a shared view.
        #[allow(unsafe_code)]
        unsafe {
            MatRef::from_raw_parts(array.as_ptr(), array.nrows(), array.ncols(), strides[0], strides[1])
        }
    }

    fn view_mut<'a>(array: &'a mut ArrayViewMut2<'_, f64>) -> MatMut<'a, f64> {
        let ((rows, columns), down, along) = (array.dim(), array.strides()[0], array.strides()[1]);
        // SAFETY: the pointer, the shape and the strides are those of an exclusive view.
        #[allow(unsafe_code)]
        unsafe {
            MatMut::from_raw_parts_mut(array.as_mut_ptr(), rows, columns, down, along)
        }
    }
}

#[cfg(not(feature = "faer"))]
mod kernels {
    use ndarray::linalg::general_mat_mul;
    use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

    pub(super) fn gram(a: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut out = a.dot(&a.t());
        (0..out.nrows()).for_each(|i| out.slice_mut(s![i, i + 1..]).fill(0.0));
        out
    }

    pub(super) fn gemm(out: &mut ArrayViewMut2<'_, f64>, scale: f64, a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) {
        general_mat_mul(scale, &a, &b, 1.0, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::s;

    /// Products of whole numbers are exact, for sizes around the kernels' tiles and views with any
    /// strides.
    #[test]
    fn products_are_those_of_the_definition() {
        for (n, m, k) in [(1, 1, 1), (7, 5, 3), (64, 65, 33), (130, 48, 257)] {
            let whole = |rows, columns, by: usize| {
                ndarray::Array2::from_shape_fn((rows, columns), |(i, j)| ((by * i + 3 * j + i * j) % 13) as f64 - 6.0)
            };
            let (a, b) = (whole(n, 2 * k, 5), whole(m, 2 * k, 7));
            let (a, b) = (a.slice(s![.., ..;2]), b.slice(s![.., ..;-2]));
            let mut sum = matmul_nt(a, b);
            assert_eq!(sum, a.dot(&b.t()));
            gemm(sum.view_mut(), -3.0, a, b.t());
            assert_eq!(sum, -2.0 * a.dot(&b.t()));
            let (square, of) = (a.dot(&a.t()), gram(a));
            assert!(of.indexed_iter().all(|((i, j), v)| *v == if j <= i { square[(i, j)] } else { 0.0 }));
        }
    }
}
