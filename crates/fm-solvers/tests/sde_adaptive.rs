//! Adaptive stochastic steps against torchsde, closed forms, and exact moments.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{numbers, reference, slope};
use fm_core::exact::{ExactField, Mixture};
use fm_core::field::RowField;
use fm_core::path::PathKind;
use fm_core::rng::{Key, Stream, fill_normal, normal_rows};
use fm_solvers::sampler::{Pace, Sampler, SolverName, Steps};
use fm_solvers::sde::{
    AdaptiveSde, Diffusion, Method, Noise, PerStep, brownian, solve_adaptive, solve_adaptive_partial,
};
use fm_solvers::{AdaptiveOptions, BatchSolution, SaveAt, SolveError, StopReason};
use ndarray::{Array2, array, s};
use serde_json::Value;

fn rows(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

/// Draws of rows of `dim` values, of a seed.
struct Seeded {
    seed: u64,
    rows: usize,
    dim: usize,
}

impl Noise<Array2<f64>> for Seeded {
    fn batch(&self, number: u64) -> Array2<f64> {
        self.rows(&vec![number; self.rows], &(0..self.rows).collect::<Vec<_>>())
    }

    fn rows(&self, numbers: &[u64], rows: &[usize]) -> Array2<f64> {
        let mut values = vec![0.0f32; rows.len() * self.dim];
        for ((out, number), row) in values.chunks_exact_mut(self.dim).zip(numbers).zip(rows) {
            fill_normal(&mut Key::new(self.seed, *number, Stream::Increment).generator(*row), out);
        }
        Array2::from_shape_fn((rows.len(), self.dim), |(i, j)| f64::from(values[i * self.dim + j]))
    }
}

/// The velocity to data N(0, 1/4).
fn gaussian(x: &Array2<f64>, t: &[f64], _: &[usize]) -> Array2<f64> {
    Array2::from_shape_fn(x.dim(), |(i, j)| (t[i] / 4.0 - (1.0 - t[i])) / spread(t[i]) * x[[i, j]])
}

/// The variance of x_t for these data.
fn spread(t: f64) -> f64 {
    t * t / 4.0 + (1.0 - t) * (1.0 - t)
}

fn how(diffusion: Diffusion, tolerance: f64) -> AdaptiveSde {
    AdaptiveSde { options: AdaptiveOptions::with_tolerance(tolerance), ..AdaptiveSde::new(diffusion) }
}

/// The state before the last step.
fn before_last(found: &BatchSolution<Array2<f64>>) -> Array2<f64> {
    let columns = found.x.ncols();
    Array2::from_shape_fn((found.rows.len(), columns), |(i, j)| {
        let states = &found.trajectories[i];
        states[states.len() - 2].1[[0, j]]
    })
}

#[test]
fn paths_converge_to_torchsdes_along_the_same_brownian_path() {
    let reference = reference("sde_adaptive");
    let draws: Vec<Array2<f64>> = reference["draws"].as_array().unwrap().iter().map(rows).collect();
    // Linear between the points of the last level.
    let noise = PerStep(|i: u64| draws.get(i as usize).cloned().unwrap_or_else(|| Array2::zeros((3, 2))));
    for (k, theirs) in reference["w"].as_array().unwrap().iter().enumerate() {
        let ours = brownian::evaluate(&noise, &[k as f64 / 16.0; 3], &[0, 1, 2]);
        assert!((ours - rows(theirs)).iter().all(|d| d.abs() < 1e-12), "W({k} / 16)");
    }
    let means = array![[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]];
    let mixture = Mixture::isotropic(&[0.5, 0.3, 0.2], means.view(), &[0.09, 0.04, 0.16]).unwrap();
    let field = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0)).unwrap();
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let text = format!("{}:{}", case["form"].as_str().unwrap(), case["scale"]);
        let errors = [1e-2, 1e-3, 1e-6].map(|tolerance| {
            let how = AdaptiveSde { last_step: 0.1, ..how(text.parse().unwrap(), tolerance) };
            let x0 = rows(&reference["x0"]);
            let found = solve_adaptive(&field, &PathKind::Linear, x0, (0.0, 1.0), &how, &noise, SaveAt::Steps).unwrap();
            (before_last(&found) - rows(&case["x"])).iter().fold(0.0f64, |most, d| most.max(d.abs()))
        });
        assert!(errors[0] < 0.1 && errors[1] < 0.02 && errors[2] < 2e-4, "{text}: {errors:?}");
    }
}

/// For a linear field, x(t) = R(t) (x0 + int g / R dW), R' = a R.
#[test]
fn the_strong_order_is_one() {
    let (rows, scale, end) = (48, 1.0, 0.9);
    let noise = Seeded { seed: 5, rows, dim: 1 };
    let x0 = Array2::from_shape_fn((rows, 1), |(i, _)| (i as f64 - 20.0) / 15.0);
    let parts = 1 << 12;
    let all: Vec<usize> = (0..rows).collect();
    // R(t) = sqrt(V(t) / V(0)) exp(-int g^2 / (2 V)), by the midpoint rule.
    let (mut exponent, mut exact) = (0.0, x0.clone());
    let mut before = Array2::zeros((rows, 1));
    for k in 0..parts {
        let (h, middle) = (end / f64::from(parts), (f64::from(k) + 0.5) / f64::from(parts) * end);
        let half = 0.25 * h * scale / spread(middle);
        exponent += half;
        let w = brownian::evaluate(&noise, &vec![f64::from(k + 1) / f64::from(parts); rows], &all);
        let r = spread(middle).sqrt() * f64::exp(-exponent);
        exact = exact + (&w - &before) * (f64::sqrt(end * scale) / r);
        exponent += half;
        before = w;
    }
    exact *= spread(end).sqrt() * f64::exp(-exponent);
    let points = [0.1, 0.03, 0.01, 0.003, 0.001].map(|tolerance| {
        let how = AdaptiveSde { last_step: 0.1, ..how(Diffusion::Constant { scale }, tolerance) };
        let found = solve_adaptive(&gaussian, &PathKind::Linear, x0.clone(), (0.0, 1.0), &how, &noise, SaveAt::Steps);
        let found = found.unwrap();
        let error = ((before_last(&found) - &exact).mapv(|d| d * d).mean().unwrap()).sqrt();
        let steps = found.rows.iter().map(|stats| stats.accepted as f64).sum::<f64>() / rows as f64;
        assert!(error < 5.0 * tolerance, "{tolerance}: {error}");
        (1.0 / steps, error)
    });
    assert!((slope(&points) - 1.0).abs() < 0.15, "{} {points:?}", slope(&points));
}

/// Values at any times are those of a Brownian motion: increments are independent, with the
/// variance of their length.
#[test]
fn increments_are_independent() {
    let (rows, times) = (4000, [0.0, 0.125, 0.5, 0.625, 1.0]);
    let noise = Seeded { seed: 2, rows, dim: 1 };
    let all: Vec<usize> = (0..rows).collect();
    let at = |u: f64| brownian::evaluate(&noise, &vec![u; rows], &all);
    let steps: Vec<Array2<f64>> = times.windows(2).map(|pair| at(pair[1]) - at(pair[0])).collect();
    for (i, a) in steps.iter().enumerate() {
        for (j, b) in steps.iter().enumerate() {
            let (va, vb) = (times[i + 1] - times[i], times[j + 1] - times[j]);
            let exact = if i == j { va } else { 0.0 };
            let error = (va * vb / rows as f64).sqrt() * if i == j { 2.0f64.sqrt() } else { 1.0 };
            let found = (a * b).mean().unwrap();
            assert!((found - exact).abs() < 5.0 * error, "{i} {j}: {found}");
        }
    }
    // Times of different levels in one call.
    let mixed = brownian::evaluate(&noise, &[0.625, 0.0, 1.0, 0.125], &[3, 1, 2, 0]);
    let each = array![[at(0.625)[[3, 0]]], [0.0], [at(1.0)[[2, 0]]], [at(0.125)[[0, 0]]]];
    assert_eq!(mixed, each);
}

/// Rejected steps do not bias: the first trial is the whole span.
#[test]
fn moments_are_the_flows_although_steps_are_rejected() {
    let rows = 20_000;
    for (pace, diffusion) in
        [(Pace::PerSample, "sigma:2"), (Pace::PerBatch, "sigma:2"), (Pace::PerSample, "sigma-squared:3")]
    {
        let mut how = AdaptiveSde { pace, ..how(diffusion.parse().unwrap(), 2e-2) };
        how.options.first_step = Some(1.0);
        let noise = Seeded { seed: 9, rows, dim: 1 };
        let start = normal_rows(Key::new(9, 0, Stream::Sample), rows, 1).into_iter().map(f64::from).collect();
        let x0 = Array2::from_shape_vec((rows, 1), start).unwrap();
        let found = solve_adaptive(&gaussian, &PathKind::Linear, x0, (0.0, 1.0), &how, &noise, SaveAt::End).unwrap();
        let rejected = found.rows.iter().map(|stats| stats.rejected).sum::<usize>();
        assert!(rejected > rows / 2, "{rejected}");
        let (mean, square) = (found.x.mean().unwrap(), found.x.mapv(|x| x * x).mean().unwrap());
        let n = rows as f64;
        assert!(mean.abs() < 5.0 * 0.5 / n.sqrt(), "{pace} {diffusion}: {mean}");
        assert!((square - 0.25).abs() < 0.004 + 5.0 * 0.25 * (2.0 / n).sqrt(), "{pace} {diffusion}: {square}");
    }
}

#[test]
fn a_row_does_not_depend_on_its_batch() {
    let noise = Seeded { seed: 1, rows: 6, dim: 2 };
    let x0 = Array2::from_shape_fn((6, 2), |(i, j)| i as f64 - 2.0 + 0.3 * j as f64);
    let how = how("sigma".parse().unwrap(), 1e-2);
    let solve = |x0: Array2<f64>| {
        solve_adaptive(&gaussian, &PathKind::Linear, x0, (0.0, 1.0), &how, &noise, SaveAt::End).unwrap()
    };
    let (all, first) = (solve(x0.clone()), solve(x0.slice(s![..2, ..]).to_owned()));
    assert_eq!(all.x.slice(s![..2, ..]), first.x);
    assert_eq!(all.rows[..2], first.rows[..]);
    assert!(all.rows.iter().any(|stats| stats.accepted != all.rows[0].accepted));
    for stats in &all.rows {
        // One to start, one per attempt, one per accepted step; the last step is free.
        assert_eq!(stats.evaluations, 2 * (stats.accepted - 1) + stats.rejected + 1);
    }
    // A function that draws whole batches gives the same, also through a sampler.
    let draws = |i: u64| noise.batch(i);
    let same = solve_adaptive(&gaussian, &PathKind::Linear, x0.clone(), (0.0, 1.0), &how, &PerStep(draws), SaveAt::End);
    assert_eq!(same.unwrap().x, all.x);
    let sampler = Sampler {
        stochastic: Some((Method::Heun, how.diffusion)),
        ..Sampler::new(SolverName::Euler, Steps::Adaptive(Pace::PerSample, how.options.clone()))
    };
    let objective = fm_core::objective::Objective::default();
    let drawn = sampler.run(&gaussian, &objective, x0.clone(), draws, true).unwrap();
    assert_eq!((&drawn.x, drawn.frames.first()), (&all.x, Some(&x0)));
    assert_eq!((drawn.frames.last(), drawn.nfe), (Some(&all.x), all.row_evaluations() as f64 / 6.0));
    assert!(drawn.frames.iter().all(|frame| frame.iter().all(|x| x.is_finite())));
}

#[test]
fn a_batch_with_one_pace_shares_its_steps() {
    let noise = Seeded { seed: 1, rows: 5, dim: 2 };
    let x0 = Array2::from_shape_fn((5, 2), |(i, j)| i as f64 - 2.0 + 0.3 * j as f64);
    let how = AdaptiveSde { pace: Pace::PerBatch, ..how("sigma".parse().unwrap(), 1e-2) };
    let found = solve_adaptive(&gaussian, &PathKind::Linear, x0, (0.0, 1.0), &how, &noise, SaveAt::Steps).unwrap();
    let times = |i: usize| found.trajectories[i].iter().map(|(t, _)| *t).collect::<Vec<_>>();
    assert!((1..5).all(|i| times(i) == times(0) && found.rows[i] == found.rows[0]));
    assert_eq!(found.calls, found.rows[0].evaluations);
    let times = times(0);
    assert_eq!((times[times.len() - 1], times[times.len() - 2]), (1.0, 0.999));
}

/// Without noise it is Heun's method, and the last step sets x to the expected data point.
#[test]
fn without_noise_it_is_the_flow() {
    let noise = Seeded { seed: 1, rows: 2, dim: 1 };
    let how = AdaptiveSde { last_step: 0.02, ..how(Diffusion::Constant { scale: 0.0 }, 1e-7) };
    let x0 = array![[1.0], [-0.5]];
    let found =
        solve_adaptive(&gaussian, &PathKind::Linear, x0.clone(), (0.0, 1.0), &how, &noise, SaveAt::Steps).unwrap();
    let reached = &x0 * spread(0.98).sqrt();
    assert!((before_last(&found) - &reached).iter().all(|d| d.abs() < 1e-5));
    let data = &reached * (0.98 * 0.25 / spread(0.98));
    assert!((&found.x - &data).iter().all(|d| d.abs() < 1e-5), "{:?} {data:?}", found.x);
}

#[test]
fn what_cannot_be_solved_is_said() {
    let noise = Seeded { seed: 1, rows: 2, dim: 1 };
    let solve = |field: &dyn RowField<Array2<f64>>, path: &str, span, how: &AdaptiveSde| {
        let path: PathKind = path.parse().unwrap();
        solve_adaptive_partial(field, &path, array![[1.0], [0.2]], span, how, &noise, SaveAt::End)
    };
    let field: &dyn RowField<Array2<f64>> = &gaussian;
    let good = how("sigma".parse().unwrap(), 1e-2);
    let refused = |path: &str, span, how: &AdaptiveSde| solve(field, path, span, how).unwrap_err();
    let churn = AdaptiveSde { diffusion: "churn".parse().unwrap(), ..good.clone() };
    assert_eq!(refused("linear", (0.0, 1.0), &churn), SolveError::StochasticAdaptive);
    assert_eq!(refused("linear", (1.0, 0.0), &good), SolveError::Backwards);
    assert!(matches!(refused("linear", (0.0, 1.5), &good), SolveError::Path(_)));
    assert!(matches!(refused("bridge", (0.1, 0.9), &good), SolveError::Path(_)));
    for last_step in [0.0, 1.0, f64::NAN, -1.0] {
        let how = AdaptiveSde { last_step, ..good.clone() };
        assert!(matches!(refused("linear", (0.0, 1.0), &how), SolveError::Control { .. }), "{last_step}");
    }
    let short = AdaptiveSde { options: AdaptiveOptions { max_evaluations: 9, ..good.options.clone() }, ..good.clone() };
    let stopped = solve(field, "linear", (0.0, 1.0), &short).unwrap();
    assert!(stopped.rows.iter().all(|stats| matches!(stats.reason, StopReason::MaxEvaluations { .. })));
    assert!(stopped.rows.iter().all(|stats| stats.evaluations <= 9));
    let broken = |x: &Array2<f64>, t: &[f64], _: &[usize]| x.mapv(|x| if t[0] > 0.5 { f64::NAN } else { x });
    let found = solve(&broken, "linear", (0.0, 1.0), &good).unwrap();
    let StopReason::NonFinite { t } = found.rows[0].reason else { panic!("{:?}", found.rows[0]) };
    assert!((0.45..=0.5).contains(&t) && found.x.iter().all(|x| x.is_finite()), "{t}");
    let euler = Sampler {
        stochastic: Some((Method::EulerMaruyama, good.diffusion)),
        ..Sampler::new(SolverName::Euler, Steps::Adaptive(Pace::PerSample, good.options))
    };
    let draws = |_: u64| array![[0.0]];
    let error = euler.run(&gaussian, &fm_core::objective::Objective::default(), array![[1.0]], draws, false);
    assert_eq!(error.unwrap_err(), SolveError::StochasticAdaptive);
}
