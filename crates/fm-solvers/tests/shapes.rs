//! A field, or noise, of another shape than the state is an error that names both shapes, in every
//! solver and for every kind of state.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::field::{RowField, SharedTime, VelocityField};
use fm_core::path::PathKind;
use fm_core::state::OdeState;
use fm_solvers::sde::{self, Diffusion, Method};
use fm_solvers::straightness::straightness;
use fm_solvers::tableau::{ALL, DOPRI5, RK4};
use fm_solvers::{AdaptiveOptions, Grid, SaveAt, SolveError, adaptive, fixed, per_sample};
use ndarray::{Array1, Array2, ArrayD};

const GRID: [f64; 4] = [0.0, 0.25, 0.5, 0.75];

#[track_caller]
fn names<T>(result: Result<T, SolveError>, expected: &[usize], got: &[usize]) {
    match result.map(|_| ()) {
        Err(SolveError::Shape { expected: e, got: g, .. }) => assert_eq!((&e[..], &g[..]), (expected, got)),
        other => panic!("{other:?}"),
    }
}

/// A field that answers `bad` from time `from` on.
fn check<S: OdeState + Clone>(x: &S, good: &S, bad: &S, from: f64) {
    let field = |_: &S, t: f64| if t >= from { bad.clone() } else { good.clone() };
    let (expected, got) = (x.shape(), bad.shape());
    let tight = AdaptiveOptions { max_step: 0.1, ..AdaptiveOptions::default() };
    for tableau in ALL {
        for output in [SaveAt::End, SaveAt::Steps, SaveAt::At(&[0.1, 0.75])] {
            names(fixed::solve(&field, x.clone(), &GRID, tableau, output), &expected, &got);
            if tableau.e.is_some() {
                names(adaptive::solve(&field, x.clone(), (0.0, 0.75), tableau, &tight, output), &expected, &got);
            }
        }
    }
    for method in [Method::EulerMaruyama, Method::Heun] {
        let how = (method, Diffusion::Sigma { scale: 0.1 });
        let noise = |_| x.clone();
        names(sde::solve(&field, &PathKind::Linear, x.clone(), &GRID, how, noise, SaveAt::End), &expected, &got);
        let still = |_: &S, _: f64| good.clone();
        let noise = |i| if i > 0 { bad.clone() } else { x.clone() };
        names(sde::solve(&still, &PathKind::Linear, x.clone(), &GRID, how, noise, SaveAt::End), &expected, &got);
    }
}

#[test]
fn whole_states_refuse_other_shapes() {
    for from in [0.0, 0.3] {
        for len in [0, 1, 3] {
            check(&vec![1.0, 2.0], &vec![0.5; 2], &vec![0.5; len], from);
            check(&vec![1f32, 2.0], &vec![0.5; 2], &vec![0.5; len], from);
            check(&Array1::<f64>::ones(2), &Array1::zeros(2), &Array1::zeros(len), from);
        }
        for shape in [(2, 1), (1, 3), (3, 2), (2, 4), (0, 3)] {
            check(&Array2::<f64>::ones((2, 3)), &Array2::zeros((2, 3)), &Array2::zeros(shape), from);
        }
        let dynamic = |shape: &[usize]| ArrayD::<f64>::zeros(shape.to_vec());
        for shape in [&[][..], &[2], &[2, 1], &[2, 3, 1], &[1, 2, 3]] {
            check(&dynamic(&[2, 3]), &dynamic(&[2, 3]), &dynamic(shape), from);
        }
    }
}

#[test]
fn rows_refuse_other_shapes() {
    let x = Array2::<f64>::ones((2, 3));
    let options = AdaptiveOptions { max_step: 0.1, ..AdaptiveOptions::default() };
    for shape in [(2, 1), (1, 3), (3, 3), (2, 4), (0, 3)] {
        for from in [0.0, 0.3] {
            let field = |x: &Array2<f64>, t: &[f64], _: &[usize]| {
                if t[0] >= from { Array2::<f64>::zeros(shape) } else { x * 0.1 }
            };
            let (expected, got) = ([2, 3], [shape.0, shape.1]);
            for tableau in ALL.into_iter().filter(|t| t.e.is_some()) {
                for output in [SaveAt::End, SaveAt::Steps, SaveAt::At(&[0.1, 0.5])] {
                    names(
                        per_sample::solve(&field, x.clone(), (0.0, 0.75), tableau, &options, output),
                        &expected,
                        &got,
                    );
                }
            }
            names(straightness(&field, x.clone(), &GRID, &RK4), &expected, &got);
            names(fixed::solve(&SharedTime(field), x.clone(), &GRID, &RK4, SaveAt::End), &expected, &got);
        }
    }
}

/// A velocity that has the right shape only while the solver looks for a first step is refused
/// later.
#[test]
fn shapes_are_compared_at_every_evaluation() {
    let calls = std::cell::Cell::new(0);
    let field = |x: &Vec<f64>, _: f64| {
        calls.set(calls.get() + 1);
        if calls.get() == 4 { vec![0.0] } else { x.clone() }
    };
    let solved = adaptive::solve(&field, vec![1.0, 2.0], (0.0, 1.0), &DOPRI5, &AdaptiveOptions::default(), SaveAt::End);
    names(solved, &[2], &[1]);
    assert_eq!(calls.get(), 4);
}

#[test]
fn single_numbers_are_no_batch_and_rows_may_be_single_numbers() {
    let still = |x: &ArrayD<f64>, _: &[f64], _: &[usize]| x.clone();
    let (number, options) = (ArrayD::<f64>::zeros(vec![]), AdaptiveOptions::default());
    let solved = per_sample::solve(&still, number.clone(), (0.0, 1.0), &DOPRI5, &options, SaveAt::End);
    assert_eq!(solved.map(|_| ()), Err(SolveError::NoRows));
    assert_eq!(straightness(&still, number, &GRID, &RK4), Err(SolveError::NoRows));
    let decay = |x: &Array1<f64>, _: &[f64], _: &[usize]| -x;
    let x = per_sample::solve(&decay, Array1::ones(3), (0.0, 1.0), &DOPRI5, &options, SaveAt::End).unwrap().x;
    assert!(x.iter().all(|x| (x - (-1f64).exp()).abs() < 1e-4));
    assert_eq!(straightness(&decay, Array1::ones(3), &Grid::Uniform.times(4).unwrap(), &RK4).unwrap().len(), 3);
    let nobody = straightness(&decay, Array1::ones(0), &GRID, &RK4);
    assert_eq!(nobody, Ok(vec![]));
}

/// A field can refuse a state before it is evaluated, through every wrapper.
#[test]
fn fields_are_asked_before_they_are_evaluated() {
    struct Never;
    impl RowField<Array2<f64>> for Never {
        fn velocities(&self, x: &Array2<f64>, _: &[f64], _: &[usize]) -> Array2<f64> {
            assert!(x.is_empty(), "evaluated");
            x.clone()
        }
        fn check(&self, x: &Array2<f64>) -> Result<(), fm_core::Error> {
            Err(fm_core::Error::Rows { what: "rows", expected: 0, got: x.nrows() })
        }
    }
    let (x, options) = (Array2::<f64>::ones((2, 3)), AdaptiveOptions::default());
    let refused = |result: Result<(), SolveError>| {
        assert_eq!(result, Err(SolveError::Path(fm_core::Error::Rows { what: "rows", expected: 0, got: 2 })));
    };
    refused(per_sample::solve(&Never, x.clone(), (0.0, 1.0), &DOPRI5, &options, SaveAt::End).map(|_| ()));
    refused(adaptive::solve(&SharedTime(Never), x.clone(), (0.0, 1.0), &DOPRI5, &options, SaveAt::End).map(|_| ()));
    refused(fixed::solve(&SharedTime(Never), x.clone(), &GRID, &RK4, SaveAt::End).map(|_| ()));
    refused(straightness(&Never, x.clone(), &GRID, &RK4).map(|_| ()));
    let how = (Method::Heun, Diffusion::Sigma { scale: 0.1 });
    let noise = |_| x.clone();
    refused(sde::solve(&SharedTime(Never), &PathKind::Linear, x.clone(), &GRID, how, noise, SaveAt::End).map(|_| ()));
    let shifted = fm_solvers::grid::Shifted::new(Never, Grid::Uniform).unwrap();
    refused(per_sample::solve(&shifted, x.clone(), (0.0, 1.0), &DOPRI5, &options, SaveAt::End).map(|_| ()));
    let span = (0.1, 0.9);
    let converted = fm_core::field::Converted::new(Never, PathKind::Linear, "data".parse().unwrap(), span).unwrap();
    refused(per_sample::solve(&converted, x.clone(), span, &DOPRI5, &options, SaveAt::End).map(|_| ()));
    let (linear, curved) = (PathKind::Linear, PathKind::Trigonometric);
    let changed = fm_core::schedule::Rescheduled::new(SharedTime(Never), linear, curved, span).unwrap();
    refused(VelocityField::check(&changed, &x).map_err(SolveError::Path));
}
