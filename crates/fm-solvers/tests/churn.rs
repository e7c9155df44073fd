//! Noise between the steps of the ODE, against Karras et al. (2022), algorithm 2.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{State, numbers, reference};
use fm_core::exact::{ExactField, Mixture};
use fm_core::field::VelocityField;
use fm_core::path::{Custom, PathKind, ProbPath};
use fm_solvers::sde::{self, Diffusion, Method};
use fm_solvers::tableau::{EULER, HEUN};
use fm_solvers::{SaveAt, SolveError, StopReason, fixed};
use ndarray::{Array2, array};
use serde_json::Value;

fn rows(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn mixture() -> Mixture {
    let means = array![[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]];
    Mixture::isotropic(&[0.5, 0.3, 0.2], means.view(), &[0.09, 0.04, 0.16]).unwrap()
}

/// x = x1 + sigma z with sigma from 80 to 0, linear in time.
fn karras() -> Custom {
    Custom::new("karras", |_| 1.0, |_| 0.0, |t| 80.0 * (1.0 - t), |_| -80.0).unwrap()
}

fn of(case: &Value) -> Diffusion {
    let of = |name: &str| case[name].as_f64().unwrap();
    Diffusion::Churn { s_churn: of("s_churn"), s_min: of("s_min"), s_max: of("s_max"), s_noise: of("s_noise") }
}

fn compare(path: impl ProbPath, scale: f64, grid: &[f64], states: &str) {
    let reference = reference("churn");
    let (mixture, noise) = (mixture(), reference["noise"].as_array().unwrap().iter().map(rows).collect::<Vec<_>>());
    let field = ExactField::new(&mixture, &path, (0.0, grid[grid.len() - 2])).unwrap();
    let field = |x: &Array2<f64>, t: f64| field.velocity(x, t);
    let x0 = rows(&reference["x0"]) * scale;
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let how = (Method::Heun, of(case));
        let draws = |i: u64| noise[i as usize].clone();
        let found = sde::solve(&field, &path, x0.clone(), grid, how, draws, SaveAt::Steps).unwrap();
        let theirs = case[states].as_array().unwrap();
        assert_eq!((found.states.len(), found.stats.evaluations), (theirs.len() + 1, 2 * theirs.len() - 1));
        for (i, (ours, theirs)) in found.states[1..].iter().zip(theirs).enumerate() {
            let off = (ours - &rows(theirs)).iter().fold(0.0f64, |most, d| most.max(d.abs()));
            assert!(off < 1e-6, "{how:?} step {i}: {off}");
        }
    }
}

#[test]
fn steps_are_those_of_algorithm_2() {
    let levels = numbers(&reference("churn")["levels"]);
    let grid: Vec<f64> = levels.iter().map(|level| 1.0 - level / 80.0).collect();
    compare(karras(), 80.0, &grid, "levels");
}

#[test]
fn on_the_straight_path_too() {
    compare(PathKind::Linear, 1.0, &numbers(&reference("churn")["times"]), "times");
}

#[test]
fn without_churn_it_is_heuns_method_to_the_bit() {
    let mixture = mixture();
    for (path, end) in [("linear", 0.98), ("cosine", 0.98), ("linear-sigma-min:0.01", 1.0)] {
        let path: PathKind = path.parse().unwrap();
        let field = ExactField::new(&mixture, path, (0.0, end)).unwrap();
        let field = |x: &Array2<f64>, t: f64| field.velocity(x, t);
        let grid: Vec<f64> = (0..=7).map(|i| end * f64::from(i) / 7.0).collect();
        let x0 = || array![[0.3, -1.2], [1.1, 0.4]];
        let still = Diffusion::Churn { s_churn: 0.0, s_min: 0.0, s_max: 1e6, s_noise: 1.0 };
        let noise = |_: u64| array![[7.0, 7.0], [7.0, 7.0]];
        for (method, tableau) in [(Method::Heun, HEUN), (Method::EulerMaruyama, EULER)] {
            let ours = sde::solve(&field, &path, x0(), &grid, (method, still), noise, SaveAt::Steps).unwrap();
            let theirs = fixed::solve(&field, x0(), &grid, &tableau, SaveAt::Steps).unwrap();
            assert_eq!(ours, theirs, "{path} {method}");
        }
    }
    // To noise level 0, the last step is Euler's.
    let field = |x: &State, t: f64| vec![x[0] * t];
    let how = (Method::Heun, Diffusion::Churn { s_churn: 0.0, s_min: 0.0, s_max: 1e6, s_noise: 1.0 });
    let grid = [0.0, 0.5, 1.0];
    let ours = sde::solve(&field, &PathKind::Linear, vec![1.0], &grid, how, |_| vec![0.0], SaveAt::Steps).unwrap();
    let heun = fixed::solve(&field, vec![1.0], &grid, &HEUN, SaveAt::Steps).unwrap();
    assert_eq!((ours.states[1].clone(), ours.stats.evaluations), (heun.states[1].clone(), 3));
    assert_eq!(ours.x[0], heun.states[1][0] * (1.0 + 0.5 * 0.5));
}

/// Data N(0, 1/4): with a basis vector for each draw, the sum of squares is the exact variance.
#[test]
fn marginals_are_kept() {
    let field = |x: &State, t: f64| {
        let slope = (t / 4.0 - (1.0 - t)) / (t * t / 4.0 + (1.0 - t) * (1.0 - t));
        x.iter().map(|x| slope * x).collect::<State>()
    };
    let steps = 800;
    let basis = |k: usize| (0..=steps).map(|i| f64::from(u8::from(i == k))).collect::<State>();
    let grid: Vec<f64> = (0..=steps).map(|i| 0.8 * i as f64 / steps as f64).collect();
    let (noise, exact) = (|i: u64| basis(i as usize + 1), 0.64 / 4.0 + 0.04);
    let variance = |s_churn: f64, s_noise: f64| {
        let how = (Method::Heun, Diffusion::Churn { s_churn, s_min: 0.0, s_max: 1e6, s_noise });
        let found = sde::solve(&field, &PathKind::Linear, basis(0), &grid, how, noise, SaveAt::End).unwrap();
        found.x.iter().map(|x| x * x).sum::<f64>()
    };
    assert!((variance(20.0, 1.0) - exact).abs() < 1e-3 * exact, "{}", variance(20.0, 1.0));
    assert!(variance(20.0, 1.1) > 1.02 * exact);
}

#[test]
fn what_cannot_be_churned_is_said() {
    let still = |x: &State, _: f64| x.clone();
    let solve = |path: &str, how: &str, grid: &[f64]| {
        let how = (Method::Heun, how.parse::<Diffusion>().unwrap());
        let path: PathKind = path.parse().unwrap();
        sde::solve(&still, &path, vec![1.0], grid, how, |_| vec![0.0], SaveAt::End).unwrap_err()
    };
    assert!(matches!(solve("bridge", "churn", &[0.1, 0.5, 0.9]), SolveError::Path(_)));
    assert!(matches!(solve("linear", "churn", &[0.0, 0.5, 1.5]), SolveError::Path(_)));
    assert_eq!(solve("linear", "churn", &[1.0, 0.5]), SolveError::Backwards);
    assert!("churn:s_churn=-1".parse::<Diffusion>().is_err());
    let broken = |x: &State, t: f64| vec![if t > 0.5 { f64::NAN } else { x[0] }];
    let how = (Method::EulerMaruyama, "churn:s_churn=0".parse::<Diffusion>().unwrap());
    let grid = [0.0, 0.25, 0.5, 0.75, 1.0];
    let found =
        sde::solve_partial(&broken, &PathKind::Linear, vec![1.0], &grid, how, |_| vec![0.1], SaveAt::End).unwrap();
    assert_eq!(found.stats.reason, StopReason::NonFinite { t: 0.75 });
}
