//! States: norms at the edges of the numbers, and combinations that refuse to cut, pad or
//! broadcast.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::state::{Bound, OdeState, RowCombination, RowProducts, RowState, Shaped, Tolerance};
use ndarray::{Array0, Array1, Array2, ArrayD, array};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The text of a panic.
#[track_caller]
fn panics<T: Debug>(call: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn norms_at_the_edges() {
    let norm = |e: f64, x: f64, rtol: f64, atol: f64| f64::error_norm(&e, &x, &x, &Tolerance::new(rtol, atol));
    // Nothing moved where nothing is: no error.
    assert_eq!(norm(0.0, 0.0, 1e-3, 0.0), 0.0);
    assert_eq!(norm(1.0, 0.0, 1e-3, 0.0), f64::INFINITY);
    assert_eq!(norm(1e-3, 1.0, 0.0, 1e-300), f64::INFINITY);
    assert!(norm(f64::NAN, 1.0, 1e-3, 1e-3).is_nan());
    let both = |tolerance: Tolerance| {
        let (e, x) = (array![[0.0, 2e-3], [0.0, 0.0]], array![[0.0, 1.0], [0.0, 1.0]]);
        let rows = Array2::row_error_norms(&e, &x, &x, &tolerance);
        (rows, Array2::error_norm(&e, &x, &x, &tolerance))
    };
    for tolerance in [Tolerance::new(1e-3, 0.0), Tolerance::new(vec![1e-3; 2], 0.0)] {
        let (rows, whole) = both(tolerance);
        assert!((rows[0] - 2f64.sqrt()).abs() < 1e-12 && rows[1] == 0.0 && (whole - 1.0).abs() < 1e-12, "{rows:?}");
    }
    let empty: Vec<f64> = vec![];
    assert_eq!(Vec::error_norm(&empty, &empty, &empty, &Tolerance::new(0.0, 1.0)), 0.0);
    assert!(Bound::Each(vec![]).at(3).is_nan());
}

#[test]
fn combinations_refuse_other_shapes() {
    let (long, short, tol) = (vec![1.0; 3], vec![1.0; 2], Tolerance::new(0.0, 1.0));
    for (first, second) in [(&long, &short), (&short, &long)] {
        let text = panics(|| Vec::linear_combination(&[(1.0, first), (1.0, second)]));
        assert_eq!(text, format!("term 1 has shape [{}], the first [{}]", second.len(), first.len()));
        panics(|| Vec::error_norm(first, second, first, &tol));
        panics(|| Vec::error_norm(first, first, second, &tol));
    }
    let (square, column) = (Array2::<f64>::ones((2, 3)), Array2::<f64>::ones((2, 1)));
    assert_eq!(
        panics(|| Array2::linear_combination(&[(1.0, &square), (0.0, &column)])),
        "term 1 has shape [2, 1], the first [2, 3]"
    );
    panics(|| Array2::row_combination(&[(&[1.0, 1.0], &square), (&[1.0, 1.0], &column)]));
    panics(|| Array2::row_error_norms(&square, &column, &square, &tol));
    for coefficients in [&[][..], &[1.0], &[1.0; 3]] {
        let text = panics(|| Array2::row_combination(&[(coefficients, &square)]));
        assert!(text.contains("coefficients, the batch 2 rows"), "{text}");
    }
    // The memory that is written to may have had another shape.
    let mut held = column.clone();
    held.assign_combination(&[(2.0, &square)]);
    assert_eq!(held, &square * 2.0);
    let mut held = column;
    held.assign_row_combination(&[(&[2.0, 3.0], &square)]);
    assert_eq!(held.column(0), array![2.0, 3.0]);
}

#[test]
fn shapes_and_rows_of_numbers_vectors_and_batches() {
    assert_eq!((Shaped::shape(&1.0), Shaped::shape(&vec![1f32; 3])), (vec![], vec![3]));
    assert_eq!(Shaped::shape(&Array0::<f64>::zeros(())), Vec::<usize>::new());
    assert!(!Array2::<f64>::zeros((2, 3)).same_shape(&Array2::zeros((3, 2))));
    let (number, tol) = (ArrayD::<f64>::zeros(vec![]), Tolerance::new(0.0, 1.0));
    assert_eq!((RowCombination::rows(&number), RowCombination::rows(&Array1::<f64>::zeros(4))), (0, 4));
    assert_eq!(ArrayD::row_combination(&[(&[], &number)]), number);
    assert!(ArrayD::row_error_norms(&number, &number, &number, &tol).is_empty());
}

#[test]
fn sums_over_rows_in_f64() {
    let x = Array2::from_shape_vec((2, 3), vec![1f32, 2.0, 4.0, 16_777_216.0, 1.0, 1.0]).unwrap();
    // In f32 the second sum would lose both ones.
    assert_eq!(x.row_products(&Array2::ones((2, 3))), [7.0, 16_777_218.0]);
    assert!((x.row_variances()[0] - 7.0 / 3.0).abs() < 1e-12, "{:?}", x.row_variances());
    // A large mean does not cancel the variance.
    assert_eq!(array![[1e9, 1e9 + 1.0, 1e9 + 2.0]].row_variances(), [1.0]);
    let images = ndarray::Array4::<f64>::from_shape_fn((2, 1, 2, 2), |(i, _, j, k)| (4 * i + 2 * j + k) as f64);
    assert_eq!(images.row_products(&images), [14.0, 126.0]);
    assert!(Array2::<f64>::ones((2, 1)).row_variances().iter().all(|v| v.is_nan()));
    let (number, column) = (ArrayD::<f64>::zeros(vec![]), Array1::from(vec![2.0, 3.0]));
    assert_eq!((number.row_products(&number), number.row_variances()), (vec![], vec![]));
    assert_eq!(column.row_products(&column), [4.0, 9.0]);
    panics(|| Array2::<f64>::ones((2, 3)).row_products(&Array2::ones((2, 1))));
}
