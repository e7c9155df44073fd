//! Sampling: a solver and its steps as one value that transports the source of a flow to the data.
//!
//! A network trained on an [`Objective`] predicts a velocity, the data, the noise or the score; the
//! sampler converts the prediction, integrates dx/dt = v from t = 0 to 1 (or to the clip of a
//! singular end), and counts the evaluations.
//!
//! ```
//! use fm_core::objective::Objective;
//! use fm_solvers::Sampler;
//! use ndarray::{Array2, array};
//! // All data are at 3, and the network predicts the data.
//! let network = |x: &Array2<f64>, _: &[f64], _: &[usize]| Array2::from_elem(x.dim(), 3.0);
//! let mut objective = Objective { prediction: "data".parse()?, ..Objective::default() };
//! objective.times.clip = 1e-3;
//! let x0 = array![[1.0], [-2.0]];
//! let samples = Sampler::midpoint(20).run(&network, &objective, x0, |_| array![[0.0], [0.0]], false)?;
//! assert!(samples.x.iter().all(|x| (x - 3.0).abs() < 1e-2));
//! assert_eq!((samples.nfe, samples.calls), (40.0, 40)); // two per step
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "tch")]
mod conditional;
mod guided;
#[cfg(feature = "tch")]
mod network;
mod own;
mod saving;
mod steps;

#[cfg(feature = "tch")]
pub use crate::guidance::Guidance;
pub use crate::pace::{Controller, Pace};
pub use crate::tableau::SolverName;
#[cfg(feature = "tch")]
pub use conditional::ConditionalSampler;
pub use own::run_with;
#[cfg(feature = "tch")]
pub use own::{sample_guided_with, sample_with};
pub use steps::Steps;

use crate::sde::{self, AdaptiveSde, Diffusion, Method, Noise, PerStep};
use crate::tableau::SolverMethod;
use crate::{AdaptiveOptions, Grid, SaveAt, Solution, SolveError, Stats, StopReason};
use crate::{adaptive, fixed, flow_map, multistep, per_sample};
use fm_core::field::{ByRef, Converted, RowField, SharedTime};
use fm_core::loss::RowLoss;
use fm_core::objective::Objective;
use fm_core::path::{PathKind, ProbPath};
use fm_core::schedule::Rescheduled;
use fm_core::state::{OdeState, RowState};
use fm_core::time::TimeDistribution;
use fm_core::weighting::TimeWeight;
use saving::Save;
use serde::{Deserialize, Serialize};

/// A solver method with its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[doc(alias = "ODESolver")]
#[doc(alias = "NeuralODE")]
pub struct Sampler {
    /// The method.
    pub solver: SolverName,
    /// Its steps.
    pub steps: Steps,
    /// Stochastic sampling with this method and diffusion, which replaces the solver method.
    #[serde(default)]
    pub stochastic: Option<(Method, Diffusion)>,
    /// The path to sample along, if it differs from the path of training.
    #[serde(default)]
    pub schedule: Option<PathKind>,
}

/// Samples and their cost.
#[derive(Debug)]
pub struct Samples<S> {
    /// The samples.
    pub x: S,
    /// States from the source to the samples, if saved.
    pub frames: Vec<S>,
    /// Counted evaluations per sample; the mean if samples differ.
    pub nfe: f64,
    /// Number of network calls.
    pub calls: usize,
    /// Accepted and rejected steps, summed over samples with their own step sizes.
    pub stats: Stats,
}

impl<S> Samples<S> {
    /// The cost as readable text.
    pub fn describe_nfe(&self) -> String {
        if self.nfe == self.calls as f64 {
            return self.calls.to_string();
        }
        format!("{:.1} (mean of a sample; {} calls)", self.nfe, self.calls)
    }
}

impl<S> From<Solution<S>> for Samples<S> {
    /// The result of a solve in which all samples share their steps.
    fn from(Solution { x, states, stats, .. }: Solution<S>) -> Self {
        Self { x, frames: states, nfe: stats.evaluations as f64, calls: stats.evaluations, stats }
    }
}

impl Sampler {
    /// A method with the given steps: [`Steps`], a number of equal steps, or a number on a grid.
    ///
    /// ```
    /// use fm_solvers::sampler::{Sampler, SolverName, Steps};
    /// use fm_solvers::Grid;
    /// assert_eq!(Sampler::new(SolverName::Heun, 20), Sampler::fixed(SolverName::Heun, 20));
    /// let shifted = Sampler::new(SolverName::unipc(2)?, Grid::Shift { s: 3.0 }.steps(18));
    /// assert_eq!(shifted.to_string(), "unipc:order=2, 18 steps, grid shift:s=3");
    /// # Ok::<(), fm_solvers::SolveError>(())
    /// ```
    pub fn new(solver: SolverName, steps: impl Into<Steps>) -> Self {
        Self { solver, steps: steps.into(), stochastic: None, schedule: None }
    }

    /// A method with a fixed number of equal steps.
    pub fn fixed(solver: SolverName, steps: usize) -> Self {
        Self::new(solver, Steps::Fixed(Grid::Uniform, steps))
    }

    /// Euler's method: one evaluation per step.
    #[doc(alias = "FlowMatchEulerDiscreteScheduler")]
    pub fn euler(steps: usize) -> Self {
        Self::fixed(SolverName::Euler, steps)
    }

    /// The midpoint method: two evaluations per step.
    pub fn midpoint(steps: usize) -> Self {
        Self::fixed(SolverName::Midpoint, steps)
    }

    /// The classic Runge-Kutta method of order 4: four evaluations per step.
    pub fn rk4(steps: usize) -> Self {
        Self::fixed(SolverName::Rk4, steps)
    }

    /// Dormand-Prince 5(4) with adaptive steps per sample, at the given relative and absolute
    /// tolerance.
    pub fn dopri5(tolerance: f64) -> Self {
        let options = AdaptiveOptions::with_tolerance(tolerance);
        Self::new(SolverName::Dopri5, Steps::Adaptive(Pace::PerSample, options))
    }

    /// Integrates x0 to samples with a network trained for `objective`. `noise(i)` returns the
    /// standard normal noise of step i, or of node i of a [Brownian tree](crate::sde::brownian) for
    /// adaptive steps, shaped as the batch; only stochastic sampling calls it.
    /// `frames` saves intermediate states.
    ///
    /// # Errors
    /// A singular end without a training clip, invalid steps, a network that returns another shape,
    /// and a solve that does not reach the end.
    pub fn run<S, P, T, W, L>(
        &self,
        network: &impl RowField<S>,
        objective: &Objective<P, T, W, L>,
        x0: S,
        noise: impl Fn(u64) -> S,
        frames: bool,
    ) -> Result<Samples<S>, SolveError>
    where
        S: OdeState + RowState,
        P: ProbPath,
        T: TimeDistribution,
        W: TimeWeight,
        L: RowLoss,
    {
        self.run_by(network, objective, x0, &PerStep(noise), frames)
    }

    /// As [`run`](Self::run), with noise by number and row, which adaptive stochastic steps per
    /// sample draw for the rows that need it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_by<S, P, T, W, L>(
        &self,
        network: &impl RowField<S>,
        objective: &Objective<P, T, W, L>,
        x0: S,
        noise: &impl Noise<S>,
        frames: bool,
    ) -> Result<Samples<S>, SolveError>
    where
        S: OdeState + RowState,
        P: ProbPath,
        T: TimeDistribution,
        W: TimeWeight,
        L: RowLoss,
    {
        let save = if frames { Save::Frames } else { Save::End };
        self.run_saving(network, objective, x0, noise, save)
    }

    /// As [`run`](Self::run), and saves the states at `times`, which increase from 0 (source) or
    /// later to at most 1 (data). States between two steps are interpolated, so the times do not
    /// change the samples. The state at time 0 is x0, and that at time 1 the samples. If the span
    /// is clipped, times are relative to it: 0 and 1 are its ends.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`SolveError::Times`] for times that do not rise within 0 to 1, and
    /// [`SolveError::NoInterpolant`] in stochastic sampling.
    #[doc(alias = "odeint")]
    pub fn trajectory<S, P, T, W, L>(
        &self,
        network: &impl RowField<S>,
        objective: &Objective<P, T, W, L>,
        x0: S,
        noise: impl Fn(u64) -> S,
        times: &[f64],
    ) -> Result<Samples<S>, SolveError>
    where
        S: OdeState + RowState,
        P: ProbPath,
        T: TimeDistribution,
        W: TimeWeight,
        L: RowLoss,
    {
        SaveAt::At(times).check((0.0, 1.0))?;
        self.run_saving(network, objective, x0, &PerStep(noise), Save::At(times))
    }

    fn run_saving<S, P, T, W, L>(
        &self,
        network: &impl RowField<S>,
        objective: &Objective<P, T, W, L>,
        x0: S,
        noise: &impl Noise<S>,
        save: Save<'_>,
    ) -> Result<Samples<S>, SolveError>
    where
        S: OdeState + RowState,
        P: ProbPath,
        T: TimeDistribution,
        W: TimeWeight,
        L: RowLoss,
    {
        let velocity = Converted::new(ByRef(network), &objective.path, objective.prediction, objective.span()?)?;
        let Some(path) = self.schedule else {
            return self.solve_saving(velocity, &objective.path, objective.span()?, x0, noise, save);
        };
        let span = objective.span_along(&path)?;
        self.solve_saving(Rescheduled::new(velocity, &objective.path, path, span)?, &path, span, x0, noise, save)
    }

    /// Integrates `x0` over `span` with a velocity along `path`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn solve<S: OdeState + RowState>(
        &self,
        field: impl RowField<S>,
        path: &impl ProbPath,
        span: (f64, f64),
        x0: S,
        noise: impl Fn(u64) -> S,
        frames: bool,
    ) -> Result<Samples<S>, SolveError> {
        let save = if frames { Save::Frames } else { Save::End };
        self.solve_saving(field, path, span, x0, &PerStep(noise), save)
    }

    fn solve_saving<S: OdeState + RowState>(
        &self,
        field: impl RowField<S>,
        path: &impl ProbPath,
        span: (f64, f64),
        x0: S,
        noise: &impl Noise<S>,
        save: Save<'_>,
    ) -> Result<Samples<S>, SolveError> {
        let times = save.times(span)?;
        let every = save.of_steps(&times);
        let solution = match (&self.steps, self.stochastic) {
            (Steps::Adaptive(Pace::PerSample, options), None) => {
                let output = if times.is_empty() { SaveAt::End } else { SaveAt::At(&times) };
                return Ok(finish_rows(per_sample::solve(&field, x0, span, self.solver.tableau()?, options, output)?));
            }
            (Steps::Adaptive(Pace::PerBatch, options), None) => {
                adaptive::solve(&SharedTime(field), x0, span, self.solver.tableau()?, options, every)?
            }
            (Steps::Adaptive(pace, options), Some((method, diffusion))) => {
                if method != Method::Heun {
                    return Err(SolveError::StochasticAdaptive);
                }
                if matches!(save, Save::At(_)) {
                    return Err(SolveError::NoInterpolant);
                }
                let output = if times.is_empty() { SaveAt::End } else { SaveAt::At(&times) };
                let how = AdaptiveSde { pace: *pace, options: options.clone(), ..AdaptiveSde::new(diffusion) };
                return Ok(finish_rows(sde::solve_adaptive(&field, path, x0, span, &how, noise, output)?));
            }
            (steps, None) => match self.solver.method() {
                SolverMethod::RungeKutta(tableau) => {
                    fixed::solve(&SharedTime(field), x0, &steps.grid(span)?, tableau, every)?
                }
                SolverMethod::Multistep(method) => {
                    multistep::solve(&SharedTime(field), path, x0, &steps.grid(span)?, method, every)?
                }
                SolverMethod::FlowMap => flow_map::solve(&field, x0, &steps.grid(span)?, every)?,
            },
            (steps, Some(how)) => {
                sde::solve(&SharedTime(field), path, x0, &steps.grid(span)?, how, |i| noise.batch(i), every)?
            }
        };
        Ok(solution.into())
    }

    /// Every value that samples depend on, for cache keys. It is derived from the struct, so new
    /// fields are included automatically. [`describe`](Self::describe) returns a readable form.
    pub fn key(&self) -> String {
        format!("{self:?}")
    }

    /// The method and its accuracy as readable text.
    pub fn describe(&self) -> String {
        let method = match self.stochastic {
            Some((method, diffusion)) => format!("stochastic {method}, diffusion {diffusion}"),
            None => self.solver.to_string(),
        };
        let accuracy = match &self.steps {
            Steps::Fixed(Grid::Uniform, steps) => format!("{steps} steps"),
            Steps::Fixed(grid, steps) => format!("{steps} steps, grid {grid}"),
            Steps::Listed(times) => format!("{} listed steps", times.len().saturating_sub(1)),
            Steps::Adaptive(pace, AdaptiveOptions { tolerance, .. }) => {
                let list = |b: &[f64]| b.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
                format!("{pace} steps, rtol {} atol {}", list(tolerance.rtol.values()), list(tolerance.atol.values()))
            }
        };
        let along = self.schedule.map_or(String::new(), |path| format!(" along the {path} path"));
        format!("{method}, {accuracy}{along}")
    }
}

impl std::fmt::Display for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

fn finish_rows<S>(solution: per_sample::BatchSolution<S>) -> Samples<S> {
    let rows = &solution.rows;
    let sum = |of: fn(&Stats) -> usize| rows.iter().map(of).sum::<usize>();
    let stats = Stats {
        evaluations: solution.row_evaluations(),
        accepted: sum(|r| r.accepted),
        rejected: sum(|r| r.rejected),
        smallest_step: rows.iter().map(|r| r.smallest_step).fold(f64::INFINITY, f64::min),
        reason: StopReason::ReachedEnd,
    };
    let nfe = stats.evaluations as f64 / rows.len().max(1) as f64;
    Samples { nfe, calls: solution.calls, frames: solution.states, x: solution.x, stats }
}

#[cfg(test)]
mod tests;
