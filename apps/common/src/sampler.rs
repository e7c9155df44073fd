//! Sampling as a value: the solver that was asked for, and how it carries the source to the data.

use crate::solvers::{Pace, SolverName};
use anyhow::bail;
use fm_core::field::{Converted, RowField, SharedTime};
use fm_core::objective::Objective;
use fm_core::path::{PathKind, ProbPath};
use fm_core::schedule::Rescheduled;
use fm_core::state::{OdeState, RowState};
use fm_solvers::sde::{self, Diffusion, Method};
use fm_solvers::{AdaptiveOptions, Grid, SaveAt, SolveError, Stats, StopReason, adaptive, fixed, per_sample};

/// How the time is divided.
#[derive(Debug, Clone, PartialEq)]
pub enum Steps {
    /// As a grid does.
    Fixed(Grid, usize),
    /// At these times, from 0 (source) to 1 (data).
    Listed(Vec<f64>),
    /// As an error estimate says.
    Adaptive(Pace, AdaptiveOptions),
}

/// A solver with its accuracy.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampler {
    /// The method.
    pub solver: SolverName,
    /// Its steps.
    pub steps: Steps,
    /// Noise added on the way, and how; the solver's method then does not count.
    pub stochastic: Option<(Method, Diffusion)>,
    /// The path to sample along, if not the one that was trained on.
    pub schedule: Option<PathKind>,
}

/// What came out.
#[derive(Debug)]
pub struct Samples<S> {
    /// The samples.
    pub x: S,
    /// States from the source to the samples, if they were asked for.
    pub frames: Vec<S>,
    /// Evaluations of a sample, counted; the mean where samples differ.
    pub nfe: f64,
    /// Calls of the network.
    pub calls: usize,
    /// Steps, accepted and rejected, over all samples that had their own.
    pub stats: Stats,
}

impl<S> Samples<S> {
    /// The cost in words.
    pub fn describe_nfe(&self) -> String {
        if self.nfe == self.calls as f64 {
            return self.calls.to_string();
        }
        format!("{:.1} (mean of a sample; {} calls)", self.nfe, self.calls)
    }
}

/// States kept of an adaptive solve, whose own steps differ between samples.
const FRAMES: usize = 50;

impl Sampler {
    /// A solver with a fixed number of equal steps.
    pub fn fixed(solver: SolverName, steps: usize) -> Self {
        Self { solver, steps: Steps::Fixed(Grid::Uniform, steps), stochastic: None, schedule: None }
    }

    /// Carries the source to the data with a network trained for `objective`. `noise(i)` is standard normal and shaped as the batch;
    /// only stochastic sampling asks for it.
    ///
    /// # Errors
    /// A singular end that the times of training did not keep away from, a request that cannot be carried out, and a solve that did not
    /// reach the end.
    pub fn run<S: OdeState + RowState>(
        &self,
        network: &impl RowField<S>,
        objective: &Objective,
        x0: S,
        noise: impl Fn(u64) -> S,
        frames: bool,
    ) -> anyhow::Result<Samples<S>> {
        let predicted = |x: &S, t: &[f64], rows: &[usize]| network.velocities(x, t, rows);
        let velocity = Converted::new(predicted, &objective.path, objective.prediction, objective.span()?)?;
        let Some(path) = self.schedule else {
            return self.solve(velocity, &objective.path, objective.span()?, x0, noise, frames);
        };
        let span = objective.span_along(&path)?;
        self.solve(Rescheduled::new(velocity, &objective.path, path, span)?, &path, span, x0, noise, frames)
    }

    /// Carries `x0` through `span` by a velocity along `path`.
    ///
    /// # Errors
    /// See [`run`](Self::run).
    pub fn solve<S: OdeState + RowState>(
        &self,
        field: impl RowField<S>,
        path: &impl ProbPath,
        span: (f64, f64),
        x0: S,
        noise: impl Fn(u64) -> S,
        frames: bool,
    ) -> anyhow::Result<Samples<S>> {
        let every = if frames { SaveAt::Steps } else { SaveAt::End };
        let solution = match (&self.steps, self.stochastic) {
            (Steps::Adaptive(Pace::PerSample, options), None) => {
                return finish_rows(self.own_pace(&field, span, x0, options, frames)?);
            }
            (Steps::Adaptive(Pace::PerBatch, options), None) => {
                adaptive::solve(&SharedTime(field), x0, span, self.solver.tableau(), options, every)?
            }
            (Steps::Adaptive(..), Some(_)) => {
                bail!("stochastic sampling takes fixed steps: give --num-steps or --times")
            }
            (steps, None) => fixed::solve(&SharedTime(field), x0, &steps.grid(span)?, self.solver.tableau(), every)?,
            (steps, Some(how)) => sde::solve(&SharedTime(field), path, x0, &steps.grid(span)?, how, noise, every)?,
        };
        let (nfe, calls) = (solution.stats.evaluations as f64, solution.stats.evaluations);
        check(solution.stats.reason)?;
        Ok(Samples { x: solution.x, frames: solution.states, nfe, calls, stats: solution.stats })
    }

    fn own_pace<S: OdeState + RowState>(
        &self,
        field: &impl RowField<S>,
        span: (f64, f64),
        x0: S,
        options: &AdaptiveOptions,
        frames: bool,
    ) -> Result<per_sample::BatchSolution<S>, SolveError> {
        let times = Steps::Fixed(Grid::Uniform, FRAMES).grid(span)?;
        let output = if frames { SaveAt::At(&times) } else { SaveAt::End };
        per_sample::solve(field, x0, span, self.solver.tableau(), options, output)
    }

    /// Every value that samples depend on, for keys of caches: derived, so that a new field is part of it. For people there is
    /// [`describe`](Self::describe).
    pub fn key(&self) -> String {
        format!("{self:?}")
    }

    /// The method and its accuracy in words.
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

impl Steps {
    /// The times in a span.
    fn grid(&self, (low, high): (f64, f64)) -> Result<Vec<f64>, SolveError> {
        let units = match self {
            Self::Fixed(grid, steps) => grid.times(*steps)?,
            Self::Listed(times) => times.clone(),
            Self::Adaptive(..) => return Err(SolveError::Grid),
        };
        Ok(units.iter().map(|u| low * (1.0 - u) + high * u).collect())
    }
}

fn finish_rows<S>(solution: per_sample::BatchSolution<S>) -> anyhow::Result<Samples<S>> {
    if let Some((row, reason)) = solution.failure() {
        bail!("sampling stopped early: in sample {row} of its batch it {reason}");
    }
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
    Ok(Samples { nfe, calls: solution.calls, frames: solution.states, x: solution.x, stats })
}

fn check(reason: StopReason) -> anyhow::Result<()> {
    match reason {
        StopReason::ReachedEnd => Ok(()),
        reason => bail!("sampling stopped early: it {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_solvers::controller::PidController;

    #[test]
    fn samplers_that_differ_in_any_value_have_different_keys() {
        let adaptive = |pace, options| Sampler { steps: Steps::Adaptive(pace, options), ..base() };
        fn base() -> Sampler {
            Sampler::fixed(SolverName::Dopri5, 10)
        }
        let options = || AdaptiveOptions::default();
        let samplers = [
            base(),
            Sampler::fixed(SolverName::Dopri5, 11),
            Sampler::fixed(SolverName::Tsit5, 10),
            Sampler { steps: Steps::Listed(vec![0.0, 0.5, 1.0]), ..base() },
            Sampler { steps: Steps::Listed(vec![0.0, 0.25, 1.0]), ..base() },
            adaptive(Pace::PerSample, options()),
            adaptive(Pace::PerBatch, options()),
            adaptive(Pace::PerSample, AdaptiveOptions { control: PidController::PI, ..options() }),
            adaptive(
                Pace::PerSample,
                AdaptiveOptions { control: PidController { safety: 0.8, ..PidController::I }, ..options() },
            ),
            adaptive(Pace::PerSample, AdaptiveOptions { max_step: 0.125, ..options() }),
        ];
        // The words for people are the same for the last four.
        assert_eq!(samplers[5].describe(), samplers[9].describe());
        for (i, a) in samplers.iter().enumerate() {
            assert!(samplers[..i].iter().all(|b| a.key() != b.key()), "{}", a.key());
        }
    }
}
