//! Order, agreement with other people's methods, and behaviour at the edges.

use crate::adaptive::{self, Options};
use crate::tableau::{ALL, DOPRI5, RK4};
use crate::{Reason, SolveError, fixed, uniform_grid};
use fm_core::state::Tolerance;

/// x' = -2 t x, so x(t) = x(0) exp(-t^2): time-dependent, with a known answer.
#[allow(clippy::ptr_arg, reason = "the state of the field is a Vec")]
fn bell(x: &Vec<f64>, t: f64) -> Vec<f64> {
    x.iter().map(|v| -2.0 * t * v).collect()
}

fn options(tolerance: f64) -> Options {
    Options { tolerance: Tolerance { rtol: tolerance, atol: tolerance }, ..Options::default() }
}

/// Coefficients by scipy.integrate.RK45 and nodepy: `python3 crates/fm-solvers/tests/tableaux.py`.
#[test]
fn coefficients_equal_scipys_and_nodepys() {
    let reference: serde_json::Value = serde_json::from_str(include_str!("../tests/tableaux.json")).unwrap();
    for tableau in ALL {
        let table = &reference[tableau.name];
        let check = |ours: &[f64], key: &str| {
            let theirs: Vec<f64> = table[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert_eq!(ours.len(), theirs.len(), "{} {key}", tableau.name);
            for (a, b) in ours.iter().zip(&theirs) {
                assert!((a - b).abs() < 1e-14, "{} {key}: {a} against {b}", tableau.name);
            }
        };
        check(tableau.c, "c");
        check(&tableau.a.concat(), "a");
        check(tableau.b, "b");
        if let Some(e) = tableau.e {
            check(e, "e");
        }
    }
}

#[test]
fn measured_order_is_the_stated_order() {
    for tableau in ALL {
        for span in [(0.0, 1.0), (1.0, 0.0)] {
            let error = |steps: usize| {
                let grid: Vec<f64> = uniform_grid(steps).iter().map(|u| span.0 + u * (span.1 - span.0)).collect();
                let x = fixed::solve(&bell, vec![1.0], &grid, tableau, |_, _| ()).unwrap().x[0];
                (x - (span.0 * span.0 - span.1 * span.1).exp()).abs()
            };
            let (coarse, fine) = if tableau.order > 3 { (20, 40) } else { (200, 400) };
            let order = (error(coarse) / error(fine)).log2();
            assert!((order - tableau.order as f64).abs() < 0.15, "{} {span:?}: {order}", tableau.name);
        }
    }
}

#[test]
fn evaluations_are_counted_where_they_are_made() {
    for tableau in ALL {
        let calls = std::cell::Cell::new(0);
        let counting = |x: &Vec<f64>, t: f64| {
            calls.set(calls.get() + 1);
            bell(x, t)
        };
        let solution = fixed::solve(&counting, vec![1.0], &uniform_grid(10), tableau, |_, _| ()).unwrap();
        assert_eq!(solution.stats.evaluations, calls.get(), "{}", tableau.name);
        let expected = if tableau.fsal() { 10 * (tableau.stages() - 1) + 1 } else { 10 * tableau.stages() };
        assert_eq!(calls.get(), expected, "{}", tableau.name);
    }
}

#[test]
fn adaptive_error_follows_the_tolerance_and_the_count_is_honest() {
    let mut last = usize::MAX;
    for tolerance in [1e-10, 1e-8, 1e-6, 1e-4] {
        let calls = std::cell::Cell::new(0);
        let counting = |x: &Vec<f64>, t: f64| {
            calls.set(calls.get() + 1);
            bell(x, t)
        };
        let solution =
            adaptive::solve(&counting, vec![1.0, 5.0], (0.0, 2.0), &DOPRI5, &options(tolerance), |_, _| ()).unwrap();
        assert!((solution.x[1] - 5.0 * (-4.0f64).exp()).abs() < 20.0 * tolerance);
        assert_eq!(solution.stats.evaluations, calls.get());
        assert!(calls.get() < last, "a looser tolerance must be cheaper");
        last = calls.get();
    }
}

#[test]
fn observers_see_both_ends_and_backwards_returns() {
    let mut times = Vec::new();
    let there = adaptive::solve(&bell, vec![1.0], (0.0, 1.0), &DOPRI5, &options(1e-9), |t, _| times.push(t)).unwrap();
    assert_eq!((times[0], times[times.len() - 1]), (0.0, 1.0));
    let back = adaptive::solve(&bell, there.x, (1.0, 0.0), &DOPRI5, &options(1e-9), |_, _| ()).unwrap();
    assert!((back.x[0] - 1.0).abs() < 1e-7);
}

#[test]
fn trouble_is_a_reason_and_never_a_hang() {
    let explode = |x: &Vec<f64>, _: f64| vec![x[0] * x[0]]; // x = 1/(1 - t): singular at 1
    let solution = adaptive::solve(&explode, vec![1.0], (0.0, 2.0), &DOPRI5, &options(1e-6), |_, _| ()).unwrap();
    assert!(!matches!(solution.stats.reason, Reason::ReachedEnd), "{:?}", solution.stats);

    let nan = |_: &Vec<f64>, t: f64| vec![if t > 0.5 { f64::NAN } else { 1.0 }];
    let solution = adaptive::solve(&nan, vec![1.0], (0.0, 1.0), &DOPRI5, &options(1e-6), |_, _| ()).unwrap();
    let Reason::NonFinite { t } = solution.stats.reason else { panic!("{:?}", solution.stats) };
    assert!((0.4..=0.5).contains(&t) && (solution.x[0] - 1.0 - t).abs() < 1e-9, "the good state comes back: {t}");

    let few = Options { max_evaluations: 20, ..options(1e-9) };
    let solution = adaptive::solve(&bell, vec![1.0], (0.0, 2.0), &DOPRI5, &few, |_, _| ()).unwrap();
    assert!(matches!(solution.stats.reason, Reason::MaxEvaluations { .. }) && solution.stats.evaluations <= 20);
}

#[test]
fn impossible_requests_are_errors() {
    for grid in [vec![], vec![0.0], vec![0.0, 0.0], vec![0.0, 1.0, 0.5], vec![0.0, f64::NAN]] {
        assert_eq!(fixed::solve(&bell, vec![1.0], &grid, &RK4, |_, _| ()).unwrap_err(), SolveError::Grid);
    }
    let solve =
        |o: Options, tableau| adaptive::solve(&bell, vec![1.0], (0.0, 1.0), tableau, &o, |_, _| ()).unwrap_err();
    assert!(matches!(solve(options(0.0), &DOPRI5), SolveError::Tolerance { .. }));
    assert!(matches!(solve(options(f64::NAN), &DOPRI5), SolveError::Tolerance { .. }));
    assert_eq!(solve(options(1e-3), &RK4), SolveError::NoErrorEstimate { method: "rk4" });
}
