//! Stochastic sampling of fields with a score of their own, in both directions of time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{State, numbers, reference, slope};
use fm_core::exact::{ExactField, Mixture};
use fm_core::field::{RowField, SharedTime, VelocityField};
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::time::Times;
use fm_solvers::sampler::{Pace, Sampler, Steps};
use fm_solvers::sde::{self, AdaptiveSde, Diffusion, Method, PerStep};
use fm_solvers::{AdaptiveOptions, SaveAt, SolveError, StopReason};
use ndarray::{Array2, array};

/// The Brownian bridge from N(0, FROM) to N(0, TO): its marginals have the variance
/// t^2 TO + (1 - t)^2 FROM + sigma^2 t (1 - t), and the source is not a standard normal.
const SIGMA: f64 = 1.3;
const FROM: f64 = 4.0;
const TO: f64 = 0.5;
const BRIDGE: PathKind = PathKind::Bridge { sigma: SIGMA };

fn marginal(t: f64) -> f64 {
    t * t * TO + (1.0 - t) * (1.0 - t) * FROM + SIGMA * SIGMA * t * (1.0 - t)
}

/// The factors of x in the velocity and in the score: V' / (2 V) and -1 / V.
fn factors(t: f64) -> [f64; 2] {
    let slope = 2.0 * t * TO - 2.0 * (1.0 - t) * FROM + SIGMA * SIGMA * (1.0 - 2.0 * t);
    [0.5 * slope / marginal(t), -1.0 / marginal(t)]
}

/// The field of the bridge, whose second part is `scale` times the score.
struct Gaussian {
    scale: f64,
}

impl VelocityField<State> for Gaussian {
    fn velocity(&self, x: &State, t: f64) -> State {
        x.iter().map(|x| factors(t)[0] * x).collect()
    }

    fn has_score(&self) -> bool {
        true
    }

    fn velocity_and_score(&self, x: &State, t: f64) -> Option<[State; 2]> {
        let score = x.iter().map(|x| self.scale * factors(t)[1] * x).collect();
        Some([self.velocity(x, t), score])
    }
}

impl RowField<Array2<f64>> for Gaussian {
    fn velocities(&self, x: &Array2<f64>, t: &[f64], _: &[usize]) -> Array2<f64> {
        Array2::from_shape_fn(x.dim(), |(i, j)| factors(t[i])[0] * x[[i, j]])
    }

    fn has_score(&self) -> bool {
        true
    }

    fn velocities_and_scores(&self, x: &Array2<f64>, t: &[f64], rows: &[usize]) -> Option<[Array2<f64>; 2]> {
        let score = Array2::from_shape_fn(x.dim(), |(i, j)| self.scale * factors(t[i])[1] * x[[i, j]]);
        Some([self.velocities(x, t, rows), score])
    }
}

/// The variance at the end. The field is linear, so with a basis vector for the start and each
/// increment the sum of squares is exact.
fn variance(method: Method, diffusion: Diffusion, (start, end): (f64, f64), steps: usize) -> f64 {
    let basis = |k: usize| (0..=steps).map(|i| f64::from(u8::from(i == k))).collect::<State>();
    let first: State = basis(0).iter().map(|x| x * marginal(start).sqrt()).collect();
    let grid: Vec<f64> = (0..=steps).map(|i| start + (end - start) * i as f64 / steps as f64).collect();
    let noise = |i: u64| basis(i as usize + 1);
    let field = Gaussian { scale: 1.0 };
    let found = sde::solve(&field, &BRIDGE, first, &grid, (method, diffusion), noise, SaveAt::End).unwrap();
    let each = if method == Method::Heun { 2 } else { 1 };
    assert_eq!(found.stats.evaluations, each * steps);
    found.x.iter().map(|x| x * x).sum()
}

#[test]
fn marginals_are_the_bridges_in_both_directions_to_the_stated_weak_order() {
    for diffusion in [Diffusion::Constant { scale: SIGMA * SIGMA }, Diffusion::Sigma { scale: 2.0 }] {
        for span in [(0.0, 1.0), (1.0, 0.0), (0.2, 0.7)] {
            for (method, order, counts) in
                [(Method::EulerMaruyama, 1.0, [200, 400, 800]), (Method::Heun, 2.0, [20, 40, 80])]
            {
                let errors =
                    counts.map(|n| (1.0 / n as f64, (variance(method, diffusion, span, n) - marginal(span.1)).abs()));
                // Over the whole span the leading error of Heun's method nearly cancels, so that a
                // slope means little.
                if method == Method::Heun && span == (0.0, 1.0) {
                    assert!(errors.iter().all(|(h, e)| *e < 0.3 * h * h), "{diffusion}: {errors:?}");
                } else {
                    let measured = slope(&errors);
                    assert!((measured - order).abs() < 0.2, "{method} {diffusion} {span:?}: {measured} {errors:?}");
                }
            }
        }
    }
}

/// A mixture on the linear path whose score is given, instead of computed by the path.
struct Known<F>(F);

impl<F: VelocityField<Array2<f64>>> VelocityField<Array2<f64>> for Known<F> {
    fn velocity(&self, x: &Array2<f64>, t: f64) -> Array2<f64> {
        self.0.velocity(x, t)
    }

    fn has_score(&self) -> bool {
        true
    }

    fn velocity_and_score(&self, x: &Array2<f64>, t: f64) -> Option<[Array2<f64>; 2]> {
        let v = self.velocity(x, t);
        let score = (&v * t - x) / (1.0 - t);
        Some([v, score])
    }
}

/// Paths of `tests/reference/sde.py`, up to the step that denoises there.
#[test]
fn paths_are_torchsdes() {
    let reference = reference("sde");
    let rows = |value: &serde_json::Value| {
        let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
        Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
    };
    let means = array![[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]];
    let mixture = Mixture::isotropic(&[0.5, 0.3, 0.2], means.view(), &[0.09, 0.04, 0.16]).unwrap();
    let field = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0)).unwrap();
    let field = Known(|x: &Array2<f64>, t: f64| field.velocity(x, t));
    let steps: Vec<Array2<f64>> = reference["steps"].as_array().unwrap().iter().map(rows).collect();
    let grid: Vec<f64> = (0..=9).map(|i| f64::from(i) * 3.0 / 32.0).collect();
    for case in reference["cases"].as_array().unwrap() {
        let how = (
            case["method"].as_str().unwrap().parse::<Method>().unwrap(),
            format!("{}:{}", case["form"].as_str().unwrap(), case["scale"]).parse::<Diffusion>().unwrap(),
        );
        let noise = |i: u64| steps[i as usize].clone();
        let x0 = rows(&reference["x0"]);
        let found = sde::solve(&field, &PathKind::Linear, x0, &grid, how, noise, SaveAt::Steps).unwrap();
        assert_eq!(found.states.len(), 10);
        for (ours, theirs) in found.states.iter().zip(case["path"].as_array().unwrap()) {
            assert!((ours - rows(theirs)).iter().all(|d| d.abs() < 1e-11), "{how:?}");
        }
    }
}

const ROWS: usize = 4000;

fn draws(i: u64, seed: u64) -> Array2<f64> {
    let values = normal_rows(Key::new(seed, i, Stream::Increment), ROWS, 1).into_iter().map(f64::from).collect();
    Array2::from_shape_vec((ROWS, 1), values).unwrap()
}

fn spread(x: &Array2<f64>) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>() / ROWS as f64
}

/// Five standard errors of a variance, relative.
const ERROR: f64 = 5.0 * 0.0224;

#[test]
fn adaptive_steps_end_at_the_bridges_variances() {
    let field = Gaussian { scale: 1.0 };
    let how = AdaptiveSde::new(Diffusion::Constant { scale: SIGMA * SIGMA });
    for (span, pace) in [((0.0, 1.0), Pace::PerSample), ((1.0, 0.0), Pace::PerSample), ((1.0, 0.0), Pace::PerBatch)] {
        let start = draws(1 << 60, 3) * marginal(span.0).sqrt();
        let how = AdaptiveSde { pace, ..how.clone() };
        let middle = [span.0, 0.5, span.1];
        let noise = PerStep(|i| draws(i, 5));
        let found = sde::solve_adaptive(&field, &BRIDGE, start, span, &how, &noise, SaveAt::At(&middle)).unwrap();
        let off = (spread(&found.x) / marginal(span.1) - 1.0).abs();
        assert!(off < ERROR, "{span:?} {pace}: {off}");
        // A state is saved after the step that reaches its time, at most 1/8 of the span later.
        let later = 0.5 + 0.125 * (span.1 - span.0);
        let (low, high) = (marginal(0.5).min(marginal(later)), marginal(0.5).max(marginal(later)));
        let middle = spread(&found.states[1]);
        assert!((low * (1.0 - ERROR)..high * (1.0 + ERROR)).contains(&middle), "{span:?} {pace}: {middle}");
    }
}

#[test]
fn samplers_take_velocity_and_score_from_a_networks_outputs() {
    // A network gives the scaled score sigma^2 / 2 s.
    let network = Gaussian { scale: 0.5 * SIGMA * SIGMA };
    let times = Times { clip: 1e-4, ..Times::default() };
    let objective: Objective = Objective {
        path: BRIDGE,
        prediction: Prediction::VelocityScore { weight: 1.0 },
        times,
        ..Objective::default()
    };
    let x0 = || draws(1 << 60, 3) * FROM.sqrt();
    let run = |sampler: &Sampler| sampler.run(&network, &objective, x0(), |i| draws(i, 7), false);
    let ode = run(&Sampler::rk4(50)).unwrap();
    let expected = spread(&x0()) * TO / FROM;
    assert!((spread(&ode.x) / expected - 1.0).abs() < 1e-3, "{}", spread(&ode.x));
    let noisy = |method, diffusion, steps| {
        let mut sampler = Sampler::euler(1);
        (sampler.steps, sampler.stochastic) = (steps, Some((method, diffusion)));
        sampler
    };
    let fixed = Steps::Fixed(fm_solvers::Grid::Uniform, 200);
    let adaptive = Steps::Adaptive(Pace::PerSample, AdaptiveOptions::with_tolerance(1e-2));
    for sampler in [
        noisy(Method::EulerMaruyama, Diffusion::Constant { scale: 1.0 }, fixed.clone()),
        noisy(Method::Heun, Diffusion::Sigma { scale: 2.0 }, fixed),
        noisy(Method::Heun, Diffusion::Constant { scale: 1.0 }, adaptive),
    ] {
        let found = run(&sampler).unwrap();
        let off = (spread(&found.x) / TO - 1.0).abs();
        assert!(off < ERROR, "{sampler}: {off}");
    }
    // The same outputs as a velocity alone have no score.
    let alone = Objective { prediction: Prediction::Velocity, ..objective };
    let sampler = Sampler { stochastic: Some((Method::Heun, Diffusion::Sigma { scale: 1.0 })), ..Sampler::euler(10) };
    let error = sampler.run(&network, &alone, x0(), |i| draws(i, 7), false).unwrap_err().to_string();
    assert!(error.contains("velocity+score"), "{error}");
}

/// What a score must not be.
struct Wrong {
    columns: usize,
    missing: bool,
}

impl RowField<Array2<f64>> for Wrong {
    fn velocities(&self, x: &Array2<f64>, _: &[f64], _: &[usize]) -> Array2<f64> {
        x.clone()
    }

    fn has_score(&self) -> bool {
        true
    }

    fn velocities_and_scores(&self, x: &Array2<f64>, _: &[f64], _: &[usize]) -> Option<[Array2<f64>; 2]> {
        (!self.missing).then(|| [x.clone(), Array2::zeros((x.nrows(), self.columns))])
    }
}

#[test]
fn what_cannot_be_solved_is_refused() {
    let how = (Method::Heun, Diffusion::Constant { scale: 1.0 });
    let solve = |field: &Wrong, grid: &[f64]| {
        let noise = |_| Array2::zeros((2, 1));
        let field = SharedTime(fm_core::field::ByRef(field));
        sde::solve(&field, &BRIDGE, array![[1.0], [2.0]], grid, how, noise, SaveAt::End)
    };
    let (good, grid) = (Wrong { columns: 1, missing: false }, [1.0, 0.5, 0.0]);
    assert!(solve(&good, &grid).is_ok());
    assert!(matches!(solve(&Wrong { columns: 2, missing: false }, &grid), Err(SolveError::Shape { .. })));
    let lost = solve(&Wrong { columns: 1, missing: true }, &grid);
    assert!(matches!(lost, Err(SolveError::Stopped { reason: StopReason::NonFinite { .. }, .. })), "{lost:?}");
    assert!(matches!(solve(&good, &[2.0, 0.5]), Err(SolveError::Path(fm_core::Error::TimeOutside { .. }))));
    let plain = |x: &Array2<f64>, _: f64| x.clone();
    let noise = |_| Array2::zeros((2, 1));
    let back = sde::solve(&plain, &PathKind::Linear, array![[1.0], [2.0]], &grid, how, noise, SaveAt::End);
    assert_eq!(back.unwrap_err(), SolveError::Backwards);
    let churn = (Method::Heun, "churn".parse::<Diffusion>().unwrap());
    let field = SharedTime(fm_core::field::ByRef(&good));
    let churned = sde::solve(&field, &BRIDGE, array![[1.0], [2.0]], &[0.1, 0.9], churn, noise, SaveAt::End);
    assert!(matches!(churned, Err(SolveError::Path(fm_core::Error::ExtraNoise { .. }))), "{churned:?}");
}
