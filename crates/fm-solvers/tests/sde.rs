//! Stochastic sampling against torchsde, and against variances that are known exactly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{State, numbers, reference, slope};
use fm_core::exact::{ExactField, Mixture};
use fm_core::field::VelocityField;
use fm_core::path::PathKind;
use fm_solvers::sde::{self, Diffusion, Method};
use fm_solvers::{SaveAt, SolveError, StopReason};
use ndarray::{Array2, array};
use serde_json::Value;

fn rows(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

/// Paths of `tests/reference/sde.py`: the same increments, step by step.
#[test]
fn paths_are_torchsdes() {
    let reference = reference("sde");
    let means = array![[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]];
    let mixture = Mixture::isotropic(&[0.5, 0.3, 0.2], means.view(), &[0.09, 0.04, 0.16]).unwrap();
    let field = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0)).unwrap();
    let field = |x: &Array2<f64>, t: f64| field.velocity(x, t);
    let steps: Vec<Array2<f64>> = reference["steps"].as_array().unwrap().iter().map(rows).collect();
    let grid: Vec<f64> = (0..=9).map(|i| f64::from(i) * 3.0 / 32.0).chain([1.0]).collect();
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let how = (
            case["method"].as_str().unwrap().parse::<Method>().unwrap(),
            format!("{}:{}", case["form"].as_str().unwrap(), case["scale"]).parse::<Diffusion>().unwrap(),
        );
        let noise = |i: u64| steps[i as usize].clone();
        let x0 = rows(&reference["x0"]);
        let found = sde::solve(&field, &PathKind::Linear, x0, &grid, how, noise, SaveAt::Steps).unwrap();
        let close = |a: &Array2<f64>, b: &Array2<f64>| (a - b).iter().all(|d| d.abs() < 1e-11);
        for (ours, theirs) in found.states.iter().zip(case["path"].as_array().unwrap()) {
            assert!(close(ours, &rows(theirs)), "{how:?}");
        }
        assert!(close(&found.x, &rows(&case["x"])), "{how:?}");
        let each = if how.0 == Method::Heun { 2 } else { 1 };
        assert_eq!((found.stats.evaluations, found.stats.accepted), (9 * each + 1, 10));
    }
}

/// Data N(0, 1/4) from N(0, 1): a linear field, so that the end is a linear form of the start and
/// the increments. With a basis vector for each of them the sum of squares is the exact variance,
/// without any sampling.
fn variance(method: Method, diffusion: Diffusion, steps: usize) -> f64 {
    let field = |x: &State, t: f64| {
        let slope = (t / 4.0 - (1.0 - t)) / (t * t / 4.0 + (1.0 - t) * (1.0 - t));
        x.iter().map(|x| slope * x).collect::<State>()
    };
    let basis = |k: usize| (0..=steps).map(|i| f64::from(u8::from(i == k))).collect::<State>();
    let grid: Vec<f64> = (0..=steps).map(|i| 0.8 * i as f64 / steps as f64).chain([1.0]).collect();
    let noise = |i: u64| basis(i as usize + 1);
    let path =
        sde::solve(&field, &PathKind::Linear, basis(0), &grid, (method, diffusion), noise, SaveAt::Steps).unwrap();
    path.states[steps].iter().map(|x| x * x).sum()
}

#[test]
fn marginals_are_the_flows_to_the_stated_weak_order() {
    let exact = 0.64 / 4.0 + 0.04; // at t = 0.8
    for diffusion in
        [Diffusion::Constant { scale: 0.2 }, Diffusion::Sigma { scale: 2.0 }, Diffusion::SigmaSquared { scale: 3.0 }]
    {
        for (method, order, counts) in
            [(Method::EulerMaruyama, 1.0, [200, 400, 800, 1600]), (Method::Heun, 2.0, [100, 200, 400, 800])]
        {
            let errors = counts.map(|n| (1.0 / n as f64, (variance(method, diffusion, n) - exact).abs()));
            let measured = slope(&errors);
            assert!((measured - order).abs() < 0.1, "{method} {diffusion}: {measured} {errors:?}");
        }
    }
    // Without noise it is the flow, by Euler's and by Heun's method.
    assert!((variance(Method::Heun, Diffusion::Constant { scale: 0.0 }, 800) - exact).abs() < 1e-5);
}

/// The last step lands on the expected data point: on a single point, exactly.
#[test]
fn the_last_step_denoises() {
    let point = Mixture::empirical(array![[3.0, 1.0]].view()).unwrap();
    let field = ExactField::new(&point, PathKind::Linear, (0.0, 0.9)).unwrap();
    let field = |x: &Array2<f64>, t: f64| field.velocity(x, t);
    let grid = [0.0, 0.3, 0.6, 0.9, 1.0];
    let how = (Method::EulerMaruyama, Diffusion::Sigma { scale: 1.0 });
    let noise = |_| array![[1.0, -2.0]];
    let found = sde::solve(&field, &PathKind::Linear, array![[0.5, 0.5]], &grid, how, noise, SaveAt::End).unwrap();
    assert!((&found.x - &array![[3.0, 1.0]]).iter().all(|d| d.abs() < 1e-12), "{:?}", found.x);
}

#[test]
fn what_cannot_be_sampled_is_said() {
    let still = |x: &State, _: f64| x.clone();
    let solve = |path: PathKind, grid: &[f64], output: SaveAt<'static>| {
        let how = (Method::default(), Diffusion::Constant { scale: 1.0 });
        sde::solve(&still, &path, vec![1.0], grid, how, |_| vec![0.0], output)
    };
    let linear = PathKind::Linear;
    assert_eq!(solve(linear, &[1.0, 0.0], SaveAt::End).unwrap_err(), SolveError::Backwards);
    assert_eq!(solve(linear, &[0.0], SaveAt::End).unwrap_err(), SolveError::Grid);
    assert_eq!(solve(linear, &[0.0, 1.0], SaveAt::At(&[0.5])).unwrap_err(), SolveError::NoInterpolant);
    let bridge = "schroedinger-bridge".parse().unwrap();
    assert!(matches!(solve(bridge, &[0.1, 0.5, 0.9], SaveAt::End), Err(SolveError::Path(_))));
    // The score is singular where the noise has ended.
    assert!(matches!(solve(linear, &[0.0, 1.0, 1.5], SaveAt::End), Err(SolveError::Path(_))));
    let broken = |x: &State, t: f64| vec![if t > 0.5 { f64::NAN } else { x[0] }];
    let grid = [0.0, 0.25, 0.5, 0.75, 1.0];
    let how = (Method::EulerMaruyama, Diffusion::Constant { scale: 1.0 });
    let found = sde::solve_partial(&broken, &linear, vec![1.0], &grid, how, |_| vec![0.1], SaveAt::End).unwrap();
    assert_eq!(found.stats.reason, StopReason::NonFinite { t: 0.75 });
    assert!(found.x[0].is_finite());
    let stopped = sde::solve(&broken, &linear, vec![1.0], &grid, how, |_| vec![0.1], SaveAt::End).unwrap_err();
    assert_eq!(stopped, SolveError::Stopped { row: None, reason: found.stats.reason });
    // The last step goes to the data wherever the grid ends, but a path ends at 1.
    for outside in [[0.0, 0.5, 1.5], [-0.5, 0.5, 1.0]] {
        let error = solve(linear, &outside, SaveAt::End).unwrap_err();
        assert!(matches!(error, SolveError::Path(fm_core::Error::TimeOutside { .. })), "{outside:?} {error}");
    }
    for scale in [f64::NAN, -1.0] {
        let how = (Method::Heun, Diffusion::Constant { scale });
        let error = sde::solve(&still, &linear, vec![1.0], &grid, how, |_| vec![0.1], SaveAt::End).unwrap_err();
        assert!(matches!(error, SolveError::Choice(_)), "{scale} {error}");
    }
}
