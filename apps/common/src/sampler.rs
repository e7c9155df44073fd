//! The solvers that users can name, as one choice.

use anyhow::{bail, ensure};
use fm_core::{field::VelocityField, state::Tolerance};
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
        Ok(Sampler { solver: self.solver, steps, tolerance: Tolerance { rtol: self.rtol, atol: self.atol } })
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
}

impl Sampler {
    /// A solver with a fixed number of steps.
    pub fn fixed(solver: SolverName, steps: usize) -> Self {
        Self { solver, steps: Some(steps), tolerance: Options::default().tolerance }
    }

    /// Carries noise (t = 0) to data (t = 1). `observe` sees the times and states along the way.
    ///
    /// # Errors
    /// A request that cannot be carried out, and a solve that did not reach the end.
    pub fn run(
        &self,
        field: &impl VelocityField<Tensor>,
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
            Some(steps) => fixed::solve(field, x0, &uniform_grid(steps), tableau, observe)?,
            None => {
                let options = Options { tolerance: self.tolerance, ..Options::default() };
                adaptive::solve(field, x0, (0.0, 1.0), tableau, &options, observe)?
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
        match self.steps {
            Some(steps) => format!("{name}, {steps} steps"),
            None => format!("{name}, rtol {} atol {}", self.tolerance.rtol, self.tolerance.atol),
        }
    }
}
