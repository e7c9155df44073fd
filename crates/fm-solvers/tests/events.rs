//! Events: SciPy's times and states, closed forms, directions, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{State, distance, numbers, reference};
use fm_solvers::{Adaptive, Direction, Event, SaveAt, SolveError, StopReason, events};
use serde_json::Value;

fn solvers(reference: &Value) -> [(Adaptive, &Value); 2] {
    let tolerance = reference["tolerance"].as_f64().unwrap();
    [Adaptive::dopri5(), Adaptive::dop853()].map(|solver| {
        let name = solver.tableau.name;
        (solver.tolerance(tolerance).max_evaluations(1 << 20), &reference[name])
    })
}

#[track_caller]
fn close(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len(), "{ours:?} {theirs:?}");
    assert!(ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < tolerance), "{ours:?} {theirs:?}");
}

/// All numbers by `tests/reference/events.py`.
#[test]
fn a_bouncing_ball_with_drag_is_scipys() {
    let field = |x: &State, _: f64| vec![x[1], -9.81 - 0.1 * x[1] * x[1].abs()];
    for (solver, known) in solvers(&reference("events")) {
        let (mut t, mut x) = (0.0, vec![2.0, 0.0]);
        let (mut bounces, mut tops) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let ground = Event::new(|x: &State, _| x[0]).falling().terminal();
            let top = Event::new(|x: &State, _| x[1]).falling();
            let found = events::solve(&field, x, t..10.0, &solver, &[ground, top], SaveAt::End).unwrap();
            assert_eq!(found.solution.stats.reason, StopReason::Event { t: found.events[0].times[0] });
            assert_eq!(found.solution.x, found.events[0].states[0]);
            (t, x) = (found.events[0].times[0], vec![0.0, -0.8 * found.solution.x[1]]);
            bounces.push(t);
            tops.extend(found.events[1].times.iter().zip(&found.events[1].states).map(|(t, x)| vec![*t, x[0]]));
        }
        close(&bounces, &numbers(&known["ball"]["bounces"]), 1e-10);
        let known: Vec<f64> = known["ball"]["tops"].as_array().unwrap().iter().flat_map(numbers).collect();
        close(&tops.concat(), &known, 1e-10);
    }
}

#[test]
fn a_section_of_the_lorenz_attractor_is_scipys() {
    let field =
        |x: &State, _: f64| vec![10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]];
    let section = || Event::new(|x: &State, _| x[2] - 27.0);
    for (solver, known) in solvers(&reference("events")) {
        let wanted = [section(), section().rising(), section().falling()];
        let found = events::solve(&field, vec![1.0; 3], 0.0..8.0, &solver, &wanted, SaveAt::End).unwrap();
        assert_eq!(found.solution.stats.reason, StopReason::ReachedEnd);
        for (ours, theirs) in found.events.iter().zip(known["lorenz"]["times"].as_array().unwrap()) {
            // Chaos: rounding errors grow by e^(0.9 t).
            close(&ours.times, &numbers(theirs), 1e-9);
        }
        for (ours, theirs) in found.events[0].states.iter().zip(known["lorenz"]["states"].as_array().unwrap()) {
            assert!(distance(ours, &numbers(theirs)) < 1e-7 && (ours[2] - 27.0).abs() < 1e-12, "{ours:?}");
        }
    }
}

#[test]
fn the_period_of_a_pendulum_is_an_elliptic_integral() {
    let (reference, field) = (reference("events"), |x: &State, _: f64| vec![x[1], -x[0].sin()]);
    let period = reference["period"].as_f64().unwrap();
    for (solver, known) in solvers(&reference) {
        for (name, end) in [("forwards", 30.0), ("backwards", -30.0)] {
            let passage = [Event::new(|x: &State, _| x[0]).rising()];
            let found = events::solve(&field, vec![2.0, 0.0], 0.0..end, &solver, &passage, SaveAt::End).unwrap();
            let times = &found.events[0].times;
            close(times, &numbers(&known["pendulum"][name]), 1e-10);
            for (i, t) in times.iter().enumerate() {
                // From rest on the right it swings through the middle after a quarter of a period,
                // to the right after three.
                assert!((t.abs() - (0.75 + i as f64) * period).abs() < 2e-7, "{i}: {t} {period}");
            }
        }
    }
}

/// cos t in both directions of time; output times between and after terminal events.
#[test]
fn directions_are_along_the_solve_and_output_ends_with_it() {
    let (field, solver) = (|x: &State, _: f64| vec![-x[1], x[0]], Adaptive::dop853().tolerance(1e-12));
    let x0 = vec![0.2f64.cos(), 0.2f64.sin()]; // the point at angle t + 0.2
    let half = std::f64::consts::FRAC_PI_2;
    for (end, expected) in [
        (7.0, [vec![half - 0.2, 3.0 * half - 0.2], vec![3.0 * half - 0.2], vec![half - 0.2]]),
        (-7.0, [vec![-half - 0.2, -3.0 * half - 0.2], vec![-3.0 * half - 0.2], vec![-half - 0.2]]),
    ] {
        let wanted = [Direction::Either, Direction::Rising, Direction::Falling]
            .map(|direction| Event::new(|x: &State, _| x[0]).direction(direction));
        let found = events::solve(&field, x0.clone(), 0.0..end, &solver, &wanted, SaveAt::End).unwrap();
        found.events.iter().zip(&expected).for_each(|(ours, expected)| close(&ours.times, expected, 1e-10));
        // Two terminal events: the first in time counts, whichever comes first in the list; later
        // zeros do not happen.
        let wanted = [
            Event::new(|_: &State, t: f64| t.abs() - 3.0).terminal(),
            Event::new(|_: &State, t: f64| t.abs() - 2.5).terminal(),
            Event::new(|_: &State, t: f64| 2.5 - t.abs()),
            Event::new(|_: &State, t: f64| t.abs() - 2.500001),
        ];
        let times = [0.0, 1.0, 2.0, 2.4, 2.6, 5.0].map(|t: f64| t.copysign(end));
        for output in [SaveAt::At(&times), SaveAt::Steps] {
            let found = events::solve(&field, x0.clone(), 0.0..end, &solver, &wanted, output).unwrap();
            let stop = 2.5f64.copysign(end);
            assert!(matches!(found.solution.stats.reason, StopReason::Event { t } if (t - stop).abs() < 1e-14));
            assert_eq!(found.events.iter().map(|e| e.times.len()).collect::<Vec<_>>(), [0, 1, 1, 0]);
            let solution = found.solution;
            if output == SaveAt::Steps {
                assert_eq!(solution.states.last(), Some(&solution.x));
            } else {
                assert_eq!(solution.times, times[..4]);
            }
            for (t, x) in solution.times.iter().zip(&solution.states) {
                assert!(distance(x, &[(t + 0.2).cos(), (t + 0.2).sin()]) < 1e-10, "{t}");
            }
        }
    }
}

/// A zero at the start, at the end of a step, and without a change of sign.
#[test]
fn zeros_at_ends_of_steps_count_once() {
    let still = |_: &f64, _: f64| 1.0;
    let mut solver = Adaptive::dopri5().max_step(0.25);
    solver.options.first_step = Some(0.25);
    let count = |g: fn(&f64, f64) -> f64| {
        let found = events::solve(&still, 0.0, 0.0..1.0, &solver, &[Event::new(g)], SaveAt::End).unwrap();
        found.events[0].times.clone()
    };
    assert_eq!(count(|x, _| *x), [0.0; 0], "at the start");
    assert_eq!(count(|_, t| t - 0.5), [0.5], "at the end of a step");
    assert_eq!(count(|_, t| t - 1.0), [1.0], "at the end of the solve");
    assert_eq!(count(|x, _| (x - 0.6) * (x - 0.6)), [0.0; 0], "touched within a step");
    assert_eq!(count(|x, _| if *x < 0.6 { f64::NEG_INFINITY } else { f64::INFINITY }).len(), 1, "infinite");
}

/// Within one step, too, events happen in the order of the solve.
#[test]
fn the_first_of_two_terminal_events_in_a_step_ends_the_solve() {
    let still = |_: &f64, _: f64| 1.0;
    let mut solver = Adaptive::dopri5();
    solver.options.first_step = Some(1.0);
    for end in [1.0, -1.0] {
        let events = [0.6, 0.5, 0.4].map(|at: f64| Event::new(move |_: &f64, t: f64| t.abs() - at));
        let [late, early, before] = events;
        let events = [late.terminal(), early.terminal(), before];
        let found = events::solve(&still, 0.0, 0.0..end, &solver, &events, SaveAt::End).unwrap();
        assert!((found.solution.x - 0.5 * end).abs() < 1e-15);
        assert_eq!(found.events.iter().map(|e| e.times.len()).collect::<Vec<_>>(), [0, 1, 1]);
    }
}

#[test]
fn event_functions_that_are_nan_and_solves_that_fail_are_errors() {
    let decay = |x: &f64, _: f64| -x;
    let good = || Event::new(|x: &f64, _| x - 0.5);
    let solve = |event, solver: &Adaptive| events::solve(&decay, 1.0, 0.0..1.0, solver, &[good(), event], SaveAt::End);
    let refused = solve(Event::new(|_: &f64, _| f64::NAN), &Adaptive::default()).unwrap_err();
    assert!(matches!(refused, SolveError::Event { index: 1, t: 0.0 }), "{refused:?}");
    let later = solve(Event::new(|_: &f64, t| if t > 0.5 { f64::NAN } else { 1.0 }), &Adaptive::default()).unwrap_err();
    assert!(matches!(later, SolveError::Event { index: 1, t } if t > 0.5), "{later:?}");
    let within = Event::new(|_: &f64, t| if t > 0.4 && t < 0.401 { f64::NAN } else { t - 0.4005 });
    let found = solve(within, &Adaptive::default());
    assert!(matches!(found, Err(SolveError::Event { index: 1, t }) if t > 0.4 && t < 0.401), "{found:?}");
    let few = Adaptive::default().max_evaluations(3);
    assert!(matches!(solve(good(), &few), Err(SolveError::Stopped { .. })));
    let error = SolveError::Event { index: usize::MAX, t: 5e-324 }.to_string();
    assert!(error.len() < 300 && !error.contains('\n'), "{error}");
}

#[path = "../examples/lorenz.rs"]
mod lorenz;

/// Numbers by SciPy's DOP853 at 1e-12, as in `tests/reference/events.py`.
#[test]
fn the_example_runs() {
    lorenz::main().unwrap();
    let attractor = lorenz::attractor().unwrap();
    let reference = &reference("events")["example"];
    let end = attractor.span().end;
    assert!((end - reference["end"].as_f64().unwrap()).abs() < 1e-4, "{end} {reference}");
    close(&attractor.events[0].times, &numbers(&reference["section"]), 1e-4);
    assert!((attractor.at(5.0).unwrap()[0] - reference["x5"].as_f64().unwrap()).abs() < 1e-6);
}
