//! Row fields: every wrapper gives each row what it gives that row alone, at its own time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::Error;
use fm_core::exact::{ExactField, Mixture};
use fm_core::field::{ByRef, Converted, RowField, SharedTime, VelocityField};
use fm_core::interpolate::{coefficients, convert, interpolate};
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

/// Batches that would broadcast, or be cut, are errors of `interpolate` and `convert` that name
/// both shapes.
#[test]
fn batches_of_other_shapes_are_errors() {
    let c = coefficients(&PathKind::Linear, &[0.25, 0.5]).unwrap();
    let zeros = |shape: (usize, usize)| Array2::<f64>::zeros(shape);
    let (good, velocity) = (zeros((2, 3)), Prediction::Velocity);
    for shape in [(2, 1), (1, 3), (2, 0), (3, 3), (2, 4)] {
        let what = format!("{shape:?}");
        assert!(interpolate(&c, velocity, &zeros(shape), &good, None).is_err(), "{what}");
        assert!(interpolate(&c, velocity, &good, &zeros(shape), None).is_err(), "{what}");
        assert!(interpolate(&c, velocity, &good, &good, Some(&zeros(shape))).is_err(), "{what}");
        assert!(convert(&c, velocity, Prediction::Data, &good, &zeros(shape)).is_err(), "{what}");
        assert!(convert(&c, velocity, Prediction::Data, &zeros(shape), &good).is_err(), "{what}");
    }
    let error = interpolate(&c, velocity, &zeros((2, 1)), &good, None).unwrap_err();
    assert_eq!(error, Error::Shape { what: "source rows", expected: vec![2, 3], got: vec![2, 1] });
    // A number without axes is no batch.
    let number = ndarray::ArrayD::<f64>::zeros(vec![]);
    assert!(matches!(interpolate(&[], velocity, &number, &number, None), Err(Error::Shape { .. })));
}

/// Where the path stands still, and where there are no rows, the sums keep the shape of the data.
#[test]
fn sums_without_a_weight_have_the_shape_of_the_data() {
    let x = Array2::<f64>::ones((2, 3));
    let still = coefficients(&PathKind::Polynomial { n: 2.0 }, &[0.0, 0.0]).unwrap();
    assert_eq!(interpolate(&still, Prediction::Velocity, &x, &x, None).unwrap().target, Array2::<f64>::zeros((2, 3)));
    let nobody = Array2::<f64>::zeros((0, 3));
    assert_eq!(interpolate(&[], Prediction::Velocity, &nobody, &nobody, None).unwrap().x_t.dim(), (0, 3));
}

/// Wrappers hand a prediction of another shape on, so that a solver can name it.
#[test]
fn wrappers_do_not_broadcast() {
    let narrow = |x: &Array2<f64>, _: f64| Array2::<f64>::ones((x.nrows(), 1));
    let rows = |x: &Array2<f64>, _: &[f64], _: &[usize]| Array2::<f64>::ones((x.nrows(), 1));
    let (x, span) = (Array2::<f64>::ones((2, 3)), (0.1, 0.8));
    let (data, linear) = (Prediction::Data, PathKind::Linear);
    let converted = Converted::new(narrow, linear, data, span).unwrap();
    assert_eq!(converted.velocity(&x, 0.5).dim(), (2, 1));
    let converted = Converted::new(rows, linear, data, span).unwrap();
    assert_eq!(converted.velocities(&x, &[0.5; 2], &[0, 1]).dim(), (2, 1));
    let changed = Rescheduled::new(narrow, linear, PathKind::Trigonometric, span).unwrap();
    assert_eq!(changed.velocity(&x, 0.5).dim(), (2, 1));
    let changed = Rescheduled::new(rows, linear, PathKind::Trigonometric, span).unwrap();
    assert_eq!(changed.velocities(&x, &[0.5; 2], &[0, 1]).dim(), (2, 1));
    assert!(Converted::new(narrow, PathKind::ConstantNoise { sigma: -1.0 }, Prediction::Velocity, span).is_err());
}

/// Fields that were made from a path state it, through every wrapper.
#[test]
fn wrappers_state_the_path_of_their_field() {
    use fm_core::path::{Coefficients, ProbPath};
    type State = Array2<f64>;
    fn of(field: &(impl RowField<State> + ?Sized)) -> Option<Coefficients> {
        field.path_at(0.3)
    }
    fn shared(field: &(impl VelocityField<State> + ?Sized)) -> Option<Coefficients> {
        field.path_at(0.3)
    }
    let (cosine, span) = (PathKind::Trigonometric, (0.1, 0.9));
    let still = |x: &State, _: &[f64], _: &[usize]| x.clone();
    assert_eq!(of(&still), None);
    let converted = || Converted::new(still, cosine, Prediction::Data, span).unwrap();
    let expected = Some(cosine.coefficients(0.3));
    let boxed: Box<dyn RowField<State>> = Box::new(converted());
    assert_eq!([of(&converted()), of(&ByRef(&converted())), of(&boxed)], [expected; 3]);
    assert_eq!(shared(&SharedTime(converted())), expected);
    let along = Rescheduled::new(converted(), cosine, PathKind::Linear, span).unwrap();
    assert_eq!([of(&along), shared(&SharedTime(along))], [Some(PathKind::Linear.coefficients(0.3)); 2]);
    let mixture = Mixture::isotropic(&[1.0], array![[0.0]].view(), &[1.0]).unwrap();
    let exact = ExactField::new(&mixture, cosine, span).unwrap();
    assert_eq!([of(&exact), shared(&exact), shared(&std::rc::Rc::new(exact.clone()))], [expected; 3]);
}

/// The pieces of a field in time pass through every wrapper, at the times of the field.
#[test]
fn wrappers_have_the_segments_of_their_field() {
    struct Pieces;
    impl RowField<Array2<f64>> for Pieces {
        fn velocities(&self, x: &Array2<f64>, _: &[f64], _: &[usize]) -> Array2<f64> {
            x.clone()
        }
        fn segment(&self, t: f64) -> usize {
            usize::from(t > 0.5) + usize::from(t > 0.7)
        }
    }
    impl VelocityField<Array2<f64>> for Pieces {
        fn velocity(&self, x: &Array2<f64>, _: f64) -> Array2<f64> {
            x.clone()
        }
        fn segment(&self, t: f64) -> usize {
            RowField::segment(self, t)
        }
    }
    fn of(field: &impl RowField<Array2<f64>>) -> [usize; 3] {
        [0.5, 0.6, 0.8].map(|t| field.segment(t))
    }
    assert_eq!(of(&Pieces), [0, 1, 2]);
    assert_eq!(of(&ByRef(&Pieces)), [0, 1, 2]);
    let boxed: Box<dyn RowField<Array2<f64>>> = Box::new(Pieces);
    assert_eq!(of(&boxed), [0, 1, 2]);
    let converted = Converted::new(Pieces, PathKind::Linear, Prediction::Data, (0.1, 0.9)).unwrap();
    assert_eq!(of(&converted), [0, 1, 2]);
    assert_eq!([0.5, 0.6, 0.8].map(|t| VelocityField::segment(&converted, t)), [0, 1, 2]);
    assert_eq!(VelocityField::segment(&SharedTime(converted), 0.8), 2);
    // At r = 0.55 of a quarter circle the line is at 0.539.
    let along = Rescheduled::new(Pieces, PathKind::Linear, PathKind::Trigonometric, (0.1, 0.9)).unwrap();
    assert_eq!([0.49, 0.55, 0.8].map(|r| RowField::segment(&along, r)), [0, 1, 2]);
}
