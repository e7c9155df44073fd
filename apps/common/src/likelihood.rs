//! Log-densities of data under a trained network.

use crate::objective_args::help;
use anyhow::{bail, ensure};
use fm_core::field::{Converted, RowField};
use fm_core::objective::Objective;
use fm_core::source::{Source, SourceKind};
use fm_core::state::RowCombination;
use fm_solvers::AdaptiveOptions;
use fm_solvers::likelihood::{Divergence, Probe, gaussian_log_density, log_density};
use fm_solvers::sampler::SolverName;
use tch::{Kind, Tensor};

const TOLERANCE: f64 = 1e-5;

/// The flags that say how densities are found.
#[derive(Debug, Clone, clap::Args)]
pub struct LikelihoodArgs {
    #[arg(long, default_value_t = SolverName::Tsit5, help = help::<SolverName>("The ODE solver, one that chooses its steps"))]
    solver: SolverName,
    /// Relative and absolute tolerance.
    #[arg(long, default_value_t = TOLERANCE)]
    tolerance: f64,
    /// Probes of Hutchinson's estimate of the divergence; 0 computes it exactly, by a backward pass a dimension.
    #[arg(long, value_name = "N", default_value_t = 0)]
    probes: usize,
    #[arg(long, default_value_t, help = help::<Probe>("What probes are drawn from"))]
    probe: Probe,
    /// Fixes the probes.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Log-densities in nats, one a row, and the evaluations that they took.
#[derive(Debug)]
pub struct Densities {
    /// log p(x) of each row, in the units of the network.
    pub values: Vec<f64>,
    /// Evaluations of a row, their mean.
    pub nfe: f64,
}

impl LikelihoodArgs {
    /// Hutchinson's estimate by `probes` probes, at the default tolerance of the flags.
    pub fn estimated(probes: usize, seed: u64) -> Self {
        Self { solver: SolverName::Tsit5, tolerance: TOLERANCE, probes, probe: Probe::default(), seed }
    }

    /// Every value that densities depend on, for keys of caches.
    pub fn key(&self) -> String {
        format!("{self:?}")
    }

    /// How the divergence is found, in words.
    pub fn describe(&self) -> String {
        match self.probes {
            0 => format!("{} at {}, exact divergence", self.solver, self.tolerance),
            n => format!("{} at {}, {n} {} probes a row", self.solver, self.tolerance, self.probe),
        }
    }

    /// The log-densities of `x`, the rows from `first_row` on of the data, under a network trained for `objective` with a Gaussian source:
    /// those of what sampling draws, which starts from that source where the times of training begin.
    ///
    /// # Errors
    /// A source without a density, a solver that cannot choose its steps, and a row that did not reach the source.
    pub fn evaluate(
        &self,
        network: &impl RowField<Tensor>,
        objective: &Objective,
        source: &Source,
        x: &Tensor,
        first_row: usize,
    ) -> anyhow::Result<Densities> {
        let deviation = match source {
            Source::Kind(SourceKind::Gaussian) => 1.0,
            Source::Kind(SourceKind::Matched { deviation }) => *deviation,
            _ => bail!("this model's source has no density in closed form; only Gaussian sources give likelihoods"),
        };
        ensure!(self.tolerance > 0.0, "--tolerance is {}; give a number above 0", self.tolerance);
        let predicted = |x: &Tensor, t: &[f64], rows: &[usize]| network.velocities(x, t, rows);
        let (low, high) = objective.span()?;
        let velocity = Converted::new(predicted, &objective.path, objective.prediction, (low, high))?;
        let divergence = match self.probes {
            0 => Divergence::Exact,
            n => Divergence::hutchinson(self.probe, n, self.seed, first_row as u64, x)?,
        };
        let options = AdaptiveOptions::with_tolerance(self.tolerance);
        let source = |x: &Tensor| gaussian_log_density(x, deviation);
        let (found, carried) =
            log_density(&velocity, x, (high, low), self.solver.tableau(), &options, &divergence, source)?;
        if let Some((row, reason)) = carried.solution.failure() {
            bail!("row {row} has no density: its solve {reason}");
        }
        let nfe = carried.solution.row_evaluations() as f64 / x.rows().max(1) as f64;
        Ok(Densities { values: Vec::try_from(found.to_kind(Kind::Double))?, nfe })
    }
}

/// Mean and standard error.
pub fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}
