//! The solvers that users can name, as one choice.

use anyhow::{bail, ensure};
use fm_core::field::{Converted, VelocityField};
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::schedule::Rescheduled;
use fm_core::state::Tolerance;
use fm_solvers::adaptive::{self, Options};
use fm_solvers::{Reason, Solution, fixed, tableau, uniform_grid};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A solver's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SolverName {
    /// Order 1, one evaluation a step.
    #[default]
    Euler,
    /// Order 2, two evaluations a step.
    Midpoint,
    /// Order 2, two evaluations a step.
    Heun,
    /// Classic, order 4, four evaluations a step.
    Rk4,
    /// Dormand-Prince 5(4): adaptive, or fixed when a number of steps is given.
    Dopri5,
}

/// The flags that choose a solver, the same in every app.
#[derive(Debug, Clone, clap::Args)]
pub struct SolveArgs {
    /// The ODE solver.
    #[arg(long, default_value = "euler")]
    pub solver: SolverName,
    /// Fixed steps (50 but for dopri5, which chooses its own when this is not given).
    #[arg(long, value_name = "N")]
    pub num_steps: Option<usize>,
    /// Relative tolerance of adaptive steps.
    #[arg(long, default_value_t = 1e-5)]
    pub rtol: f64,
    /// Absolute tolerance of adaptive steps.
    #[arg(long, default_value_t = 1e-5)]
    pub atol: f64,
    /// Sample along this path instead of the one that was trained on: the same samples but for the solver's error.
    #[arg(long, value_name = "PATH")]
    pub schedule: Option<PathKind>,
}

impl SolveArgs {
    /// The sampler that the flags describe.
    ///
    /// # Errors
    /// When they ask for no steps at all.
    pub fn sampler(&self) -> anyhow::Result<Sampler> {
        ensure!(self.num_steps != Some(0), "--num-steps is 0: give at least one");
        let adaptive = self.solver == SolverName::Dopri5 && self.num_steps.is_none();
        let steps = (!adaptive).then(|| self.num_steps.unwrap_or(50));
        let tolerance = Tolerance { rtol: self.rtol, atol: self.atol };
        Ok(Sampler { solver: self.solver, steps, tolerance, schedule: self.schedule })
    }
}

/// A solver with its accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// The method.
    pub solver: SolverName,
    /// Fixed steps; none lets dopri5 choose its own.
    pub steps: Option<usize>,
    /// Tolerance of adaptive steps.
    pub tolerance: Tolerance,
    /// The path to sample along, if not the one that was trained on.
    pub schedule: Option<PathKind>,
}

impl Sampler {
    /// A solver with a fixed number of steps.
    pub fn fixed(solver: SolverName, steps: usize) -> Self {
        Self { solver, steps: Some(steps), tolerance: Options::default().tolerance, schedule: None }
    }

    /// Carries the source to the data with a network trained for `objective`. `observe` sees the times and states along the way.
    ///
    /// # Errors
    /// A singular end that the times of training did not keep away from, a request that cannot be carried out, and a solve that did not
    /// reach the end.
    pub fn run(
        &self,
        network: &impl VelocityField<Tensor>,
        objective: &Objective,
        x0: Tensor,
        observe: impl FnMut(f64, &Tensor),
    ) -> anyhow::Result<Solution<Tensor>> {
        let predicted = |x: &Tensor, t: f64| network.velocity(x, t);
        let velocity = Converted::new(predicted, &objective.path, objective.prediction, objective.span()?)?;
        let Some(path) = self.schedule else {
            return self.solve(&velocity, objective.span()?, x0, observe);
        };
        let span = objective.span_along(&path)?;
        self.solve(&Rescheduled::new(velocity, &objective.path, path, span)?, span, x0, observe)
    }

    fn solve(
        &self,
        field: &impl VelocityField<Tensor>,
        (low, high): (f64, f64),
        x0: Tensor,
        observe: impl FnMut(f64, &Tensor),
    ) -> anyhow::Result<Solution<Tensor>> {
        let tableau = match self.solver {
            SolverName::Euler => &tableau::EULER,
            SolverName::Midpoint => &tableau::MIDPOINT,
            SolverName::Heun => &tableau::HEUN,
            SolverName::Rk4 => &tableau::RK4,
            SolverName::Dopri5 => &tableau::DOPRI5,
        };
        let solution = match self.steps {
            Some(steps) => {
                let grid: Vec<f64> = uniform_grid(steps).iter().map(|u| low * (1.0 - u) + high * u).collect();
                fixed::solve(field, x0, &grid, tableau, observe)?
            }
            None => {
                let options = Options { tolerance: self.tolerance, ..Options::default() };
                adaptive::solve(field, x0, (low, high), tableau, &options, observe)?
            }
        };
        match solution.stats.reason {
            Reason::ReachedEnd => Ok(solution),
            reason => bail!("sampling stopped early: it {reason}"),
        }
    }

    /// The method and its accuracy in words.
    pub fn describe(&self) -> String {
        let name = format!("{:?}", self.solver).to_lowercase();
        let accuracy = match self.steps {
            Some(steps) => format!("{steps} steps"),
            None => format!("rtol {} atol {}", self.tolerance.rtol, self.tolerance.atol),
        };
        let along = self.schedule.map_or(String::new(), |path| format!(" along the {path} path"));
        format!("{name}, {accuracy}{along}")
    }
}
