//! Dense output: orders, both directions, the ends, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{distance, linear, linear_at, slope, waves, waves_at};
use fm_solvers::tableau::{ALL, DOPRI5};
use fm_solvers::{Adaptive, AdaptiveOptions, Event, SaveAt, SolveError, StopReason, adaptive, dense};

fn times((from, to): (f64, f64), n: usize) -> Vec<f64> {
    (0..=n).map(|i| from + (to - from) * i as f64 / n as f64).collect()
}

/// The function is the one that output at given times is taken from.
#[test]
fn the_function_passes_through_output_at_given_times() {
    for tableau in ALL.into_iter().filter(|t| t.e.is_some()) {
        let solver =
            Adaptive { tableau: *tableau, options: AdaptiveOptions::with_tolerance(1e-6) }.max_evaluations(1 << 20);
        for span in [(0.0, 8.0), (8.0, 0.0)] {
            let solution = dense::solve(&linear, linear_at(span.0), span.0..span.1, &solver).unwrap();
            assert_eq!(solution.span(), span.0..span.1);
            let at = times(span, 50);
            let output = SaveAt::At(&at);
            let known = adaptive::solve(&linear, linear_at(span.0), span, tableau, &solver.options, output).unwrap();
            for (t, x) in at.iter().zip(&known.states) {
                assert!(distance(&solution.at(*t).unwrap(), x) < 1e-12, "{} at {t}", tableau.name);
                assert!(distance(x, &linear_at(*t)) < 3e-4, "{} at {t}", tableau.name);
            }
            assert_eq!((solution.at(span.0).unwrap(), solution.at(span.1).unwrap()), (linear_at(span.0), known.x));
            // At the ends of steps it is the step's state, to the bit.
            let steps =
                adaptive::solve(&linear, linear_at(span.0), span, tableau, &solver.options, SaveAt::Steps).unwrap();
            assert!(steps.times.iter().zip(&steps.states).all(|(t, x)| solution.at(*t).unwrap() == *x));
        }
    }
}

/// With steps of one size the largest error between them falls with the order of the interpolant,
/// plus one, or that of the method.
#[test]
fn errors_between_steps_have_the_order_of_the_interpolant() {
    for (tableau, sizes) in [
        ("dopri5", [0.25, 0.125, 0.0625, 0.03125]),
        ("tsit5", [0.25, 0.125, 0.0625, 0.03125]),
        ("bogacki-shampine", [0.125, 0.0625, 0.03125, 0.015625]),
        ("dop853", [0.5, 0.4, 0.3, 0.24]),
    ] {
        let tableau = **ALL.iter().find(|t| t.name == tableau).unwrap();
        let points = sizes.map(|size| {
            // Every step of this size is accepted.
            let mut solver = Adaptive::new(tableau).tolerance(1e3).max_step(size);
            solver.options.first_step = Some(size);
            let solution = dense::solve(&waves, waves_at(0.0), 0.0..6.0, &solver).unwrap();
            let off = |t: &f64| distance(&solution.at(*t).unwrap(), &waves_at(*t));
            (size, times((0.0, 6.0), 1997).iter().map(off).fold(0.0, f64::max))
        });
        let (order, expected) = (slope(&points), tableau.order.min(tableau.dense_order + 1) as f64);
        assert!((order - expected).abs() < 0.4, "{}: {order} {points:?}", tableau.name);
    }
}

#[test]
fn times_outside_the_solution_are_errors() {
    let solution = dense::solve(&linear, linear_at(1.0), 1.0..-1.0, &Adaptive::default()).unwrap();
    for t in [1.0 + 1e-12, -1.1, f64::NAN, f64::INFINITY] {
        let refused = solution.at(t).unwrap_err();
        assert!(matches!(refused, SolveError::Outside { start: 1.0, end: -1.0, .. }), "{refused:?}");
        assert!(refused.to_string().len() < 300);
    }
    let stop = Event::new(|x: &Vec<f64>, _| x[0]).terminal();
    let solution = dense::solve_with_events(&linear, linear_at(0.0), 0.0..8.0, &Adaptive::tsit5(), &[stop]).unwrap();
    let StopReason::Event { t } = solution.stats.reason else { unreachable!("{:?}", solution.stats) };
    assert_eq!((solution.span(), solution.at(t).unwrap()), (0.0..t, solution.x.clone()));
    assert!(solution.x[0].abs() < 1e-14 && solution.at(t + 1e-9).is_err() && solution.at(0.5 * t).is_ok());
}

#[test]
fn what_cannot_be_solved_is_an_error() {
    let solve = |solver: &Adaptive, span: std::ops::Range<f64>| dense::solve(&linear, linear_at(0.0), span, solver);
    let unable = Adaptive::new(fm_solvers::tableau::RK4);
    assert_eq!(solve(&unable, 0.0..1.0).unwrap_err(), SolveError::NoErrorEstimate { method: "rk4" });
    assert_eq!(solve(&Adaptive::default(), 1.0..1.0).unwrap_err(), SolveError::Span { start: 1.0, end: 1.0 });
    let few = Adaptive::new(DOPRI5).max_evaluations(20);
    assert!(matches!(
        solve(&few, 0.0..8.0),
        Err(SolveError::Stopped { reason: StopReason::MaxEvaluations { .. }, .. })
    ));
}
