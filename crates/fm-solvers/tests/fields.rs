//! A field behind any pointer is the field: the same numbers from every solver, through every
//! wrapper, after the field's own check.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::field::{ByRef, Converted, RowField, SharedTime, VelocityField};
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_solvers::straightness::straightness;
use fm_solvers::tableau::{DOPRI5, RK4};
use fm_solvers::{AdaptiveOptions, Grid, SaveAt, SolveError, adaptive, fixed, grid::Shifted, per_sample};
use ndarray::{Array2, array};
use std::rc::Rc;
use std::sync::Arc;

type State = Array2<f64>;

/// Predicts a t x, and refuses an empty batch.
struct Growth(f64);

impl VelocityField<State> for Growth {
    fn velocity(&self, x: &State, t: f64) -> State {
        x * (self.0 * t)
    }
    fn check(&self, x: &State) -> Result<(), fm_core::Error> {
        RowField::check(self, x)
    }
}

impl RowField<State> for Growth {
    fn velocities(&self, x: &State, t: &[f64], _: &[usize]) -> State {
        State::from_shape_fn(x.dim(), |(i, j)| self.0 * t[i] * x[[i, j]])
    }
    fn check(&self, x: &State) -> Result<(), fm_core::Error> {
        let refusal = fm_core::Error::Rows { what: "rows", expected: 2, got: 0 };
        if x.is_empty() { Err(refusal) } else { Ok(()) }
    }
}

fn x0() -> State {
    array![[1.0, -0.5], [2.0, 0.25]]
}

/// Ends by fixed and by adaptive steps.
fn whole(field: &(impl VelocityField<State> + ?Sized)) -> Vec<State> {
    let refused = fixed::solve(field, State::zeros((0, 2)), &[0.0, 1.0], &RK4, SaveAt::End);
    assert!(matches!(refused, Err(SolveError::Path(_))), "the field's own check is called");
    let options = AdaptiveOptions::with_tolerance(1e-9);
    vec![
        fixed::solve(field, x0(), &Grid::Uniform.times(16).unwrap(), &RK4, SaveAt::End).unwrap().x,
        adaptive::solve(field, x0(), (0.0, 1.0), &DOPRI5, &options, SaveAt::End).unwrap().x,
    ]
}

fn by_rows(field: &(impl RowField<State> + ?Sized)) -> Vec<State> {
    let options = AdaptiveOptions::with_tolerance(1e-9);
    let refused = per_sample::solve(field, State::zeros((0, 2)), (0.0, 1.0), &DOPRI5, &options, SaveAt::End);
    assert!(matches!(refused, Err(SolveError::Path(_))), "the field's own check is called");
    let bent = straightness(field, x0(), &Grid::Uniform.times(16).unwrap(), &RK4).unwrap();
    let solved = per_sample::solve(field, x0(), (0.0, 1.0), &DOPRI5, &options, SaveAt::End).unwrap().x;
    vec![solved, State::from_shape_vec((2, 1), bent).unwrap()]
}

/// Ends of a field that is taken by value, bare and in wrappers.
fn wrapped<F: VelocityField<State>>(make: impl Fn() -> F) -> Vec<State> {
    let converted = Converted::new(make(), PathKind::Linear, Prediction::Velocity, (0.0, 1.0)).unwrap();
    let shifted = Shifted::new(make(), Grid::Shift { s: 3.0 }).unwrap();
    [whole(&make()), whole(&converted), whole(&shifted)].concat()
}

fn wrapped_rows<F: RowField<State>>(make: impl Fn() -> F) -> Vec<State> {
    let converted = Converted::new(make(), PathKind::Linear, Prediction::Velocity, (0.0, 1.0)).unwrap();
    let shifted = Shifted::new(make(), Grid::Shift { s: 3.0 }).unwrap();
    [by_rows(&make()), by_rows(&converted), by_rows(&shifted), whole(&SharedTime(make()))].concat()
}

#[test]
fn whole_fields_behind_pointers() {
    let field = Growth(-0.8);
    let expected = wrapped(|| Growth(-0.8));
    assert!((expected[1][[0, 0]] - (-0.4f64).exp()).abs() < 1e-8);
    let pointer: &dyn VelocityField<State> = &field;
    assert_eq!(whole(pointer), expected[..2], "an unsized field");
    assert_eq!(wrapped(|| pointer), expected);
    let shared: &(dyn VelocityField<State> + Send + Sync) = &field;
    assert_eq!(wrapped(|| shared), expected);
    assert_eq!(wrapped(|| Box::new(Growth(-0.8)) as Box<dyn VelocityField<State>>), expected);
    assert_eq!(wrapped(|| Box::new(Growth(-0.8)) as Box<dyn VelocityField<State> + Send>), expected);
    assert_eq!(wrapped(|| Arc::new(Growth(-0.8))), expected);
    assert_eq!(wrapped(|| Arc::new(Growth(-0.8)) as Arc<dyn VelocityField<State> + Send + Sync>), expected);
    assert_eq!(wrapped(|| Rc::new(Growth(-0.8)) as Rc<dyn VelocityField<State>>), expected);
    assert_eq!(wrapped(|| ByRef(&field)), expected);
    assert_eq!(wrapped(|| ByRef(pointer)), expected);
}

#[test]
fn row_fields_behind_pointers() {
    let field = Growth(-0.8);
    let expected = wrapped_rows(|| Growth(-0.8));
    let pointer: &dyn RowField<State> = &field;
    assert_eq!(by_rows(pointer), expected[..2], "an unsized field");
    assert_eq!(wrapped_rows(|| pointer), expected);
    let shared: &(dyn RowField<State> + Send + Sync) = &field;
    assert_eq!(wrapped_rows(|| shared), expected);
    assert_eq!(wrapped_rows(|| Box::new(Growth(-0.8)) as Box<dyn RowField<State>>), expected);
    assert_eq!(wrapped_rows(|| Box::new(Growth(-0.8)) as Box<dyn RowField<State> + Send + Sync>), expected);
    assert_eq!(wrapped_rows(|| Arc::new(Growth(-0.8))), expected);
    assert_eq!(wrapped_rows(|| Arc::new(Growth(-0.8)) as Arc<dyn RowField<State>>), expected);
    assert_eq!(wrapped_rows(|| Rc::new(Growth(-0.8))), expected);
    assert_eq!(wrapped_rows(|| ByRef(&field)), expected);
}

/// Closures, references to them and boxes of them stay fields.
#[test]
fn closures_behind_pointers() {
    let field = |x: &f64, t: f64| -2.0 * t * x;
    let end = |field: &dyn VelocityField<f64>| fixed::solve(field, 1.0, &[0.0, 0.5, 1.0], &RK4, SaveAt::End).unwrap().x;
    type Function = dyn Fn(&f64, f64) -> f64;
    let boxed: Box<Function> = Box::new(field);
    assert_eq!([end(&&field), end(&boxed), end(&ByRef(&field))], [end(&field); 3]);
    let fields: Vec<Box<dyn VelocityField<f64>>> = vec![
        Box::new(field),
        Box::new(Converted::new(|_: &f64, _: f64| 3.0, PathKind::Linear, Prediction::Data, (0.0, 0.5)).unwrap()),
    ];
    assert_eq!(fields.iter().map(|field| field.velocity(&1.0, 0.5)).collect::<Vec<_>>(), [-1.0, 4.0]);
}
