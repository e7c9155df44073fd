//! The method of order 8: its orders, SciPy's steps, and what it costs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{State, distance, linear, linear_at, numbers, reference, slope, van_der_pol, waves, waves_at};
use fm_solvers::tableau::{DOP853, DOPRI5};
use fm_solvers::{AdaptiveOptions, SaveAt, Tableau, adaptive, fixed, per_sample};
use ndarray::Array2;

fn grid((from, to): (f64, f64), steps: usize) -> Vec<f64> {
    (0..=steps).map(|i| from + (to - from) * i as f64 / steps as f64).collect()
}

#[test]
fn the_order_is_8_in_both_directions() {
    type Problem = (fn(&State, f64) -> State, fn(f64) -> State, (f64, f64), [usize; 4]);
    let problems: [Problem; 4] = [
        (linear, linear_at, (0.0, 8.0), [16, 20, 26, 32]),
        (linear, linear_at, (8.0, 0.0), [16, 20, 26, 32]),
        (waves, waves_at, (0.0, 6.0), [12, 16, 20, 26]),
        (waves, waves_at, (6.0, 0.0), [12, 16, 20, 26]),
    ];
    for (field, at, span, counts) in problems {
        let points = counts.map(|steps| {
            let solution = fixed::solve(&field, at(span.0), &grid(span, steps), &DOP853, SaveAt::Steps).unwrap();
            let off = solution.times.iter().zip(&solution.states).map(|(t, x)| distance(x, &at(*t)).powi(2));
            (1.0 / steps as f64, (off.sum::<f64>() / steps as f64).sqrt())
        });
        let order = slope(&points);
        assert!((order - 8.0).abs() < 0.2, "{span:?}: {order} {points:?}");
    }
}

/// b c^(k - 1) = 1 / k up to the order, and not beyond; the same for the interpolant at every
/// theta.
#[test]
fn quadrature_conditions_hold_up_to_the_order() {
    let moment = |weights: &[f64], k: i32| weights.iter().zip(DOP853.c).map(|(b, c)| b * c.powi(k - 1)).sum::<f64>();
    let off = |k: i32| (moment(DOP853.b, k) - 1.0 / f64::from(k)).abs();
    assert!((1..=8).all(|k| off(k) < 1e-14) && off(9) > 1e-6, "{}", off(9));
    for theta in [0.1, 0.37, 0.5, 0.93] {
        let off = |k: i32| (moment(&DOP853.interpolate(theta), k) - theta.powi(k) / f64::from(k)).abs();
        assert!((1..=7).all(|k| off(k) < 1e-13) && off(8) > 1e-7, "{theta}: {:?}", [1, 2, 3, 4, 5, 6, 7, 8].map(off));
    }
    // The estimates are those of the methods of order 5 and 3 inside.
    let error = |e: &[f64], k: i32| moment(e, k).abs();
    let (e, low) = (DOP853.e.unwrap(), DOP853.e_low.unwrap());
    assert!((1..=5).all(|k| error(e, k) < 1e-14) && error(e, 6) > 1e-6);
    assert!((1..=3).all(|k| error(low, k) < 1e-14) && error(low, 4) > 1e-6);
}

/// Within one step the interpolant is off by h^8.
#[test]
fn the_interpolant_has_order_7() {
    let points = [0.5, 0.42, 0.35, 0.3, 0.25].map(|h| {
        let times = [0.21, 0.43, 0.78].map(|theta| 0.2 + theta * h);
        let solution = fixed::solve(&waves, waves_at(0.2), &[0.2, 0.2 + h], &DOP853, SaveAt::At(&times)).unwrap();
        assert_eq!(solution.stats.evaluations, 16);
        let off = times.iter().zip(&solution.states).map(|(t, x)| distance(x, &waves_at(*t)).powi(2));
        (h, off.sum::<f64>().sqrt())
    });
    let order = slope(&points);
    assert!((order - 8.0).abs() < 0.2, "{order} {points:?}");
}

/// The restricted three-body problem of Hairer, Norsett, Wanner, II.0.
#[allow(clippy::ptr_arg, reason = "the state of the field is a Vec")]
fn arenstorf(x: &State, _: f64) -> State {
    let (mu, nu) = (0.012277471, 1.0 - 0.012277471);
    let d1 = ((x[0] + mu).powi(2) + x[1] * x[1]).powf(1.5);
    let d2 = ((x[0] - nu).powi(2) + x[1] * x[1]).powf(1.5);
    vec![
        x[2],
        x[3],
        x[0] + 2.0 * x[3] - nu * (x[0] + mu) / d1 - mu * (x[0] - nu) / d2,
        x[1] - 2.0 * x[2] - nu * x[1] / d1 - mu * x[1] / d2,
    ]
}

type Field = Box<dyn Fn(&State, f64) -> State>;

/// Along SciPy's steps the states and the dense output are SciPy's to rounding; the steps chosen
/// are SciPy's as far as the rounding of an error estimate, a small difference, allows. Numbers by
/// `tests/reference/dop853.py`.
#[test]
fn steps_are_scipys() {
    let reference = reference("dop853");
    let problems: [(&str, Field); 2] =
        [("van-der-pol-5", Box::new(van_der_pol(5.0))), ("arenstorf", Box::new(arenstorf))];
    for (name, field) in problems {
        for case in reference[name].as_array().unwrap() {
            let [span, x0, times, at] = ["span", "x0", "t", "at"].map(|key| numbers(&case[key]));
            let (span, tolerance) = ((span[0], span[1]), case["tolerance"].as_f64().unwrap());
            let what = format!("{name} {span:?} {tolerance}");
            let solve = |save| fixed::solve(&field, x0.clone(), &times, &DOP853, save).unwrap();
            close(&solve(SaveAt::Steps).states, &case["x"], 2e-11, &what);
            close(&solve(SaveAt::At(&at)).states, &case["dense"], 2e-11, &what);
            let options = AdaptiveOptions::with_tolerance(tolerance);
            let solve = |save| adaptive::solve(&field, x0.clone(), span, &DOP853, &options, save).unwrap();
            let steps = solve(SaveAt::Steps);
            assert_eq!(steps.times.len(), times.len(), "{what}");
            assert_eq!(steps.stats.evaluations as u64, case["evaluations"].as_u64().unwrap(), "{what}");
            let off = steps.times.iter().zip(&times).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f64::max);
            assert!(off < 1e-7, "{what}: {off:e}");
            close(&solve(SaveAt::At(&at)).states, &case["dense"], 1e-6, &what);
        }
    }
}

#[track_caller]
fn close(ours: &[State], theirs: &serde_json::Value, tolerance: f64, what: &str) {
    let theirs = theirs.as_array().unwrap();
    assert_eq!(ours.len(), theirs.len());
    let off = ours.iter().zip(theirs).map(|(a, b)| distance(a, &numbers(b))).fold(0.0, f64::max);
    assert!(off < tolerance, "{what}: {off:e}");
}

/// Rows that are interpolated at different steps are what they are alone, with an evaluation for
/// each further stage.
#[test]
fn rows_are_interpolated_as_they_would_be_alone() {
    let field = |x: &Array2<f64>, t: &[f64], rows: &[usize]| {
        let turn = |i: usize| {
            let speed = 1.0 + 2.0 * rows[i] as f64;
            [-speed * x[[i, 1]], speed * x[[i, 0]] + 0.1 * t[i]]
        };
        Array2::from_shape_fn(x.dim(), |(i, j)| turn(i)[j])
    };
    let (options, times) = (AdaptiveOptions::with_tolerance(1e-7), [0.3, 0.31, 1.7, 2.0]);
    let x = Array2::from_shape_fn((4, 2), |(_, j)| j as f64);
    let batch = per_sample::solve(&field, x, (0.0, 2.0), &DOP853, &options, SaveAt::At(&times)).unwrap();
    for i in 0..4 {
        let alone = |x: &State, t: f64| {
            let speed = 1.0 + 2.0 * i as f64;
            vec![-speed * x[1], speed * x[0] + 0.1 * t]
        };
        let solve = |save| adaptive::solve(&alone, vec![0.0, 1.0], (0.0, 2.0), &DOP853, &options, save).unwrap();
        let (alone, plain) = (solve(SaveAt::At(&times)), solve(SaveAt::End));
        assert_eq!(batch.rows[i].evaluations, alone.stats.evaluations);
        // 0.3 and 0.31 share a step where steps are long, and 2.0 ends one.
        assert!([6, 9].contains(&(alone.stats.evaluations - plain.stats.evaluations)), "row {i}");
        for (state, rows) in alone.states.iter().zip(&batch.states) {
            assert!(distance(state, &rows.row(i).to_vec()) < 1e-8, "row {i}");
        }
    }
}

/// Stages for the interpolant count toward the allowance of evaluations before they are made.
#[test]
fn the_allowance_of_evaluations_is_kept() {
    let times: Vec<f64> = (1..=60).map(|i| f64::from(i) / 10.0).collect();
    let rows = |x: &Array2<f64>, t: &[f64], _: &[usize]| x * t[0].cos();
    for most in 2..150 {
        let options = AdaptiveOptions { max_evaluations: most, ..AdaptiveOptions::with_tolerance(1e-9) };
        let at = SaveAt::At(&times);
        let whole = adaptive::solve_partial(&waves, waves_at(0.0), (0.0, 6.0), &DOP853, &options, at).unwrap();
        let x = Array2::ones((1, 1));
        let row = per_sample::solve_partial(&rows, x, (0.0, 6.0), &DOP853, &options, at).unwrap().rows[0];
        assert!(whole.stats.evaluations.max(row.evaluations) <= most, "{most}: {whole:?} {row:?}");
    }
}

/// At 1e-12 the higher order takes less than half of the evaluations, at 1e-4 it does not pay.
#[test]
fn tight_tolerances_cost_less() {
    let cost = |tableau: &Tableau, tolerance: f64| {
        let options = AdaptiveOptions { max_evaluations: 100_000, ..AdaptiveOptions::with_tolerance(tolerance) };
        let solution = adaptive::solve(&linear, linear_at(0.0), (0.0, 8.0), tableau, &options, SaveAt::End).unwrap();
        let error = distance(&solution.x, &linear_at(8.0));
        assert!(error < 100.0 * tolerance, "{} {tolerance}: {error}", tableau.name);
        solution.stats.evaluations
    };
    let [high, low] = [&DOP853, &DOPRI5].map(|tableau| cost(tableau, 1e-12));
    assert!(2 * high < low, "{high} against {low}");
    println!("evaluations at 1e-12: {high} (dop853), {low} (dopri5)");
    let [high, low] = [&DOP853, &DOPRI5].map(|tableau| cost(tableau, 1e-4));
    assert!(10 * high > 7 * low, "{high} against {low}");
}

/// Numbers of stages, estimates and interpolants that do not fit together are refused.
#[test]
fn stages_for_the_interpolant_are_checked() {
    let broken = [
        Tableau { a: DOPRI5.a, ..DOP853 },
        Tableau { c: DOPRI5.c, ..DOP853 },
        Tableau { dense: DOPRI5.dense, ..DOP853 },
        Tableau { dense: &[&[0.0625] as &[f64]; 16], ..DOP853 },
        Tableau { e_low: Some(&[0.0; 12]), ..DOP853 },
        Tableau { e_low: Some(&[0.1; 13]), ..DOP853 },
        Tableau { e_low: Some(&[f64::NAN; 13]), ..DOP853 },
    ];
    assert!(broken.iter().all(|tableau| tableau.check().is_err()));
    assert!(broken.iter().all(|tableau| tableau.check().unwrap_err().to_string().contains("dop853")));
}
