//! Tensors compared with arrays and scalar formulas.

use super::*;
use crate::interpolate::{coefficients, convert, interpolate};
use crate::loss::Loss;
use crate::path::PathKind;
use crate::prediction::Prediction;
use ndarray::Array2;

fn tensor(x: &Array2<f32>) -> Tensor {
    Tensor::from_slice(x.as_slice().unwrap()).view([x.nrows() as i64, x.ncols() as i64])
}

fn flat(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.reshape([-1])).unwrap()
}

#[test]
fn tensors_and_arrays_agree_on_every_path() {
    let rows = |seed| {
        Array2::from_shape_vec(
            (5, 3),
            crate::rng::normal_rows(crate::rng::Key::new(seed, 0, crate::rng::Stream::Data), 5, 3),
        )
    };
    let (x0, x1, eps) = (rows(1).unwrap(), rows(2).unwrap(), rows(3).unwrap());
    for path in ["linear", "constant-noise", "trigonometric", "vp", "polynomial:3", "bridge"] {
        let c = coefficients(&path.parse::<PathKind>().unwrap(), &[0.1, 0.3, 0.5, 0.8, 0.9]).unwrap();
        let host = interpolate(&c, Prediction::Velocity, &x0, &x1, Some(&eps)).unwrap();
        let device = interpolate(&c, Prediction::Velocity, &tensor(&x0), &tensor(&x1), Some(&tensor(&eps))).unwrap();
        let close =
            |t: &Tensor, a: &Array2<f32>| flat(t).iter().zip(a).all(|(t, a)| (t - a).abs() <= 1e-6 * (1.0 + a.abs()));
        assert!(close(&device.x_t, &host.x_t) && close(&device.target, &host.target), "{path}");
        if c[0].gamma == 0.0 {
            let host = convert(&c, Prediction::Velocity, Prediction::Data, &host.x_t, &host.target).unwrap();
            let device = convert(&c, Prediction::Velocity, Prediction::Data, &device.x_t, &device.target).unwrap();
            assert!(flat(&device).iter().zip(&host).all(|(t, a)| (t - a).abs() <= 2e-5 * (1.0 + a.abs())), "{path}");
        }
    }
}

#[test]
fn losses_on_tensors_are_the_scalar_formulas() {
    let (p, q) =
        (Tensor::from_slice(&[1f32, 2., 3., -4.]).view([2, 2]), Tensor::from_slice(&[0f32, 2.5, 3., 1.]).view([2, 2]));
    for loss in ["mse", "pseudo-huber:c=0.3"].map(|l| l.parse::<Loss>().unwrap()) {
        for reduction in [Reduction::Mean, Reduction::Sum] {
            let got = flat(&row_losses(&p, &q, &loss, reduction).unwrap());
            let want = [[1.0, -0.5], [0.0, -5.0]].map(|e| loss.value(reduction.reduce(&e)) as f32);
            assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6 * (1.0 + w)), "{loss} {reduction}: {got:?}");
        }
    }
}

/// A prediction that would broadcast against the target is rejected; rows may be single numbers.
#[test]
fn losses_of_other_shapes_are_refused() {
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let losses = |p: &[i64], q: &[i64]| row_losses(&zeros(p), &zeros(q), &Loss::Mse, Reduction::Mean);
    let pairs: [(&[i64], &[i64]); 5] =
        [(&[4, 1], &[4, 2]), (&[1, 2], &[4, 2]), (&[2], &[4, 2]), (&[], &[4, 2]), (&[], &[])];
    for (p, q) in pairs {
        assert!(matches!(losses(p, q), Err(Error::Shape { .. })), "{p:?} {q:?}");
    }
    let shapes: [(&[i64], i64); 4] = [(&[4], 4), (&[0, 2], 0), (&[3, 0], 3), (&[3, 2, 2], 3)];
    for (shape, rows) in shapes {
        assert_eq!(losses(shape, shape).unwrap().size(), [rows], "{shape:?}");
    }
}

/// Norms of batches of single numbers, and of values whose error and scale are both 0, match those
/// of arrays.
#[test]
fn norms_of_rows_that_are_numbers_and_of_nothing() {
    let relative = Tolerance::new(0.1, 0.0);
    let (e, x) = (Tensor::from_slice(&[0.0, 0.1]), Tensor::from_slice(&[0.0, 1.0]));
    assert_eq!(Tensor::row_error_norms(&e, &x, &x, &relative), [0.0, 1.0]);
    assert!((Tensor::error_norm(&e, &x, &x, &relative) - 0.5f64.sqrt()).abs() < 1e-12);
    let nothing = Tensor::zeros([0, 2], (Kind::Double, Device::Cpu));
    assert_eq!(Tensor::error_norm(&nothing, &nothing, &nothing, &relative), 0.0);
    // Under a bound beyond the range of f32, the norm is not finite only for values that are not
    // finite.
    let huge = Tolerance::new(0.0, 1e300);
    for kind in [Kind::Double, Kind::Float] {
        let x = Tensor::from_slice(&[1.0, 1e38, f64::NAN, f64::INFINITY]).to_kind(kind);
        let norms = Tensor::row_error_norms(&x, &x, &x, &huge);
        assert_eq!(norms.iter().map(|norm| norm.is_finite()).collect::<Vec<_>>(), [true, true, false, false]);
    }
    assert!(Tensor::row_error_norms(&nothing, &nothing, &nothing, &relative).is_empty());
}

#[test]
#[should_panic(expected = "term 1 has shape [4, 1], the first [4, 2]")]
fn combinations_do_not_broadcast() {
    let zeros = |dim: i64| Tensor::zeros([4, dim], (Kind::Float, Device::Cpu));
    let _ = Tensor::linear_combination(&[(1.0, &zeros(2)), (1.0, &zeros(1))]);
}

/// Coefficients shared by all rows are filled in on the device; the results are bit-identical to
/// those of uploaded columns.
#[test]
fn shared_coefficients_give_the_bits_of_columns() {
    let state = |seed| {
        Tensor::from_slice(&crate::rng::normal_rows(crate::rng::Key::new(seed, 0, crate::rng::Stream::Data), 5, 7))
            .view([5, 7])
    };
    let (x, y, column) = (state(1), state(2), |c: f64| Tensor::from_slice(&[c as f32; 5]).view([5, 1]));
    let (a, b, rows) = ([0.3; 5], [-1.7; 5], [0.1, 0.2, 0.3, 0.4, 0.5]);
    let rest = Tensor::from_slice(&rows.map(|c| c as f32)).view([5, 1]);
    let want = (&x * column(0.3)).addcmul(&y, &column(-1.7));
    assert_eq!(Tensor::row_combination(&[(&a, &x), (&b, &y)]), want);
    assert_eq!(Tensor::row_combination(&[(&a, &x), (&rows, &y)]), (&x * column(0.3)).addcmul(&y, &rest));
    assert_eq!(Tensor::row_combination(&[(&rows, &x), (&b, &y)]), (&x * &rest).addcmul(&y, &column(-1.7)));
    let mut held = state(3);
    held.assign_row_combination(&[(&a, &x), (&rows, &y), (&b, &y)]);
    assert_eq!(held, &x * column(0.3) + &y * &rest + &y * column(-1.7));
}

#[test]
fn tensors_and_vectors_agree_as_states() {
    let (a, b, e) = (vec![1.0, -2.0, 3.0], vec![0.5, 0.25, -4.0], vec![1e-3, 2e-3, -5e-3]);
    let tensor = |v: &Vec<f64>| Tensor::from_slice(v);
    let want = Vec::linear_combination(&[(1.0, &a), (-0.5, &b), (3.0, &e)]);
    let got = Tensor::linear_combination(&[(1.0, &tensor(&a)), (-0.5, &tensor(&b)), (3.0, &tensor(&e))]);
    assert!(Vec::<f64>::try_from(&got).unwrap().iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-12));
    let (rows, weights) = (|v: &Vec<f64>| Tensor::from_slice(v).view([3, 1]), [[1.0, 2.0, 0.0], [-0.5, 1.0, 4.0]]);
    let terms = [(&weights[0][..], &rows(&a)), (&weights[1][..], &rows(&b)), (&weights[0][..], &rows(&e))];
    let mut held = rows(&e);
    held.assign_row_combination(&terms);
    assert!(held.allclose(&Tensor::row_combination(&terms), 1e-14, 1e-14, false));
    let by_hand = [1.0 - 0.25 + 1e-3, -4.0 + 0.25 + 4e-3, -16.0];
    assert!((held.view(-1) - Tensor::from_slice(&by_hand)).abs().max().double_value(&[]) < 1e-14);
    let mut held = tensor(&a);
    held.assign_combination(&[(1.0, &tensor(&a)), (-0.5, &tensor(&b)), (3.0, &tensor(&e))]);
    assert_eq!(held, got);
    for tol in [Tolerance::new(1e-2, 1e-3), Tolerance::new(vec![1e-2, 1e-3, 0.5], 1e-3)] {
        let batch = |v: &Vec<f64>| Tensor::from_slice(v).view([1, 3]);
        let norm = Tensor::error_norm(&batch(&e), &batch(&a), &batch(&b), &tol);
        assert!((norm - Vec::error_norm(&e, &a, &b, &tol)).abs() < 1e-12);
    }
}

/// Pseudo-Huber as a user would implement it: a value only, without tensor operations.
struct Own;

impl RowLoss for Own {
    fn value(&self, squared: f64) -> f64 {
        (squared + 0.25).sqrt() - 0.5
    }
}

#[test]
fn a_loss_without_tensor_operations_has_the_value_and_the_gradient_of_one_with_them() {
    let squared = || Tensor::from_slice(&[0f32, 1e-4, 0.3, 7.0]).set_requires_grad(true);
    let of = |loss: &dyn RowLoss| {
        let x = squared();
        let losses = loss.on_tensor(&x);
        losses.sum(Kind::Float).backward();
        (losses.detach(), x.grad())
    };
    let ((own, own_slope), (named, slope)) = (of(&Own), of(&Loss::PseudoHuber { c: 0.5 }));
    assert!(own.allclose(&named, 1e-6, 1e-9, false), "{own:?} {named:?}");
    assert!(own_slope.allclose(&slope, 1e-6, 1e-9, false), "{own_slope:?} {slope:?}");
}

/// Of 32-bit values the sums are those of arrays, in f64.
#[test]
fn sums_over_rows_are_those_of_arrays() {
    let x = ndarray::array![[1.0f32, -2.5, 4.0], [0.25, 0.25, 0.25]];
    let y = ndarray::array![[3.0f32, 1.0, -1.0], [2.0, 0.0, 8.0]];
    let (a, b) = (tensor(&x), tensor(&y));
    assert_eq!(a.row_products(&b), x.row_products(&y));
    assert!(a.row_variances().iter().zip(x.row_variances()).all(|(a, b)| (a - b).abs() < 1e-12));
    assert!(a.narrow(1, 0, 1).row_variances().iter().all(|v| v.is_nan()));
    let images = a.view([2, 1, 3]);
    assert_eq!(images.row_products(&images), x.row_products(&x));
    let none = Tensor::zeros([0, 3], (Kind::Float, Device::Cpu));
    assert_eq!((none.row_products(&none), none.row_variances()), (vec![], vec![]));
}
