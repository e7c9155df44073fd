//! Eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's method.
//!
//! A = sum_i w_i q_i q_i^T. Plane rotations annihilate the entries above the diagonal one after
//! another until they are below the rounding error of the matrix. Each sweep over them costs
//! O(d^3), and a handful of sweeps is enough. The method is accurate and short, for the matrices of
//! this module (tens of rows); a tridiagonal solver is faster for hundreds. Unit: that of the
//! matrix. Errors: none; a matrix with values that are not finite gives results that are not
//! finite. Source: Golub and Van Loan, "Matrix Computations" (2013), section 8.5.
//!
//! ```text
//! let (w, q) = symmetric_eigen(&array![[2.0, 1.0], [1.0, 2.0]]);   // w = [1, 3], rows of q (1, -1) / sqrt 2 and (1, 1) / sqrt 2
//! ```

use ndarray::{Array2, ArrayViewMut1, Zip, s};

/// The maximum number of sweeps; convergence is quadratic, and six are usual.
const MOST_SWEEPS: usize = 40;

/// The eigenvalues of a symmetric matrix (d, d) in no particular order, and an array whose row i is
/// the unit eigenvector of the i-th eigenvalue.
pub(super) fn symmetric_eigen(matrix: &Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let d = matrix.nrows();
    let largest = matrix.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    let scale = if largest > 0.0 && largest.is_finite() { largest } else { 1.0 };
    // Scaled to 1, no square overflows, and only negligible squares underflow.
    let (mut a, mut vectors) = (matrix / scale, Array2::eye(d));
    for _ in 0..MOST_SWEEPS {
        let above: f64 = a.indexed_iter().filter(|((i, j), _)| i < j).map(|(_, v)| v * v).sum();
        if above.is_nan() || above.sqrt() <= f64::EPSILON * f64::EPSILON {
            break;
        }
        for p in 0..d {
            for q in p + 1..d {
                annihilate(&mut a, &mut vectors, p, q);
            }
        }
    }
    (a.diag().iter().map(|v| v * scale).collect(), vectors)
}

/// Rotates axes p < q so that the entry (p, q) becomes 0.
fn annihilate(a: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    let (app, aqq, apq) = (a[[p, p]], a[[q, q]], a[[p, q]]);
    // Negligible relative to both diagonal entries: adding it to either changes no digit.
    if apq.abs() <= f64::EPSILON * f64::EPSILON * (app.abs() + aqq.abs()) {
        (a[[p, q]], a[[q, p]]) = (0.0, 0.0);
        return;
    }
    let theta = (aqq - app) / (2.0 * apq);
    // The smaller root, which rotates by at most 45 degrees.
    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    let turn = |lines: &mut Array2<f64>, columns: bool| {
        let mut lines = if columns { lines.view_mut().reversed_axes() } else { lines.view_mut() };
        let (first, second) = lines.multi_slice_mut((s![p, ..], s![q, ..]));
        rotate(first, second, cosine, sine);
    };
    turn(a, false);
    turn(a, true);
    turn(vectors, false);
    // Set exactly, since rounding would leave a small remainder.
    (a[[p, p]], a[[q, q]]) = (app - tangent * apq, aqq + tangent * apq);
    (a[[p, q]], a[[q, p]]) = (0.0, 0.0);
}

/// (x, y) becomes (c x - s y, s x + c y).
fn rotate(first: ArrayViewMut1<'_, f64>, second: ArrayViewMut1<'_, f64>, cosine: f64, sine: f64) {
    Zip::from(first).and(second).for_each(|x, y| (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y));
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn sorted(matrix: &Array2<f64>) -> Vec<f64> {
        let mut values = symmetric_eigen(matrix).0;
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    /// The Hilbert matrix of order 6: `numpy.linalg.eigvalsh` of 1 / (i + j + 1).
    #[test]
    fn eigenvalues_are_numpys() {
        let hilbert = Array2::from_shape_fn((6, 6), |(i, j)| 1.0 / (i + j + 1) as f64);
        let want = [
            1.082_799_484_453_290_8e-7,
            1.257_075_712_262_841e-5,
            0.000_615_748_354_182_639,
            0.016_321_521_319_875_815,
            0.242_360_870_575_209_33,
            1.618_899_858_924_339,
        ];
        for (got, want) in sorted(&hilbert).iter().zip(want) {
            assert!((got - want).abs() < 1e-15, "{got} instead of {want}");
        }
        // An indefinite matrix with a double eigenvalue.
        for (got, want) in
            sorted(&array![[0.0, 2.0, 2.0], [2.0, 0.0, 2.0], [2.0, 2.0, 0.0]]).iter().zip([-2.0, -2.0, 4.0])
        {
            assert!((got - want).abs() < 1e-14, "{got} instead of {want}");
        }
    }

    /// A = Q^T diag(w) Q and Q Q^T = I, also at scales where squares would overflow or underflow.
    #[test]
    fn vectors_are_orthonormal_and_rebuild_the_matrix() {
        for (d, scale) in [(1, 1.0), (2, 1e200), (7, 1e-200), (48, 1.0)] {
            let half = Array2::from_shape_fn((d, d), |(i, j)| (((7 * i + 3 * j + i * j) % 13) as f64 - 6.0) * scale);
            let matrix = &half + &half.t();
            let (values, q) = symmetric_eigen(&matrix);
            let weighted = Array2::from_shape_fn((d, d), |(i, j)| values[i] * q[[i, j]]);
            let off = (q.t().dot(&weighted) - &matrix) / scale;
            assert!(off.iter().all(|v| v.abs() < 1e-12), "{d}: {off}");
            assert!((q.dot(&q.t()) - Array2::<f64>::eye(d)).iter().all(|v| v.abs() < 1e-13), "{d}");
        }
    }

    #[test]
    fn matrices_without_rotations_end() {
        assert_eq!(symmetric_eigen(&Array2::zeros((3, 3))).0, [0.0; 3]);
        assert_eq!(symmetric_eigen(&array![[3.0, 0.0], [0.0, -1.0]]).0, [3.0, -1.0]);
        assert!(symmetric_eigen(&Array2::zeros((0, 0))).0.is_empty());
        let broken = symmetric_eigen(&array![[1.0, f64::NAN], [f64::NAN, 1.0]]).0;
        assert!(broken.len() == 2);
    }
}
