//! Row fields: every wrapper gives each row what it gives that row alone, at its own time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::exact::{ExactField, Mixture};
use fm_core::field::{Converted, RowField, VelocityField};
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::schedule::Rescheduled;
use ndarray::{Array2, Axis, array};

fn check(field: &(impl RowField<Array2<f64>> + VelocityField<Array2<f64>>), what: &str) {
    let x = array![[0.3, -1.2], [1.5, 0.4], [-0.7, 2.0], [-0.7, 2.0]];
    let t = [0.1, 0.45, 0.8, 0.8];
    let together = field.velocities(&x, &t, &[0, 1, 2, 3]);
    for (i, t) in t.iter().enumerate() {
        let alone = field.velocity(&x.select(Axis(0), &[i]), *t);
        let off = (&alone.row(0) - &together.row(i)).mapv(f64::abs).sum();
        assert!(off < 1e-13 && alone.iter().all(|v| v.is_finite()), "{what} row {i}: {off}");
    }
}

#[test]
fn rows_at_their_own_times_are_what_they_are_alone() {
    let means = array![[2.0, 0.0], [-1.0, 1.5]];
    let mixture = Mixture::isotropic(&[0.5, 0.5], means.view(), &[0.09, 0.04]).unwrap();
    let exact = || ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0)).unwrap();
    check(&exact(), "exact");
    check(&Rescheduled::new(exact(), PathKind::Linear, PathKind::Trigonometric, (0.1, 0.9)).unwrap(), "rescheduled");

    /// Predicts something that depends on x, t and nothing else.
    struct Some;
    impl RowField<Array2<f64>> for Some {
        fn velocities(&self, x: &Array2<f64>, t: &[f64], _: &[usize]) -> Array2<f64> {
            Array2::from_shape_fn(x.dim(), |(i, j)| x[[i, j]].sin() + t[i])
        }
    }
    impl VelocityField<Array2<f64>> for Some {
        fn velocity(&self, x: &Array2<f64>, t: f64) -> Array2<f64> {
            x.mapv(|x| x.sin() + t)
        }
    }
    for prediction in [Prediction::Velocity, Prediction::Data, Prediction::Noise, Prediction::Score] {
        for path in [PathKind::Linear, PathKind::Trigonometric] {
            check(&Converted::new(Some, path, prediction, (0.1, 0.8)).unwrap(), &format!("{prediction} on {path}"));
        }
    }
}
