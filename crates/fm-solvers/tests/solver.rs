//! Solvers as values: what the functions give, behind any pointer, and methods of other kinds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;
#[path = "../examples/own_method.rs"]
mod own_method;

use common::{State, distance, driven, driven_at, linear, linear_at, slope};
use fm_core::field::VelocityField;
use fm_solvers::tableau::{DOPRI5, HEUN, RK4};
use fm_solvers::{
    Adaptive, AdaptiveOptions, Fixed, Grid, PidController, SaveAt, SolveError, Solver, StopReason, adaptive, fixed,
    solve,
};
use own_method::AdamsBashforth2;
use std::sync::Arc;

#[test]
fn values_solve_as_the_functions_do() {
    let (x0, times) = (vec![1.0, -0.5], [0.1, 0.75]);
    for save in [SaveAt::End, SaveAt::Steps, SaveAt::At(&times)] {
        let grid = Grid::Warp { s: 0.5 };
        let ours = Fixed::rk4(10).grid(grid).solve(&linear, x0.clone(), 0.0..1.0, save).unwrap();
        assert_eq!(ours, fixed::solve(&linear, x0.clone(), &grid.times(10).unwrap(), &RK4, save).unwrap());
        let options = AdaptiveOptions { control: PidController::PI, ..AdaptiveOptions::with_tolerance(1e-7) };
        let solver = Adaptive::default().tolerance(1e-7).controller(PidController::PI);
        let ours = solver.solve(&linear, x0.clone(), 0.0..1.0, save).unwrap();
        assert_eq!(ours, adaptive::solve(&linear, x0.clone(), (0.0, 1.0), &DOPRI5, &options, save).unwrap());
    }
    let named = [Fixed::euler(3), Fixed::midpoint(3), Fixed::heun(3), Fixed::rk4(3), Fixed::new(DOPRI5, 3)];
    assert_eq!(named.map(|s| s.tableau.name), ["euler", "midpoint", "heun", "rk4", "dopri5"]);
    let named = [Adaptive::dopri5(), Adaptive::tsit5(), Adaptive::bogacki_shampine(), Adaptive::dop853()];
    assert_eq!(named.map(|s| s.tableau.name), ["dopri5", "tsit5", "bogacki-shampine", "dop853"]);
}

/// Any span, in both directions, on the times of the grid.
#[test]
fn grids_are_laid_on_the_span() {
    let shift = Fixed::rk4(2).grid(Grid::Shift { s: 3.0 });
    assert_eq!(shift.times(&(0.0..1.0)).unwrap(), [0.0, 0.25, 1.0]);
    assert_eq!(shift.times(&(1.0..0.0)).unwrap(), [1.0, 0.25, 0.0]);
    assert_eq!(shift.times(&(-1.0..3.0)).unwrap(), [-1.0, 0.0, 3.0]);
    let odd = Fixed::rk4(7).times(&(0.1..0.3)).unwrap();
    assert_eq!((odd[0], odd[7]), (0.1, 0.3));
    for span in [0.2..1.4, 1.4..0.2] {
        let x = solve(&driven, driven_at(span.start), span.clone(), &shift_free(60)).unwrap().x;
        assert!(distance(&x, &driven_at(span.end)) < 1e-6);
        let x = solve(&driven, driven_at(span.start), span.clone(), &Adaptive::tsit5().tolerance(1e-9)).unwrap().x;
        assert!(distance(&x, &driven_at(span.end)) < 1e-7);
    }
    for (span, steps) in [(0.0..0.0, 3), (0.0..f64::NAN, 3), (0.0..f64::INFINITY, 3), (0.0..1.0, 0)] {
        assert!(solve(&driven, vec![1.0], span, &Fixed::rk4(steps)).is_err());
    }
}

fn shift_free(steps: usize) -> Fixed {
    Fixed::new(HEUN, steps * 30)
}

/// A solver may be chosen, shared and borrowed, and so may the field.
#[test]
fn solvers_and_fields_behind_pointers() {
    let fixed = Fixed::rk4(10);
    let expected = solve(&linear, vec![1.0, 0.0], 0.0..1.0, &fixed).unwrap();
    let boxed: Box<dyn Solver<State>> = Box::new(fixed.clone());
    let shared: Arc<dyn Solver<State> + Send + Sync> = Arc::new(fixed.clone());
    let field: Box<dyn VelocityField<State>> = Box::new(linear);
    let pointer: &dyn VelocityField<State> = &linear;
    for solution in [
        solve(&field, vec![1.0, 0.0], 0.0..1.0, &boxed),
        solve(pointer, vec![1.0, 0.0], 0.0..1.0, &*boxed),
        solve(pointer, vec![1.0, 0.0], 0.0..1.0, &shared),
        solve(&linear, vec![1.0, 0.0], 0.0..1.0, &&fixed),
        boxed.solve(&field, vec![1.0, 0.0], 0.0..1.0, SaveAt::End),
    ] {
        assert_eq!(solution.unwrap(), expected);
    }
}

#[test]
fn a_solve_that_stops_early_is_an_error_and_has_a_state() {
    let explode = |x: &f64, _: f64| x * x;
    let solver = Adaptive::default().max_evaluations(100);
    let reason = match solve(&explode, 1.0, 0.0..2.0, &solver) {
        Err(SolveError::Stopped { reason, .. }) => reason,
        other => unreachable!("{other:?}"),
    };
    let partial = solver.solve_partial(&explode, 1.0, 0.0..2.0, SaveAt::End).unwrap();
    assert!(partial.stats.reason == reason && partial.x > 2.0);
    let own = AdamsBashforth2 { steps: 2000 }.solve_partial(&explode, 1.0, 0.0..2.0, SaveAt::End).unwrap();
    assert_eq!(own.stats.reason, StopReason::NonFinite { t: 2.0 });
    assert!(solve(&explode, 1.0, 0.0..2.0, &AdamsBashforth2 { steps: 2000 }).is_err());
}

/// The method of the example: order 2, in both directions, with the states at the ends of its
/// steps.
#[test]
fn a_multistep_method_is_a_solver() {
    for span in [0.0..8.0, 8.0..0.0] {
        let points = [400, 600, 800, 1200].map(|steps| {
            let solver: &dyn Solver<State> = &AdamsBashforth2 { steps };
            let solution = solver.solve(&linear, linear_at(span.start), span.clone(), SaveAt::Steps).unwrap();
            assert_eq!((solution.states.len(), solution.stats.evaluations), (steps + 1, steps));
            let off = solution.times.iter().zip(&solution.states).map(|(t, x)| distance(x, &linear_at(*t)));
            (1.0 / steps as f64, off.fold(0.0, f64::max))
        });
        let order = slope(&points);
        assert!((order - 2.0).abs() < 0.1, "{order} {points:?}");
    }
    let solver = AdamsBashforth2 { steps: 10 };
    let at = Solver::solve(&solver, &linear, vec![1.0, 0.0], 0.0..1.0, SaveAt::At(&[0.5]));
    assert_eq!(at.unwrap_err(), SolveError::NoInterpolant);
    let nowhere = Solver::solve(&solver, &linear, vec![1.0, 0.0], 1.0..1.0, SaveAt::End);
    assert_eq!(nowhere.unwrap_err(), SolveError::Span { start: 1.0, end: 1.0 });
}

#[test]
fn the_example_runs() {
    own_method::main().unwrap();
    let [own, midpoint] = own_method::errors(40).unwrap();
    assert!((own - 1.5425e-4).abs() < 1e-8 && own < midpoint, "{own} {midpoint}");
}
