//! Steps of the ODE with noise between them, as in algorithm 2 of Karras et al. (2022).
//!
//! With the noise level s = sigma / alpha, a step from t first raises the level by a share:
//!
//! s^ = (1 + gamma) s, gamma = min(s_churn / n, sqrt(2) - 1) if s_min <= s <= s_max, otherwise 0,
//!
//! x^ = alpha(t^) / alpha(t) x + alpha(t^) sqrt(s^^2 - s^2) s_noise z,
//!
//! where t^ < t is the time with level s^. Then it follows the ODE from (x^, t^) to the next time
//! by Heun's method, or Euler's where the noise level ends at 0.

use super::diffusion::Method;
use crate::fixed::check_grid;
use crate::record::Record;
use crate::step::{fitting, is_finite, stages};
use crate::tableau::{EULER, HEUN};
use crate::{SaveAt, Solution, SolveError, Stats, StopReason};
use fm_core::field::VelocityField;
use fm_core::path::ProbPath;
use fm_core::prediction::Prediction;
use fm_core::schedule::time_of_level;
use fm_core::state::OdeState;

/// The noise between steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Churn {
    pub(super) s_churn: f64,
    pub(super) s_min: f64,
    pub(super) s_max: f64,
    pub(super) s_noise: f64,
}

/// A step: the change of x before it, and its times.
struct Step {
    /// Factor of x, and standard deviation of the noise.
    noise: Option<(f64, f64)>,
    start: f64,
    end: f64,
    /// Whether the step ends at noise level 0.
    clean: bool,
}

/// The steps of a grid.
pub(super) struct Plan<'a> {
    grid: &'a [f64],
    method: Method,
    steps: Vec<Step>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(path: &impl ProbPath, grid: &'a [f64], method: Method, churn: Churn) -> Result<Self, SolveError> {
        check_grid(grid)?;
        path.check()?;
        // Refuses a path with noise of its own, by the error of the other stochastic methods.
        Prediction::Velocity.to(Prediction::Data, &path.at(grid[0])?)?;
        let last = grid[grid.len() - 1];
        if last > 1.0 {
            return Err(fm_core::Error::TimeOutside { t: last }.into());
        }
        let share = (churn.s_churn / (grid.len() - 1) as f64).min(std::f64::consts::SQRT_2 - 1.0);
        let level = |t: f64| path.at(t).map(|c| c.sigma / c.alpha);
        let highest = level(grid[0])?;
        let step = |pair: &[f64]| -> Result<Step, SolveError> {
            let (t, end) = (pair[0], pair[1]);
            let (before, clean) = (level(t)?, !path.at(end).is_ok_and(|c| c.sigma != 0.0));
            let raised = ((1.0 + share) * before).min(highest);
            let mut step = Step { noise: None, start: t, end, clean };
            if raised > before && (churn.s_min..=churn.s_max).contains(&before) {
                let start = time_of_level(path, raised).unwrap_or(t);
                let scale = path.at(start)?.alpha;
                let deviation = (raised * raised - before * before).sqrt() * churn.s_noise;
                step = Step { noise: Some((scale / path.at(t)?.alpha, scale * deviation)), start, ..step };
            }
            Ok(step)
        };
        let steps = grid.windows(2).map(step).collect::<Result<_, _>>()?;
        Ok(Self { grid, method, steps })
    }

    /// All steps; if `careful`, only those before the first state that is not finite.
    pub(super) fn pass<S: OdeState>(
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
        let (mut next, mut k) = (S::linear_combination(&[(1.0, &x)]), Vec::with_capacity(2));
        for (i, step) in self.steps.iter().enumerate() {
            let (t, h) = (step.start, step.end - step.start);
            let noisy;
            let mut from = &x;
            if let Some((scale, deviation)) = step.noise {
                let z = fitting("the noise", &x, noise(i as u64), t)?;
                noisy = S::linear_combination(&[(scale, &x), (deviation, &z)]);
                from = &noisy;
            }
            let tableau = if step.clean || self.method == Method::EulerMaruyama { EULER } else { HEUN };
            k.clear();
            let count = tableau.stages();
            stats.evaluations += stages(field, from, (t, h), &tableau, (count, false), &mut k, &mut next)?;
            if careful && !is_finite(&next) {
                stats.reason = StopReason::NonFinite { t: self.grid[i] };
                break;
            }
            std::mem::swap(&mut x, &mut next);
            stats.accepted += 1;
            stats.smallest_step = stats.smallest_step.min(h);
            record.push_step(step.end, &x);
        }
        Ok(record.finish(x, stats))
    }
}
