//! Steps chosen by error, for a whole state and for each row: accuracy, honesty of the counts,
//! independence, and what happens when things go wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{State, distance, driven, driven_at, linear, linear_at, numbers, reference, van_der_pol};
use fm_core::field::RowField;
use fm_core::state::{RowState, Tolerance};
use fm_solvers::per_sample::{self, BatchSolution};
use fm_solvers::tableau::{ALL, DOPRI5, RK4, Tableau};
use fm_solvers::{AdaptiveOptions, PidController, SaveAt, SolveError, StopReason, adaptive};
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;
use std::cell::Cell;

fn embedded() -> impl Iterator<Item = &'static Tableau> {
    ALL.into_iter().filter(|t| t.e.is_some())
}

#[test]
fn errors_follow_the_tolerance_and_counts_are_honest() {
    for tableau in embedded() {
        for control in [PidController::I, PidController::PI, PidController::PID] {
            for (span, start, end) in [((0.0, 1.5), 0.0, 1.5), ((1.5, 0.0), 1.5, 0.0)] {
                let mut last = usize::MAX;
                for tolerance in [1e-7, 1e-5, 1e-3] {
                    let calls = Cell::new(0);
                    let counting = |x: &State, t: f64| {
                        calls.set(calls.get() + 1);
                        driven(x, t)
                    };
                    let options = AdaptiveOptions {
                        control,
                        max_evaluations: 100_000,
                        ..AdaptiveOptions::with_tolerance(tolerance)
                    };
                    let solution =
                        adaptive::solve(&counting, driven_at(start), span, tableau, &options, SaveAt::End).unwrap();
                    let what = format!("{} {control:?} {span:?} {tolerance}: {:?}", tableau.name, solution.stats);
                    assert_eq!(solution.stats.reason, StopReason::ReachedEnd, "{what}");
                    assert!(distance(&solution.x, &driven_at(end)) < 60.0 * tolerance, "{what}");
                    assert_eq!(solution.stats.evaluations, calls.get(), "{what}");
                    assert!(calls.get() < last, "a looser tolerance must be cheaper: {what}");
                    last = calls.get();
                }
            }
        }
    }
}

#[test]
fn output_is_what_was_asked_for() {
    let options = AdaptiveOptions::with_tolerance(1e-9);
    let times: Vec<f64> = (0..=20).map(|i| f64::from(i) / 20.0 * 8.0).collect();
    for tableau in embedded() {
        let options = AdaptiveOptions { max_evaluations: 1_000_000, ..options.clone() };
        let at = |times: &[f64], span: (f64, f64)| {
            adaptive::solve(&linear, linear_at(span.0), span, tableau, &options, SaveAt::At(times)).unwrap()
        };
        let forwards = at(&times, (0.0, 8.0));
        assert_eq!((&forwards.times, &forwards.states[20]), (&times, &forwards.x), "{}", tableau.name);
        let backwards: Vec<f64> = times.iter().rev().copied().collect();
        for solution in [forwards, at(&backwards, (8.0, 0.0))] {
            for (t, x) in solution.times.iter().zip(&solution.states) {
                assert!(distance(x, &linear_at(*t)) < 2e-7, "{} at {t}", tableau.name);
            }
        }
    }
    let steps = adaptive::solve(&linear, linear_at(0.0), (0.0, 8.0), &DOPRI5, &options, SaveAt::Steps).unwrap();
    assert_eq!(steps.states.len(), steps.stats.accepted + 1);
    assert_eq!((steps.times[0], steps.times.last()), (0.0, Some(&8.0)));
    let smallest = steps.times.windows(2).map(|p| p[1] - p[0]).fold(f64::INFINITY, f64::min);
    assert!((steps.stats.smallest_step - smallest).abs() < 1e-12);
}

#[test]
fn bounds_on_steps_and_tolerances_by_dimension() {
    let solve = |options: &AdaptiveOptions| {
        adaptive::solve_partial(&linear, linear_at(0.0), (0.0, 8.0), &DOPRI5, options, SaveAt::Steps).unwrap()
    };
    let free = solve(&AdaptiveOptions::with_tolerance(1e-6));
    let capped = solve(&AdaptiveOptions { max_step: 0.125, ..AdaptiveOptions::with_tolerance(1e-6) });
    assert!(capped.times.windows(2).all(|p| p[1] - p[0] <= 0.125 + 1e-12) && capped.stats.accepted >= 64);
    assert!(free.stats.accepted < 40);
    // A given first step saves the evaluation that Hairer's rule costs.
    let told = solve(&AdaptiveOptions { first_step: Some(0.05), ..AdaptiveOptions::with_tolerance(1e-6) });
    assert!((told.times[1] - 0.05).abs() < 1e-12);
    assert_eq!(told.stats.evaluations, 1 + 6 * (told.stats.accepted + told.stats.rejected));
    let stuck = solve(&AdaptiveOptions { min_step: 1.0, ..AdaptiveOptions::with_tolerance(1e-9) });
    assert!(matches!(stuck.stats.reason, StopReason::StepUnderflow { .. }), "{:?}", stuck.stats);
    // Two oscillators that know nothing of each other; only the first one's error counts.
    let both = |x: &State, _: f64| vec![x[1], -x[0], 50.0 * x[3], -50.0 * x[2]];
    let with = |atol: Vec<f64>| {
        let options = AdaptiveOptions { tolerance: Tolerance::new(0.0, atol), ..AdaptiveOptions::default() };
        let x = adaptive::solve(&both, vec![1.0, 0.0, 1.0, 0.0], (0.0, 2.0), &DOPRI5, &options, SaveAt::End).unwrap();
        (x.stats.evaluations, (x.x[0] - 2f64.cos()).abs(), (x.x[2] - 100f64.cos()).abs())
    };
    let (cheap, first, _) = with(vec![1e-7, 1e-7, 1e6, 1e6]);
    let (dear, _, second) = with(vec![1e6, 1e6, 1e-7, 1e-7]);
    assert!(first < 1e-5 && second < 1e-4 && 5 * cheap < dear, "{cheap} {first} {dear} {second}");
}

#[test]
fn trouble_is_a_reason_and_never_a_hang() {
    let explode = |x: &State, _: f64| vec![x[0] * x[0]]; // x = 1/(1 - t): singular at 1
    for tableau in embedded() {
        let options = AdaptiveOptions::with_tolerance(1e-6);
        let solution =
            adaptive::solve_partial(&explode, vec![1.0], (0.0, 2.0), tableau, &options, SaveAt::End).unwrap();
        let (StopReason::StepUnderflow { t } | StopReason::NonFinite { t } | StopReason::MaxEvaluations { t }) =
            solution.stats.reason
        else {
            panic!("{} {:?}", tableau.name, solution.stats)
        };
        assert!((t - 1.0).abs() < 0.1 && solution.stats.evaluations <= 10_000, "{} {:?}", tableau.name, solution.stats);

        let nan = |_: &State, t: f64| vec![if t > 0.5 { f64::NAN } else { 1.0 }];
        let solution = adaptive::solve_partial(&nan, vec![1.0], (0.0, 1.0), tableau, &options, SaveAt::Steps).unwrap();
        let StopReason::NonFinite { t } = solution.stats.reason else {
            panic!("{} {:?}", tableau.name, solution.stats)
        };
        assert!((t - 0.5).abs() < 1e-6 && (solution.x[0] - 1.0 - t).abs() < 1e-9, "the good state comes back: {t}");
        assert!(solution.stats.evaluations < 500 + 10 * tableau.stages(), "{:?}", solution.stats);
        assert_eq!(solution.times.last(), Some(&t));

        let coarse = AdaptiveOptions { min_step: 1e-3, ..options.clone() };
        let solution = adaptive::solve_partial(&nan, vec![1.0], (0.0, 1.0), tableau, &coarse, SaveAt::End).unwrap();
        let StopReason::NonFinite { t } = solution.stats.reason else {
            panic!("{} {:?}", tableau.name, solution.stats)
        };
        assert!((t - 0.5).abs() < 2e-2, "it is the NaN that ends it, not the smallest step: {t}");

        let always = |_: &State, _: f64| vec![f64::NAN];
        let solution =
            adaptive::solve_partial(&always, vec![1.0], (0.25, 1.0), tableau, &options, SaveAt::End).unwrap();
        assert_eq!((solution.stats.reason, solution.x[0]), (StopReason::NonFinite { t: 0.25 }, 1.0));
    }
    // Stiff: x' = -1e6 (x - cos t). Bounded evaluations, then the state reached.
    let stiff = |x: &State, t: f64| vec![-1e6 * (x[0] - t.cos())];
    let options = AdaptiveOptions { max_evaluations: 2_000, ..AdaptiveOptions::with_tolerance(1e-6) };
    let solution = adaptive::solve_partial(&stiff, vec![0.0], (0.0, 1.0), &DOPRI5, &options, SaveAt::End).unwrap();
    let StopReason::MaxEvaluations { t } = solution.stats.reason else { panic!("{:?}", solution.stats) };
    assert!(t > 0.0 && t < 1.0 && solution.stats.evaluations <= 2_000 && (solution.x[0] - t.cos()).abs() < 1e-3);
}

#[test]
fn impossible_requests_are_errors() {
    let solve = |o: &AdaptiveOptions, tableau, span: (f64, f64)| {
        adaptive::solve(&linear, vec![1.0, 0.0], span, tableau, o, SaveAt::End).unwrap_err()
    };
    let span = (0.0, 1.0);
    let good = AdaptiveOptions::default();
    for (rtol, atol) in [(0.0, 0.0), (f64::NAN, 1.0), (-1.0, 2.0), (f64::INFINITY, 0.0)] {
        let options = AdaptiveOptions { tolerance: Tolerance::new(rtol, atol), ..good.clone() };
        assert!(matches!(solve(&options, &DOPRI5, span), SolveError::Tolerance { .. }));
    }
    // rtol 0 alone is a request that can be met.
    let absolute = AdaptiveOptions { tolerance: Tolerance::new(0.0, 1e-6), ..good.clone() };
    assert!(adaptive::solve(&linear, vec![1.0, 0.0], span, &DOPRI5, &absolute, SaveAt::End).is_ok());
    let many = AdaptiveOptions { tolerance: Tolerance::new(vec![1e-3; 3], 0.0), ..good.clone() };
    assert_eq!(solve(&many, &DOPRI5, span), SolveError::ToleranceCount { given: 3, dimension: 2 });
    let none = AdaptiveOptions { tolerance: Tolerance::new(vec![], 1e-3), ..good.clone() };
    assert_eq!(solve(&none, &DOPRI5, span), SolveError::ToleranceCount { given: 0, dimension: 2 });
    assert_eq!(solve(&good, &RK4, span), SolveError::NoErrorEstimate { method: "rk4" });
    for span in [(0.0, 0.0), (0.0, f64::NAN), (f64::NEG_INFINITY, 0.0), (f64::MIN, f64::MAX)] {
        assert!(matches!(solve(&good, &DOPRI5, span), SolveError::Span { .. }));
    }
    for bad in [
        AdaptiveOptions { first_step: Some(0.0), ..good.clone() },
        AdaptiveOptions { max_step: 0.0, ..good.clone() },
        AdaptiveOptions { max_step: f64::NAN, ..good.clone() },
        AdaptiveOptions { min_step: f64::NAN, ..good.clone() },
        AdaptiveOptions { min_step: 2.0, max_step: 1.0, ..good.clone() },
        AdaptiveOptions { control: PidController { integral: 0.0, ..PidController::I }, ..good.clone() },
        AdaptiveOptions { control: PidController { max_factor: 0.5, ..PidController::I }, ..good.clone() },
        AdaptiveOptions { control: PidController { min_factor: 1.5, ..PidController::I }, ..good.clone() },
        AdaptiveOptions { control: PidController { safety: 2.0, ..PidController::I }, ..good.clone() },
        AdaptiveOptions { control: PidController { derivative: f64::NAN, ..PidController::I }, ..good.clone() },
        AdaptiveOptions { max_evaluations: 0, ..good.clone() },
    ] {
        assert!(matches!(solve(&bad, &DOPRI5, span), SolveError::Control { .. }), "{bad:?}");
    }
}

/// Row i is a Van der Pol oscillator with mu = i / 2.
struct Oscillators;

impl RowField<Array2<f64>> for Oscillators {
    fn velocities(&self, x: &Array2<f64>, _: &[f64], rows: &[usize]) -> Array2<f64> {
        let mut out = x.clone();
        for ((mut out, x), row) in out.outer_iter_mut().zip(x.outer_iter()).zip(rows) {
            let state = x.to_vec();
            out.assign(&ndarray::Array1::from(van_der_pol(*row as f64 / 2.0)(&state, 0.0)));
        }
        out
    }
}

/// Rows of another batch: row i of it is row `of[i]` of the whole.
struct Of<'a>(&'a [usize]);

impl RowField<Array2<f64>> for Of<'_> {
    fn velocities(&self, x: &Array2<f64>, t: &[f64], rows: &[usize]) -> Array2<f64> {
        Oscillators.velocities(x, t, &rows.iter().map(|r| self.0[*r]).collect::<Vec<_>>())
    }
}

fn batch(n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, 2), |(i, j)| if j == 0 { 2.0 - 0.3 * i as f64 } else { 0.1 * i as f64 })
}

fn bits(x: &BatchSolution<Array2<f64>>, row: usize) -> Vec<u64> {
    let states = x.states.iter().flat_map(|s| s.row(row).to_vec());
    let path = x.trajectories.get(row).into_iter().flatten().flat_map(|(t, s)| [*t, s[[0, 0]], s[[0, 1]]]);
    x.x.row(row).iter().copied().chain(states).chain(path).map(f64::to_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any subset in any order gives each row the same bits and the same counts.
    #[test]
    fn a_row_does_not_depend_on_its_batch(
        order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
        count in 1..=8usize,
        which in 0..4usize,
        backwards in any::<bool>(),
        output in 0..3usize,
    ) {
        let (tableau, rows) = (embedded().nth(which).unwrap(), &order[..count]);
        let span = if backwards { (1.0, 0.0) } else { (0.0, 1.0) };
        let times = if backwards { [0.9, 0.3, 0.0] } else { [0.0, 0.3, 0.9] };
        let output = [SaveAt::End, SaveAt::At(&times), SaveAt::Steps][output];
        let options = AdaptiveOptions::with_tolerance(1e-4);
        let whole = per_sample::solve(&Oscillators, batch(8), span, tableau, &options, output).unwrap();
        let part = batch(8).select_rows(rows);
        let part = per_sample::solve(&Of(rows), part, span, tableau, &options, output).unwrap();
        for (i, row) in rows.iter().enumerate() {
            prop_assert_eq!(bits(&part, i), bits(&whole, *row));
            prop_assert_eq!(part.rows[i], whole.rows[*row]);
        }
    }
}

/// Each row is what the solver of whole states makes of it alone.
#[test]
fn rows_are_solved_as_they_would_be_alone() {
    for tableau in embedded() {
        for (output, control) in [
            (SaveAt::End, PidController::PI),
            (SaveAt::At(&[0.2, 1.1, 2.0]), PidController::I),
            (SaveAt::Steps, PidController::PID),
        ] {
            let options = AdaptiveOptions { control, ..AdaptiveOptions::with_tolerance(1e-5) };
            let rows = per_sample::solve(&Oscillators, batch(7), (0.0, 2.0), tableau, &options, output).unwrap();
            for i in 0..7 {
                let field = van_der_pol(i as f64 / 2.0);
                let alone =
                    adaptive::solve(&field, batch(7).row(i).to_vec(), (0.0, 2.0), tableau, &options, output).unwrap();
                assert!(distance(&alone.x, &rows.x.row(i).to_vec()) < 1e-9, "{} row {i}", tableau.name);
                assert_eq!(alone.stats.evaluations, rows.rows[i].evaluations, "{} row {i}", tableau.name);
                for (k, state) in alone.states.iter().enumerate() {
                    let ours = match output {
                        SaveAt::Steps => rows.trajectories[i][k].1.row(0).to_vec(),
                        _ => rows.states[k].row(i).to_vec(),
                    };
                    // Step sizes carry the rounding of an error estimate, which is a small
                    // difference.
                    assert!(distance(state, &ours) < 1e-6, "{} row {i} state {k}", tableau.name);
                }
            }
        }
    }
}

/// A row that has arrived is not evaluated again, and every evaluation is counted.
#[test]
fn finished_rows_leave_the_batch() {
    for tableau in embedded() {
        let (calls, evaluated) = (Cell::new(0), Cell::new(0));
        let counting = |x: &Array2<f64>, t: &[f64], rows: &[usize]| {
            assert!(x.nrows() == t.len() && t.len() == rows.len() && rows.windows(2).all(|p| p[0] < p[1]));
            calls.set(calls.get() + 1);
            evaluated.set(evaluated.get() + rows.len());
            Oscillators.velocities(x, t, rows)
        };
        let options = AdaptiveOptions::with_tolerance(1e-4);
        let s = per_sample::solve(&counting, batch(12), (0.0, 3.0), tableau, &options, SaveAt::End).unwrap();
        assert_eq!((s.calls, s.row_evaluations()), (calls.get(), evaluated.get()), "{}", tableau.name);
        assert!(s.failure().is_none());
        let (least, most) =
            s.rows.iter().fold((usize::MAX, 0), |(l, m), r| (l.min(r.evaluations), m.max(r.evaluations)));
        assert!(2 * least < most && evaluated.get() < 12 * most, "{}: {least} to {most}", tableau.name);
    }
    let r = reference("problems");
    let end = numbers(&r["van-der-pol-5"]["x"][1]);
    let field = |x: &Array2<f64>, t: &[f64], _: &[usize]| Oscillators.velocities(x, t, &vec![10; x.nrows()]);
    let x = array![[2.0, 0.0], [2.0, 0.0]];
    let s = per_sample::solve(&field, x, (0.0, 10.0), &DOPRI5, &AdaptiveOptions::with_tolerance(1e-9), SaveAt::End)
        .unwrap();
    assert!(s.x.outer_iter().all(|row| distance(&row.to_vec(), &end) < 1e-6), "{:?} {end:?}", s.x);
}

/// One bad row fails alone, with its reason, its time and the last good state.
#[test]
fn a_row_that_fails_fails_alone() {
    let field = |x: &Array2<f64>, t: &[f64], rows: &[usize]| {
        let mut out = x.clone();
        for (i, mut out) in out.axis_iter_mut(Axis(0)).enumerate() {
            match rows[i] {
                1 if t[i] > 0.5 => out.fill(f64::NAN),
                2 => out.fill(1e9 * (1e9 * t[i]).sin()),
                3 => out.fill(f64::NAN),
                _ => {}
            }
        }
        out
    };
    let options = AdaptiveOptions { max_evaluations: 600, ..AdaptiveOptions::with_tolerance(1e-6) };
    let times = [0.25, 0.75];
    let x = Array2::ones((5, 1));
    let s = per_sample::solve_partial(&field, x, (0.0, 1.0), &DOPRI5, &options, SaveAt::At(&times)).unwrap();
    for good in [0, 4] {
        assert!((s.x[[good, 0]] - 1f64.exp()).abs() < 1e-5 && s.rows[good].reason == StopReason::ReachedEnd);
        assert!((s.states[1][[good, 0]] - 0.75f64.exp()).abs() < 1e-5);
    }
    let StopReason::NonFinite { t } = s.rows[1].reason else { panic!("{:?}", s.rows[1]) };
    assert!((t - 0.5).abs() < 1e-6 && (s.x[[1, 0]] - 0.5f64.exp()).abs() < 1e-5);
    assert!(s.states[0][[1, 0]].is_finite() && s.states[1][[1, 0]].is_nan(), "what was not reached is not made up");
    assert!(matches!(s.rows[2].reason, StopReason::MaxEvaluations { .. }) && s.rows[2].evaluations <= 600);
    assert_eq!(s.rows[3].reason, StopReason::NonFinite { t: 0.0 });
    assert_eq!(s.failure().map(|(row, _)| row), Some(1));
    let reason = s.rows[1].reason;
    assert_eq!(s.into_result().unwrap_err(), SolveError::Stopped { row: Some(1), reason });

    let nobody = per_sample::solve(&Oscillators, batch(0), (0.0, 1.0), &DOPRI5, &options, SaveAt::Steps).unwrap();
    assert_eq!((nobody.calls, nobody.x.nrows(), nobody.failure()), (0, 0, None));
}

/// Step sizes by `tests/reference/control.py`.
#[test]
fn controllers_choose_diffraxs_steps() {
    let reference = reference("control");
    let errors = numbers(&reference["errors"]);
    for case in reference["cases"].as_array().unwrap() {
        let control = match case["controller"].as_str().unwrap() {
            "i" => PidController::I,
            "pi" => PidController::PI,
            _ => PidController::PID,
        };
        let mut latest = [1.0; 3];
        for (error, theirs) in errors.iter().zip(numbers(&case["factors"])) {
            latest = [*error, latest[0], latest[1]];
            // diffrax does not shrink a step after one that was accepted.
            let ours = control.factor(case["order"].as_u64().unwrap() as usize, latest).max(1.0);
            assert!((ours / theirs - 1.0).abs() < 1e-9, "{case} at {error}: {ours} against {theirs}");
        }
    }
}
