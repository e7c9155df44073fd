//! The flags of the solver.

use crate::grids;
use anyhow::{bail, ensure};
use fm_cli::options::{help, help_with_default};
use fm_cli::program::listing;
use fm_core::path::PathKind;
use fm_core::state::{Bound, Tolerance};
use fm_core::tensor::VelocityModel;
use fm_solvers::sampler::{Controller, Pace, Sampler, SolverName, Steps};
use fm_solvers::sde::{Diffusion, Method};
use fm_solvers::{AdaptiveOptions, Grid, SolveError, tableau};
use std::path::Path;

/// The flags of the solver, the same for every command that integrates.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Solver")]
pub struct SolveArgs {
    #[arg(long, help = help_with_default::<SolverName>("ODE solver"))]
    solver: Option<SolverName>,
    #[arg(long, value_name = "N", help = format!(
        "Number of fixed steps (default: 50, but 1 for map, and adaptive steps for {})", adaptive_methods()
    ))]
    num_steps: Option<usize>,
    #[arg(long, help = help_with_default::<Grid>("Time grid of fixed steps"))]
    grid: Option<Grid>,
    /// Times of fixed steps, rising from 0 (source) to 1 (data), instead of a grid: a list, or a
    /// file that the command grid wrote, with the solver that it names.
    #[arg(long, value_name = "T,...|FILE.json", conflicts_with_all = ["num_steps", "grid"], hide = true)]
    times: Option<String>,
    /// Relative tolerance of adaptive steps: one number, or one per dimension (default: 1e-5, or
    /// 0.01 with --sde, whose steps are fixed without a tolerance).
    #[arg(long, value_name = "RTOL,...", value_delimiter = ',')]
    rtol: Vec<f64>,
    /// Absolute tolerance of adaptive steps, in the same form (default: 1e-5, or 0.01 with --sde).
    #[arg(long, value_name = "ATOL,...", value_delimiter = ',')]
    atol: Vec<f64>,
    #[arg(long, help = help_with_default::<Pace>("Whether adaptive step sizes are chosen per sample or per batch"))]
    pace: Option<Pace>,
    #[arg(long, hide = true, help = help_with_default::<Controller>("Controller of adaptive step sizes"))]
    controller: Option<Controller>,
    /// Number of evaluations after which an adaptive solve fails (default: 10000).
    #[arg(long, value_name = "N", hide = true)]
    max_evaluations: Option<usize>,
    #[arg(long, value_name = "PATH", hide = true, help = help::<PathKind>(
        "Sample along this path instead of the one trained on, up to 0.001 from ends at which it is singular; exact samples are the same, solver errors differ"
    ))]
    schedule: Option<PathKind>,
    #[arg(long, value_name = "DIFFUSION", help = help::<Diffusion>(
        "Sample an SDE instead of the ODE, with this noise"
    ))]
    sde: Option<Diffusion>,
    #[arg(long, value_name = "METHOD", requires = "sde", hide = true, help = help_with_default::<Method>("Solver of the SDE"))]
    sde_method: Option<Method>,
}

/// The most steps of a solve.
const MOST_STEPS: usize = 1_000_000;

/// Fails for a number of steps that no solve takes.
///
/// # Errors
/// The flag and its valid values.
pub fn ensure_steps(flag: &str, steps: usize) -> anyhow::Result<()> {
    ensure!((1..=MOST_STEPS).contains(&steps), "{flag} is {steps}; choose 1 to {MOST_STEPS}");
    Ok(())
}

/// The solver for comparisons of models in few steps: Euler's method for a flow, jumps for a flow
/// map.
pub fn of_few_steps(model: &dyn VelocityModel) -> SolverName {
    if model.takes_intervals() { SolverName::FlowMap } else { SolverName::Euler }
}

/// A command whose `--solver` defaults to the solver that a run stores, with all its subcommands.
pub fn of_runs(command: clap::Command) -> clap::Command {
    let text = help::<SolverName>("ODE solver");
    let text = format!("{text} (default: the solver of the run, if it has one, or {})", SolverName::default());
    // Likelihoods have another flag of this name.
    let draws = command.get_arguments().any(|arg| arg.get_id() == "sde");
    let command = if draws { command.mut_arg("solver", |arg| arg.help(text)) } else { command };
    command.mut_subcommands(of_runs)
}

/// The methods with an error estimate.
fn adaptive_methods() -> String {
    listing(tableau::ALL.iter().filter(|method| method.e.is_some()).map(|method| method.name), "and")
}

/// The times of a list, or of a file, with the solver that it was learned for.
fn times_of(given: &str) -> anyhow::Result<(Vec<f64>, Option<SolverName>)> {
    let list: Result<Vec<f64>, _> = given.split(',').map(|time| time.trim().parse()).collect();
    if let Ok(list) = list {
        return Ok((list, None));
    }
    ensure!(
        Path::new(given).exists(),
        "--times is neither a list of numbers nor a file: {}; give times such as 0,0.3,1, or a file of the command grid",
        fm_core::message::name(given)
    );
    let file = grids::read(Path::new(given))?;
    Ok((file.times, Some(file.solver)))
}

impl SolveArgs {
    /// The flags for this number of fixed steps.
    pub fn fixed(solver: SolverName, num_steps: usize) -> Self {
        Self { solver: Some(solver), num_steps: Some(num_steps), ..Self::default() }
    }

    /// The sampler of these flags.
    ///
    /// # Errors
    /// Zero steps, times that do not rise from 0 to 1, and a flag without effect.
    pub fn sampler(&self) -> anyhow::Result<Sampler> {
        self.sampler_or(SolverName::default())
    }

    /// The sampler of these flags, with this solver if none is given.
    ///
    /// # Errors
    /// As [`sampler`](Self::sampler).
    pub fn sampler_or(&self, default: SolverName) -> anyhow::Result<Sampler> {
        let listed = self.times.as_deref().map(times_of).transpose()?;
        let learned_for = listed.as_ref().and_then(|(_, solver)| *solver).filter(|_| self.sde.is_none());
        let solver = self.solver.or(learned_for).unwrap_or(default);
        ensure!(
            self.sde.is_none() || self.solver.is_none(),
            "--sde has its own solvers; give --sde-method, not --solver"
        );
        let sampler = |steps| Sampler {
            solver,
            steps,
            stochastic: self.sde.map(|diffusion| (self.sde_method.unwrap_or_default(), diffusion)),
            schedule: self.schedule,
        };
        let tolerance = !self.rtol.is_empty() || !self.atol.is_empty();
        let chooses = if self.sde.is_some() { tolerance } else { solver.is_adaptive() };
        let adaptive = chooses && self.num_steps.is_none() && listed.is_none();
        if let (false, Some(flag)) = (adaptive, self.of_adaptive_steps()) {
            let remedy = match self.sde {
                _ if chooses => "drop it, or drop --num-steps and --times",
                Some(_) => "drop it, or give --rtol without --num-steps and --times",
                None => "drop it, or take --solver dopri5",
            };
            bail!("{flag} is for adaptive steps, and these are fixed; {remedy}");
        }
        let estimates =
            !matches!(self.sde, Some(Diffusion::Churn { .. })) && self.sde_method.unwrap_or_default() == Method::Heun;
        if adaptive && self.sde.is_some() && !estimates {
            return Err(SolveError::StochasticAdaptive.into());
        }
        if let Some((times, _)) = listed {
            ensure!(grids::rises(&times), "--times must rise from 0 to 1, both included; got {times:?}");
            return Ok(sampler(Steps::Listed(times)));
        }
        let steps = self.num_steps.unwrap_or(if solver == SolverName::FlowMap { 1 } else { 50 });
        ensure_steps("--num-steps", steps)?;
        if adaptive {
            let method = if self.sde.is_some() { "--sde with tolerances".to_owned() } else { solver.to_string() };
            ensure!(self.grid.is_none(), "{method} chooses its own steps; give --num-steps with --grid");
            return Ok(sampler(Steps::Adaptive(self.pace.unwrap_or_default(), self.options())));
        }
        Ok(sampler(Steps::Fixed(self.grid.unwrap_or_default(), steps)))
    }

    /// A given flag that only adaptive steps have.
    fn of_adaptive_steps(&self) -> Option<&'static str> {
        let given = [
            (!self.rtol.is_empty(), "--rtol"),
            (!self.atol.is_empty(), "--atol"),
            (self.pace.is_some(), "--pace"),
            (self.controller.is_some(), "--controller"),
            (self.max_evaluations.is_some(), "--max-evaluations"),
        ];
        given.into_iter().find_map(|(given, flag)| given.then_some(flag))
    }

    /// Tolerances, controller and limit of adaptive steps.
    pub fn options(&self) -> AdaptiveOptions {
        let default = if self.sde.is_some() { 1e-2 } else { 1e-5 };
        let bound = |values: &[f64]| match values {
            [] => Bound::All(default),
            [one] => Bound::All(*one),
            each => Bound::Each(each.to_vec()),
        };
        let tolerance = Tolerance::new(bound(&self.rtol), bound(&self.atol));
        AdaptiveOptions {
            tolerance,
            control: self.controller.unwrap_or_default().pid(),
            max_evaluations: self.max_evaluations.unwrap_or(10_000),
            ..AdaptiveOptions::default()
        }
    }
}
