//! Stochastic sampling: an SDE with the same marginals as the flow.
//!
//! If x moves with velocity v and the density of x_t has score s, then for any g(t)
//!
//! dx = (v(x, t) + g(t)^2 / 2 s(x, t)) dt + g(t) dW
//!
//! has the same density at every t. The score is that of the field, if it [has
//! one](VelocityField::has_score), as a network on a [Brownian bridge](fm_core::bridge) does.
//! Otherwise it is computed from the velocity (or another prediction of the network) through the
//! path, and requires a Gaussian source. The noise corrects errors of the velocity, at the cost of
//! more steps.
//!
//! | method | order (weak, in the step size) | evaluations of n steps |
//! |---|---|---|
//! | Euler-Maruyama | 1 | n |
//! | stochastic Heun, noise of both ends averaged | 2 | 2 n - 1; of a field with a score 2 n |
//!
//! These methods take the steps of a grid; [`solve_adaptive`] takes adaptive steps. The last step
//! sets x to the expected data point E\[x1 | x_t\] (denoising), because the score is singular where
//! the noise ends. A field with a score has values at the last time too, so its last step is like
//! the others.
//!
//! [`Diffusion::Churn`] integrates the ODE and adds noise between its steps, as in algorithm 2 of
//! Karras et al.: before each of n steps, it increases the noise level sigma / alpha by the factor
//! 1 + gamma, with gamma = min(s_churn / n, sqrt(2) - 1). Steps are Heun's, except for an Euler
//! step to the level 0, so there are 2 n - 1 evaluations.
//!
//! A field with a score can also be solved from the data to the source, with falling times. The SDE
//! with the same densities is then dx = (v - g^2 / 2 s) dt + g dW.
//!
//! Sources: Song et al., "Score-Based Generative Modeling through SDEs" (2021); Ma et al., "SiT"
//! (2024), sections 2.4 and 3.4; Kloeden and Platen, "Numerical Solution of SDEs" (1992), ch. 15;
//! Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022).
//!
//! ```
//! use fm_core::path::PathKind;
//! use fm_solvers::{Grid, SaveAt, sde::{self, Diffusion, Method}};
//! // Data N(0, 1/4) from N(0, 1): v = x (t / 4 - (1 - t)) / (t^2 / 4 + (1 - t)^2).
//! let field = |x: &Vec<f64>, t: f64| {
//!     let slope = (t / 4.0 - (1.0 - t)) / (t * t / 4.0 + (1.0 - t) * (1.0 - t));
//!     x.iter().map(|x| slope * x).collect::<Vec<_>>()
//! };
//! let noise = |step| fm_core::rng::normal_rows(fm_core::rng::Key::new(0, step, fm_core::rng::Stream::Increment), 4000, 1).into_iter().map(f64::from).collect();
//! let x0: Vec<f64> = noise(1000);
//! let diffusion = Diffusion::Constant { scale: 1.0 };
//! let solution =
//!     sde::solve(&field, &PathKind::Linear, x0, &Grid::Uniform.times(50)?, (Method::Heun, diffusion), noise, SaveAt::End)?;
//! let variance = solution.x.iter().map(|x| x * x).sum::<f64>() / 4000.0;
//! assert!((variance - 0.25).abs() < 0.02, "{variance}"); // 4 standard errors are 0.022
//! assert_eq!(solution.stats.evaluations, 99);
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

mod adaptive;
mod adaptive_options;
pub mod brownian;
mod churn;
mod diffusion;
mod drifted;
mod noise;

pub use adaptive::{solve_adaptive, solve_adaptive_partial};
pub use adaptive_options::AdaptiveSde;
pub use diffusion::{Diffusion, Method};
#[cfg(feature = "tch")]
pub use noise::SeededNoise;
pub use noise::{Noise, PerStep};

use crate::fixed::check_grid;
use crate::record::Record;
use crate::step::{fitting, is_finite, velocity};
use crate::{SaveAt, Solution, SolveError, Stats, StopReason};
use churn::Churn;
use drifted::{Drifted, deviation};
use fm_core::choice::Choice;
use fm_core::field::VelocityField;
use fm_core::path::{Coefficients, ProbPath};
use fm_core::prediction::{Conversion, Prediction};
use fm_core::state::OdeState;

/// Integrates `x` along a `grid` that rises, or also falls if the field has a score. `noise(i)`
/// returns the noise of step i, standard normal and shaped as the state.
///
/// # Errors
/// [`SolveError::Grid`] unless the grid has at least two finite times in order;
/// [`SolveError::Backwards`] for falling times of a field without a score;
/// [`SolveError::NoInterpolant`] for output at given times; [`SolveError::Choice`] for an invalid
/// scale; [`SolveError::Path`] for times outside \[0, 1\] and, of a field without a score, for a
/// path with extra noise and one that is singular at a time of the grid other than the last;
/// [`SolveError::Shape`] for a velocity, score or noise of another shape than x;
/// [`SolveError::Stopped`] at a state that is not finite.
#[doc(alias = "sdeint")]
pub fn solve<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    path: &impl ProbPath,
    x: S,
    grid: &[f64],
    how: (Method, Diffusion),
    noise: impl Fn(u64) -> S,
    output: SaveAt<'_>,
) -> Result<Solution<S>, SolveError> {
    solve_partial(field, path, x, grid, how, noise, output)?.into_result()
}

/// As [`solve`], but if a state is not finite the result is the state before it, found by a second
/// pass.
///
/// # Errors
/// As [`solve`], without [`SolveError::Stopped`].
pub fn solve_partial<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    path: &impl ProbPath,
    x: S,
    grid: &[f64],
    (method, diffusion): (Method, Diffusion),
    noise: impl Fn(u64) -> S,
    output: SaveAt<'_>,
) -> Result<Solution<S>, SolveError> {
    check_grid(grid)?;
    let churns = matches!(diffusion, Diffusion::Churn { .. });
    let scored = field.has_score() && !churns;
    if grid[1] < grid[0] && !scored {
        return Err(SolveError::Backwards);
    }
    if matches!(output, SaveAt::At(_)) {
        return Err(SolveError::NoInterpolant);
    }
    diffusion.validate()?;
    field.check(&x)?;
    if let Diffusion::Churn { s_churn, s_min, s_max, s_noise } = diffusion {
        let plan = churn::Plan::new(path, grid, method, Churn { s_churn, s_min, s_max, s_noise })?;
        return twice(|careful| plan.pass(field, &x, &noise, output, careful));
    }
    if scored {
        let plan = Plan::of_drift(path, grid, method, diffusion)?;
        let drift = Drifted { field, path, diffusion, direction: (grid[1] - grid[0]).signum() };
        return twice(|careful| plan.pass(&drift, &x, &noise, output, careful));
    }
    let plan = Plan::new(path, grid, method, diffusion)?;
    twice(|careful| plan.pass(field, &x, &noise, output, careful))
}

/// A pass over all steps, and if the result is not finite, a careful one.
fn twice<S: OdeState>(pass: impl Fn(bool) -> Result<Solution<S>, SolveError>) -> Result<Solution<S>, SolveError> {
    S::untracked(|| {
        let solution = pass(false)?;
        if is_finite(&solution.x) {
            return Ok(solution);
        }
        let mut careful = pass(true)?;
        careful.stats.evaluations += solution.stats.evaluations;
        Ok(careful)
    })
}

/// The drift v + g^2 / 2 s at one time as a combination of x and v, and g.
fn drift(c: &Coefficients, diffusion: Diffusion) -> Result<(Conversion, f64), fm_core::Error> {
    let (score, variance) = (Prediction::Velocity.to(Prediction::Score, c)?, diffusion.variance(c));
    let half = 0.5 * variance;
    Ok((Conversion { x: half * score.x, prediction: 1.0 + half * score.prediction }, variance.sqrt()))
}

/// The drift as a combination of x and a field that is the drift itself.
const ITSELF: Conversion = Conversion { x: 0.0, prediction: 1.0 };

/// The steps of a grid on a path.
struct Plan<'a> {
    grid: &'a [f64],
    method: Method,
    /// For each time, except the last if that one denoises: the drift as a combination of x and v,
    /// and g.
    drifts: Vec<(Conversion, f64)>,
    /// E\[x1 | x_t\] at the second-to-last time, unless the last step is like the others.
    denoise: Option<Conversion>,
}

impl<'a> Plan<'a> {
    fn new(
        path: &impl ProbPath,
        grid: &'a [f64],
        method: Method,
        diffusion: Diffusion,
    ) -> Result<Self, fm_core::Error> {
        path.check()?;
        let (before, last) = (&grid[..grid.len() - 1], grid[grid.len() - 1]);
        let drifts = before.iter().map(|t| drift(&path.at(*t)?, diffusion)).collect::<Result<_, fm_core::Error>>()?;
        let denoise = Some(Prediction::Velocity.to(Prediction::Data, &path.at(before[before.len() - 1])?)?);
        // The path may be singular at the last time, but the time must be valid.
        if last > 1.0 {
            return Err(fm_core::Error::TimeOutside { t: last });
        }
        Ok(Self { grid, method, drifts, denoise })
    }

    /// The steps of a field that is the drift itself.
    fn of_drift(
        path: &impl ProbPath,
        grid: &'a [f64],
        method: Method,
        diffusion: Diffusion,
    ) -> Result<Self, fm_core::Error> {
        path.check()?;
        let drifts = grid.iter().map(|t| Ok((ITSELF, deviation(path, diffusion, *t)?)));
        Ok(Self { grid, method, drifts: drifts.collect::<Result<_, fm_core::Error>>()?, denoise: None })
    }

    /// All steps; if `careful`, only those before the first state that is not finite.
    fn pass<S: OdeState>(
        &self,
        field: &(impl VelocityField<S> + ?Sized),
        x: &S,
        noise: &impl Fn(u64) -> S,
        output: SaveAt<'_>,
        careful: bool,
    ) -> Result<Solution<S>, SolveError> {
        let mut record = Record::new(output, self.grid[0], x);
        let mut stats = Stats { smallest_step: f64::INFINITY, ..Stats::default() };
        let mut x = S::linear_combination(&[(1.0, x)]);
        for (i, pair) in self.grid.windows(2).enumerate() {
            let (t, h) = (pair[0], pair[1] - pair[0]);
            let v = velocity(field, &x, t)?;
            stats.evaluations += 1;
            let last = i + 2 == self.grid.len();
            let next = if let Some(Conversion { x: of_x, prediction }) = self.denoise.filter(|_| last) {
                S::linear_combination(&[(of_x, &x), (prediction, &v)])
            } else {
                stats.evaluations += usize::from(self.method == Method::Heun);
                let dw = fitting("the noise", &x, noise(i as u64), t)?;
                self.step(field, i, &x, &v, &dw)?
            };
            if careful && !is_finite(&next) {
                stats.reason = StopReason::NonFinite { t };
                break;
            }
            stats.accepted += 1;
            stats.smallest_step = stats.smallest_step.min(h.abs());
            record.push_step(pair[1], &next);
            x = next;
        }
        Ok(record.finish(x, stats))
    }

    /// The state after step i from x, whose velocity is v.
    fn step<S: OdeState>(
        &self,
        field: &(impl VelocityField<S> + ?Sized),
        i: usize,
        x: &S,
        v: &S,
        dw: &S,
    ) -> Result<S, SolveError> {
        let (drift, g) = self.drifts[i];
        let h = self.grid[i + 1] - self.grid[i];
        let (a, b, root) = (h * drift.x, h * drift.prediction, h.abs().sqrt());
        let euler = S::linear_combination(&[(1.0 + a, x), (b, v), (g * root, dw)]);
        if self.method == Method::EulerMaruyama {
            return Ok(euler);
        }
        let (ahead, g_ahead) = self.drifts[i + 1];
        let v_ahead = velocity(field, &euler, self.grid[i + 1])?;
        Ok(S::linear_combination(&[
            (1.0 + 0.5 * a, x),
            (0.5 * b, v),
            (0.5 * h * ahead.x, &euler),
            (0.5 * h * ahead.prediction, &v_ahead),
            (0.5 * (g + g_ahead) * root, dw),
        ]))
    }
}
