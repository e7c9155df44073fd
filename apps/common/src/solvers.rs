//! The flags that choose a solver.

use crate::objective_args::help;
use anyhow::{bail, ensure};
use fm_core::path::PathKind;
use fm_core::state::{Bound, Tolerance};
use fm_solvers::sampler::{Controller, Pace, Sampler, SolverName, Steps};
use fm_solvers::sde::{Diffusion, Method};
use fm_solvers::{AdaptiveOptions, Grid};

/// The flags that choose a solver, the same in every program.
#[derive(Debug, Clone, clap::Args)]
pub struct SolveArgs {
    #[arg(long, default_value_t, help = help::<SolverName>("The ODE solver"))]
    solver: SolverName,
    /// Fixed steps (50 but for adaptive solvers, which choose their own when this is not given).
    #[arg(long, value_name = "N")]
    num_steps: Option<usize>,
    #[arg(long, default_value_t, help = help::<Grid>("How fixed steps divide the time"))]
    grid: Grid,
    /// The times of fixed steps themselves, rising from 0 (source) to 1 (data).
    #[arg(long, value_name = "T,...", value_delimiter = ',', conflicts_with_all = ["num_steps", "grid"])]
    times: Vec<f64>,
    /// Relative tolerance of adaptive steps: one number, or one a dimension.
    #[arg(long, value_name = "RTOL,...", value_delimiter = ',', default_value = "1e-5")]
    rtol: Vec<f64>,
    /// Absolute tolerance of adaptive steps: one number, or one a dimension.
    #[arg(long, value_name = "ATOL,...", value_delimiter = ',', default_value = "1e-5")]
    atol: Vec<f64>,
    #[arg(long, default_value_t, help = help::<Pace>("Who shares an adaptive step size"))]
    pace: Pace,
    #[arg(long, default_value_t, help = help::<Controller>("How errors become step sizes"))]
    controller: Controller,
    /// Evaluations after which an adaptive solve gives up.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_evaluations: usize,
    /// Sample along this path instead of the one that was trained on: the same samples but for the solver's error.
    #[arg(long, value_name = "PATH")]
    schedule: Option<PathKind>,
    #[arg(long, value_name = "DIFFUSION", help = help::<Diffusion>("Sample stochastically, with this variance of the noise per unit time"))]
    sde: Option<Diffusion>,
    #[arg(long, value_name = "METHOD", default_value_t, help = help::<Method>("How stochastic steps are taken"))]
    sde_method: Method,
}

impl SolveArgs {
    /// The sampler that the flags describe.
    ///
    /// # Errors
    /// When they ask for no steps at all, or for a grid of steps that the solver chooses itself.
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

    /// What adaptive steps have to keep to.
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
