//! Multistep methods against diffusers, their orders, and what they remember.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{driven, driven_at, numbers, reference, slope};
use fm_core::exact::{ExactField, Mixture};
use fm_core::field::{ByRef, Converted, RowField, SharedTime, VelocityField};
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_solvers::multistep::{self, MultistepMethod};
use fm_solvers::sampler::{Sampler, SolverName, Steps};
use fm_solvers::tableau::{DOPRI5, SolverMethod};
use fm_solvers::{AdaptiveOptions, Grid, Multistep, SaveAt, SolveError, Solver, StopReason, solve};
use ndarray::{Array2, array};
use serde_json::Value;

const METHODS: [MultistepMethod; 6] = [
    MultistepMethod::AdamsBashforth2,
    MultistepMethod::AdamsBashforth3,
    MultistepMethod::Pec,
    MultistepMethod::DpmSolver2M,
    MultistepMethod::UniPc2,
    MultistepMethod::UniPc3,
];

fn rows(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn off(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).iter().fold(0.0, |worst: f64, d| worst.max(d.abs()))
}

fn named(name: &str) -> MultistepMethod {
    match name.parse::<SolverName>().unwrap().method() {
        SolverMethod::Multistep(method) => method,
        other => panic!("{other:?}"),
    }
}

/// `tests/reference/multistep.py`: DPM-Solver++(2M) and UniPC on diffusers' grids for flows.
#[test]
fn steps_are_diffusers() {
    let reference = reference("multistep");
    let variance = reference["deviation"].as_f64().unwrap().powi(2);
    let mixture = Mixture::isotropic(&[1.0; 3].map(|w: f64| w / 3.0), rows(&reference["means"]).view(), &[variance; 3]);
    let (mixture, start) = (mixture.unwrap(), rows(&reference["start"]));
    let field = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0)).unwrap();
    let field = |x: &Array2<f64>, t: f64| field.velocity(x, t);
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let (name, times) = (case["solver"].as_str().unwrap(), numbers(&case["times"]));
        let method = named(name);
        let found = multistep::solve(&field, &PathKind::Linear, start.clone(), &times, method, SaveAt::End).unwrap();
        let off = off(&found.x, &rows(&case["x"]));
        assert!(off < 1e-12, "{name}, {} steps: {off}", times.len() - 1);
    }
    for (name, case) in reference["uniform"].as_object().unwrap() {
        let solver = Multistep::new(named(name), 12).path(PathKind::Linear);
        let from_zero = off(&solve(&field, start.clone(), 0.0..1.0, &solver).unwrap().x, &rows(&case["x"]));
        let Some(times) = case["times"].as_array() else {
            assert!(from_zero < 1e-12, "{name}: {from_zero}");
            continue;
        };
        // diffusers starts at 1e-6, from where the states are equal.
        let times: Vec<f64> = times.iter().map(|t| t.as_f64().unwrap()).collect();
        let found = multistep::solve(&field, &PathKind::Linear, start.clone(), &times, named(name), SaveAt::End);
        let off = off(&found.unwrap().x, &rows(&case["x"]));
        assert!(off < 1e-12 && from_zero < 1e-5, "{name}: {off}, from 0 {from_zero}");
    }
}

/// Slopes of the error at the end over the step, on even and uneven steps, forwards and backwards.
#[test]
fn orders_are_those_of_the_table() {
    for (method, order) in METHODS.into_iter().zip([2.0, 3.0, 3.0, 2.0, 2.0, 3.0]) {
        for grid in [Grid::Uniform, Grid::Warp { s: 0.5 }] {
            let error = |steps: usize, span: std::ops::Range<f64>| {
                let solver = Multistep::new(method, steps).grid(grid).path(PathKind::Linear);
                let end = solve(&driven, driven_at(span.start), span.clone(), &solver).unwrap();
                assert_eq!((end.stats.evaluations, end.stats.accepted), (steps, steps));
                (1.0 / steps as f64, (end.x[0] - driven_at(span.end)[0]).abs())
            };
            let measured = |span: std::ops::Range<f64>| slope(&[80, 160, 320, 640].map(|n| error(n, span.clone())));
            let forwards = measured(0.2..0.8);
            assert!(forwards > order - 0.1, "{method:?} on {grid}: {forwards}");
            if !["dpmpp-2m", "unipc"].contains(&method.name()) {
                let backwards = measured(0.8..0.2);
                assert!(backwards > order - 0.1, "{method:?} on {grid}, backwards: {backwards}");
            }
        }
    }
}

/// A field that jumps at t = 1/2, with an error of the stored velocities if they are kept.
struct Jump;

fn slope_at(t: f64) -> f64 {
    if t < 0.5 { -1.0 } else { 2.0 }
}

impl RowField<Array2<f64>> for Jump {
    fn velocities(&self, x: &Array2<f64>, t: &[f64], _: &[usize]) -> Array2<f64> {
        x * slope_at(t[0])
    }

    fn segment(&self, t: f64) -> usize {
        usize::from(t >= 0.5)
    }
}

#[test]
fn values_are_dropped_where_the_field_jumps() {
    let whole: Vec<f64> = (2..=8).map(|i| f64::from(i) / 10.0).collect();
    let x0 = || array![[1.0], [-2.0]];
    let converted = Converted::new(ByRef(&Jump), PathKind::Linear, Prediction::Velocity, (0.2, 0.8)).unwrap();
    let field = SharedTime(converted);
    let blind = |x: &Array2<f64>, t: f64| x * slope_at(t);
    for method in METHODS {
        let solve =
            |x, grid: &[f64]| multistep::solve(&field, &PathKind::Linear, x, grid, method, SaveAt::End).unwrap().x;
        let in_one = solve(x0(), &whole);
        assert_eq!(in_one, solve(solve(x0(), &whole[..4]), &whole[3..]), "{method:?}");
        let kept = multistep::solve(&blind, &PathKind::Linear, x0(), &whole, method, SaveAt::End).unwrap().x;
        let exact = x0() * (-0.3f64 + 0.6).exp();
        assert!(off(&in_one, &exact) < 0.7 * off(&kept, &exact), "{method:?}");
    }
}

/// States are the same however they are saved: at steps, within them, and at the end.
#[test]
fn states_are_saved_at_steps_and_at_times() {
    for method in METHODS {
        let solver = Multistep::new(method, 40).path(PathKind::Linear);
        let save = |save: SaveAt<'_>| solver.solve(&driven, driven_at(0.1), 0.1..0.9, save).unwrap();
        let steps = save(SaveAt::Steps);
        assert_eq!((steps.states.len(), steps.times[0], steps.times[40]), (41, 0.1, 0.9));
        assert_eq!((&steps.states[40], save(SaveAt::End).x), (&steps.x, steps.x.clone()));
        let wanted = [0.1, steps.times[7], 0.5001, 0.5003, 0.9];
        let at = save(SaveAt::At(&wanted));
        assert_eq!((at.times.as_slice(), &at.x), (&wanted[..], &steps.x));
        assert_eq!((&at.states[1], &at.states[4]), (&steps.states[7], &steps.x));
        for (t, x) in wanted.iter().zip(&at.states) {
            assert!((x[0] - driven_at(*t)[0]).abs() < 2e-3, "{method:?} at {t}");
        }
    }
    // Steps far below the weight that stands in for none at the start.
    let to_three = |x: &f64, t: f64| (3.0 - x) / (1.0 - t);
    for method in METHODS {
        let tiny = [0.0, 1e-9, 1e-8, 1e-7, 0.5, 1.0];
        let end = multistep::solve(&to_three, &PathKind::Linear, 1.0, &tiny, method, SaveAt::End).unwrap().x;
        assert!((end - 3.0).abs() < 2.0, "{method:?}: {end}");
    }
    let outside = Multistep::ab2(4).solve(&driven, vec![1.0], 0.0..1.0, SaveAt::At(&[0.5, 2.0]));
    assert!(matches!(outside, Err(SolveError::Times { .. })));
}

#[test]
fn a_solve_stops_at_the_last_finite_state() {
    for method in METHODS {
        let broken = |x: &f64, t: f64| if t > 0.55 { f64::NAN } else { -x };
        let solver = Multistep::new(method, 10).path(PathKind::Linear);
        let partial = solver.solve_partial(&broken, 1.0, 0.0..1.0, SaveAt::Steps).unwrap();
        let StopReason::NonFinite { t } = partial.stats.reason else { panic!("{:?}", partial.stats) };
        assert!((t - 0.6).abs() < 1e-12 && partial.x.is_finite(), "{method:?}: {partial:?}");
        assert_eq!((partial.states.len(), partial.stats.accepted, partial.stats.evaluations), (7, 6, 17));
        assert!(partial.into_result().is_err());
    }
}

#[test]
fn what_has_no_steps_is_refused() {
    let still = |x: &f64, _: f64| *x;
    for method in METHODS {
        let run =
            |path: PathKind, grid: &[f64]| multistep::solve(&still, &path, 1.0, grid, method, SaveAt::End).unwrap_err();
        assert_eq!(run(PathKind::Linear, &[0.0]), SolveError::Grid);
        if !["dpmpp-2m", "unipc"].contains(&method.name()) {
            continue;
        }
        let name = method.name();
        assert_eq!(run(PathKind::Linear, &[1.0, 0.0]), SolveError::Forwards { method: name });
        assert!(matches!(run(PathKind::Linear, &[0.5, 1.5]), SolveError::Path(_)));
        assert!(matches!(run("constant-noise:sigma=0.1".parse().unwrap(), &[0.0, 1.0]), SolveError::Path(_)));
        let text = run(PathKind::Linear, &[1.0, 0.0]).to_string();
        assert!(
            text.starts_with(&format!("cannot solve backwards with {name}")) && text.ends_with("use ab2"),
            "{text}"
        );
        // Their remedy works.
        assert!(solve(&still, 1.0, 1.0..0.0, &Multistep::ab2(4)).is_ok());
    }
}

/// The sampler: fixed steps of any path and prediction, frames, trajectories; no adaptive steps.
#[test]
fn samplers_take_them_by_name() {
    let network = |x: &Array2<f64>, _: &[f64], _: &[usize]| Array2::from_elem(x.dim(), 3.0);
    let mut objective =
        Objective { prediction: Prediction::Data, path: PathKind::Trigonometric, ..Objective::default() };
    objective.times.clip = 1e-3;
    let (x0, none) = (array![[1.0], [-2.0]], |_| array![[0.0], [0.0]]);
    for name in ["ab2", "ab3", "pec", "dpmpp-2m", "unipc", "unipc:order=3"] {
        let solver: SolverName = name.parse().unwrap();
        assert_eq!(solver.to_string().split(':').next(), name.split(':').next());
        assert_eq!((solver.evaluations_per_step(), solver.is_adaptive()), (1, false));
        let sampler = Sampler::fixed(solver, 60);
        for sampler in [sampler.clone(), Sampler { schedule: Some(PathKind::Linear), ..sampler.clone() }] {
            let samples = sampler.run(&network, &objective, x0.clone(), none, true).unwrap();
            assert_eq!((samples.nfe, samples.calls, samples.frames.len()), (60.0, 60, 61));
            let worst = samples.x.iter().map(|x| (x - 3.0).abs()).fold(0.0, f64::max);
            // Methods on the path are exact up to the clipped end.
            assert!(worst < if name.contains('p') && name != "pec" { 6e-3 } else { 0.1 }, "{name}: {worst}");
        }
        let times = [0.0, 0.123, 1.0];
        let along = sampler.trajectory(&network, &objective, x0.clone(), none, &times).unwrap();
        assert_eq!((along.frames.len(), &along.frames[0], &along.frames[2]), (3, &x0, &along.x));
        let text = serde_json::to_string(&sampler).unwrap();
        assert_eq!(serde_json::from_str::<Sampler>(&text).unwrap(), sampler);
        let options = AdaptiveOptions::default();
        for pace in ["per-sample", "per-batch"] {
            let adaptive = Sampler::new(solver, Steps::Adaptive(pace.parse().unwrap(), options.clone()));
            let refused = adaptive.run(&network, &objective, x0.clone(), none, false).unwrap_err();
            assert!(matches!(refused, SolveError::NoErrorEstimate { .. }), "{refused}");
        }
    }
    assert_eq!(SolverName::Dopri5.method(), SolverMethod::RungeKutta(&DOPRI5));
    assert!("unipc:order=4".parse::<SolverName>().is_err());
}
