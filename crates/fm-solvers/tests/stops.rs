//! A solve that stopped early is an error, and the error says why.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::State;
use fm_core::state::Tolerance;
use fm_solvers::tableau::{ALL, DOPRI5, RK4};
use fm_solvers::{AdaptiveOptions, PidController, SaveAt, SolveError, StopReason, adaptive, fixed, per_sample};
use ndarray::{Array2, array};

const SPAN: (f64, f64) = (0.0, 1.0);

fn rtol(rtol: f64, atol: f64) -> AdaptiveOptions {
    AdaptiveOptions { tolerance: Tolerance::new(rtol, atol), ..AdaptiveOptions::default() }
}

/// Why a solve stops, per batch and per row.
fn reasons(field: impl Fn(f64, f64) -> f64, x: f64, options: &AdaptiveOptions) -> [Option<StopReason>; 2] {
    let reason = |error| match error {
        SolveError::Stopped { reason, .. } => Some(reason),
        _ => None,
    };
    let whole = |x: &State, t: f64| x.iter().map(|x| field(*x, t)).collect::<State>();
    let rows =
        |x: &Array2<f64>, t: &[f64], _: &[usize]| Array2::from_shape_fn(x.dim(), |(i, j)| field(x[[i, j]], t[i]));
    [
        adaptive::solve(&whole, vec![x], SPAN, &DOPRI5, options, SaveAt::End).err().and_then(reason),
        per_sample::solve(&rows, array![[x], [x]], SPAN, &DOPRI5, options, SaveAt::End).err().and_then(reason),
    ]
}

#[test]
fn a_solve_that_ran_out_of_evaluations_is_an_error() {
    let options = AdaptiveOptions { max_evaluations: 20, ..AdaptiveOptions::with_tolerance(1e-9) };
    for reason in reasons(|x, _| (50.0 * x).sin(), 1.0, &options) {
        assert!(matches!(reason, Some(StopReason::MaxEvaluations { .. })), "{reason:?}");
    }
    let field = |x: &State, _: f64| vec![(50.0 * x[0]).sin()];
    let error = adaptive::solve(&field, vec![1.0], SPAN, &DOPRI5, &options, SaveAt::End).unwrap_err();
    let partial = adaptive::solve_partial(&field, vec![1.0], SPAN, &DOPRI5, &options, SaveAt::End).unwrap();
    assert!(partial.x[0].is_finite() && partial.stats.evaluations <= 20);
    assert_eq!(partial.into_result().unwrap_err(), error);
    assert!(error.to_string().starts_with("cannot solve to the end: it used up the allowed evaluations"), "{error}");
}

/// Tolerances below the precision end by the step size and not by the first error that overflows.
#[test]
fn tolerances_below_the_precision_underflow_the_step() {
    for tolerance in [1e-40, 1e-160, 1e-300, f64::MIN_POSITIVE] {
        for reason in reasons(|x, t| x.sin() + t, 1.0, &rtol(tolerance, 0.0)) {
            assert!(matches!(reason, Some(StopReason::StepUnderflow { .. })), "{tolerance:e}: {reason:?}");
        }
        for reason in reasons(|x, t| x.sin() + t, 1.0, &rtol(0.0, tolerance)) {
            assert!(matches!(reason, Some(StopReason::StepUnderflow { .. })), "{tolerance:e}: {reason:?}");
        }
    }
}

/// A relative tolerance at a state of 0 is not a broken model: where nothing moves, no error is an
/// error of 0.
#[test]
fn relative_tolerances_at_zero() {
    assert_eq!(reasons(|_, _| 0.0, 0.0, &rtol(1e-6, 0.0)), [None, None]);
    assert_eq!(reasons(|_, t| t.cos(), 0.0, &rtol(1e-6, 0.0)), [None, None]);
}

#[test]
fn values_that_are_not_finite_are_named_and_large_ones_are_not() {
    for bad in [f64::NAN, f64::INFINITY] {
        for reason in reasons(|_, t| if t > 0.5 { bad } else { 1.0 }, 0.0, &AdaptiveOptions::default()) {
            assert!(matches!(reason, Some(StopReason::NonFinite { t }) if (t - 0.5).abs() < 1e-3), "{reason:?}");
        }
        for options in
            [AdaptiveOptions::default(), AdaptiveOptions { first_step: Some(0.1), ..AdaptiveOptions::default() }]
        {
            for reason in reasons(|_, _| 0.0, bad, &options) {
                assert!(matches!(reason, Some(StopReason::NonFinite { .. })), "from {bad}: {reason:?}");
            }
        }
    }
    // A state whose square overflows is a state.
    assert_eq!(reasons(|x, _| -x, 1e200, &AdaptiveOptions::default()), [None, None]);
    for tableau in ALL {
        let decay = |x: &f64, _: f64| -x;
        assert!(fixed::solve(&decay, 1e200, &[0.0, 0.5, 1.0], tableau, SaveAt::End).is_ok(), "{}", tableau.name);
        let overflow = |_: &f64, _: f64| 1e308;
        let solved = fixed::solve(&overflow, 1.7e308, &[0.0, 0.5, 1.0], tableau, SaveAt::End);
        assert!(matches!(solved, Err(SolveError::Stopped { .. })), "{}", tableau.name);
    }
    for reason in reasons(|_, _| 1e308, 1.7e308, &AdaptiveOptions::default()) {
        assert!(matches!(reason, Some(StopReason::NonFinite { .. })), "{reason:?}");
    }
}

#[test]
fn a_first_step_may_be_tiny() {
    for first in [1e-18, 1e-30] {
        let options = AdaptiveOptions { first_step: Some(first), ..AdaptiveOptions::default() };
        assert_eq!(reasons(|x, _| -x, 1.0, &options), [None, None], "{first:e}");
    }
}

#[test]
fn messages_are_one_short_line() {
    let reasons = [1e300, -1e300, 5e-324, f64::NAN].map(|t| StopReason::StepUnderflow { t });
    let stopped = reasons.map(|reason| SolveError::Stopped { row: Some(usize::MAX), reason });
    let still = |x: &f64, _: f64| *x;
    let wide = fixed::solve(&still, 1.0, &[0.0, 1.0], &RK4, SaveAt::At(&[5e-324, 1e300])).unwrap_err();
    let tolerance = adaptive::solve(&still, 1.0, SPAN, &DOPRI5, &rtol(-1e300, -5e-324), SaveAt::End).unwrap_err();
    let shape =
        SolveError::Shape { what: "the velocity", t: 1e300, expected: vec![usize::MAX; 40], got: vec![3; 1000] };
    let probes = SolveError::Divergence { points: vec![3; 100], probes: vec![vec![2; 100]; 1000] };
    for error in stopped.into_iter().chain([wide, tolerance, shape, probes]) {
        let text = error.to_string();
        assert!(text.len() <= 300 && !text.contains('\n'), "{}: {text}", text.len());
    }
}

/// A controller that a solver would refuse gives a finite factor.
#[test]
fn factors_are_bounds_for_broken_controllers() {
    let turned = PidController { min_factor: 10.0, max_factor: 0.2, ..PidController::I };
    assert_eq!(turned.factor(5, [1.0; 3]), 0.2);
    assert_eq!(PidController::I.factor(5, [f64::NAN, 1.0, 1.0]), 0.2);
    assert_eq!(PidController { integral: f64::NAN, ..PidController::I }.factor(5, [0.5; 3]), 0.2);
    assert_eq!(PidController::PID.factor(0, [f64::INFINITY; 3]), 0.2);
}
