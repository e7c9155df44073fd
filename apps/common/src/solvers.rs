//! The flags of the solver.

use crate::options::help;
use anyhow::{bail, ensure};
use fm_core::path::PathKind;
use fm_core::state::{Bound, Tolerance};
use fm_solvers::sampler::{Controller, Pace, Sampler, SolverName, Steps};
use fm_solvers::sde::{Diffusion, Method};
use fm_solvers::{AdaptiveOptions, Grid};

/// The flags of the solver, the same for every command that integrates.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Solver")]
pub struct SolveArgs {
    #[arg(long, default_value_t, help = help::<SolverName>("ODE solver"))]
    solver: SolverName,
    /// Number of fixed steps (default: 50, but adaptive steps for heun-euler, bogacki-shampine,
    /// dopri5, tsit5 and dop853).
    #[arg(long, value_name = "N")]
    num_steps: Option<usize>,
    #[arg(long, default_value_t, help = help::<Grid>("Time grid of fixed steps"))]
    grid: Grid,
    /// Times of fixed steps, rising from 0 (source) to 1 (data), instead of a grid.
    #[arg(long, value_name = "T,...", value_delimiter = ',', conflicts_with_all = ["num_steps", "grid"], hide = true)]
    times: Vec<f64>,
    /// Relative tolerance of adaptive steps: one number, or one per dimension.
    #[arg(long, value_name = "RTOL,...", value_delimiter = ',', default_value = "1e-5")]
    rtol: Vec<f64>,
    /// Absolute tolerance of adaptive steps: one number, or one per dimension.
    #[arg(long, value_name = "ATOL,...", value_delimiter = ',', default_value = "1e-5")]
    atol: Vec<f64>,
    #[arg(long, default_value_t, help = help::<Pace>("Whether adaptive step sizes are chosen per sample or per batch"))]
    pace: Pace,
    #[arg(long, default_value_t, hide = true, help = help::<Controller>("Controller of adaptive step sizes"))]
    controller: Controller,
    /// Number of evaluations after which an adaptive solve fails.
    #[arg(long, value_name = "N", default_value_t = 10_000, hide = true)]
    max_evaluations: usize,
    #[arg(long, value_name = "PATH", hide = true, help = help::<PathKind>(
        "Sample along this path instead of the one trained on; exact samples are the same, solver errors differ"
    ))]
    schedule: Option<PathKind>,
    #[arg(long, value_name = "DIFFUSION", help = help::<Diffusion>(
        "Sample an SDE instead of the ODE, with this noise variance per unit time"
    ))]
    sde: Option<Diffusion>,
    #[arg(long, value_name = "METHOD", default_value_t, hide = true, help = help::<Method>("Solver of the SDE"))]
    sde_method: Method,
}

impl SolveArgs {
    /// The sampler of these flags.
    ///
    /// # Errors
    /// Zero steps, times that do not rise from 0 to 1, and a grid for adaptive steps.
    pub fn sampler(&self) -> anyhow::Result<Sampler> {
        let sampler = |steps| Sampler {
            solver: self.solver,
            steps,
            stochastic: self.sde.map(|diffusion| (self.sde_method, diffusion)),
            schedule: self.schedule,
        };
        if !self.times.is_empty() {
            let rise = self.times.windows(2).all(|p| p[0] < p[1]);
            let ends = (self.times.first(), self.times.last()) == (Some(&0.0), Some(&1.0));
            ensure!(rise && ends, "--times must rise from 0 to 1, both included; got {:?}", self.times);
            return Ok(sampler(Steps::Listed(self.times.clone())));
        }
        ensure!(self.num_steps != Some(0), "--num-steps is 0: give at least one");
        let chooses = self.solver.tableau().e.is_some() && self.sde.is_none();
        match self.num_steps {
            None if chooses && self.grid != Grid::Uniform => {
                bail!("{} chooses its own steps; give --num-steps with --grid", self.solver)
            }
            None if chooses => Ok(sampler(Steps::Adaptive(self.pace, self.options()))),
            steps => Ok(sampler(Steps::Fixed(self.grid, steps.unwrap_or(50)))),
        }
    }

    /// Tolerances, controller and limit of adaptive steps.
    pub fn options(&self) -> AdaptiveOptions {
        let bound = |values: &[f64]| match values {
            [one] => Bound::All(*one),
            each => Bound::Each(each.to_vec()),
        };
        let tolerance = Tolerance::new(bound(&self.rtol), bound(&self.atol));
        AdaptiveOptions {
            tolerance,
            control: self.controller.pid(),
            max_evaluations: self.max_evaluations,
            ..AdaptiveOptions::default()
        }
    }
}
