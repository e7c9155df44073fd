//! Log-densities of data under a trained network.

use anyhow::{bail, ensure};
use fm_cli::options::help;
use fm_core::field::{ByRef, Converted, RowField};
use fm_core::objective::Objective;
use fm_core::rng::{Key, Stream};
use fm_core::source::{Source, SourceKind};
use fm_core::state::RowCombination;
use fm_solvers::AdaptiveOptions;
use fm_solvers::likelihood::{Divergence, Probe, gaussian_log_density, log_density};
use fm_solvers::sampler::SolverName;
use tch::{Kind, Tensor};

const TOLERANCE: f64 = 1e-5;

/// The flags of a likelihood: solver and divergence.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Solver")]
pub struct LikelihoodArgs {
    #[arg(long, default_value_t = SolverName::Tsit5, help = help::<SolverName>("ODE solver; it needs adaptive steps"))]
    solver: SolverName,
    /// Relative and absolute tolerance of the solver.
    #[arg(long, default_value_t = TOLERANCE)]
    tolerance: f64,
    /// Probes per row of Hutchinson's divergence estimate; 0 computes the exact divergence, with
    /// one backward pass per dimension.
    #[arg(long, value_name = "N", default_value_t = 0)]
    probes: usize,
    #[arg(long, default_value_t, requires = "probes", help = help::<Probe>("Distribution of the probes"))]
    probe: Probe,
    /// Random seed of the probes and, for images, of the dequantisation noise.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Log-densities in nats, one per row, and their cost.
#[derive(Debug)]
pub struct Densities {
    /// log p(x) of each row, in the units of the network.
    pub values: Vec<f64>,
    /// Evaluations per row; their mean.
    pub nfe: f64,
}

impl LikelihoodArgs {
    /// Hutchinson's estimate with this number of probes per row, at the default solver and
    /// tolerance of the flags.
    pub fn estimated(probes: usize, seed: u64) -> Self {
        Self { solver: SolverName::Tsit5, tolerance: TOLERANCE, probes, probe: Probe::default(), seed }
    }

    /// Whether the divergence is estimated, from random probes.
    pub fn is_estimated(&self) -> bool {
        self.probes > 0
    }

    /// All values that densities depend on, as the key of a cache.
    pub fn key(&self) -> String {
        format!("{self:?}")
    }

    /// Solver, tolerance and divergence, for messages.
    pub fn describe(&self) -> String {
        match self.probes {
            0 => format!("{} at {}, exact divergence", self.solver, self.tolerance),
            n => format!("{} at {}, {n} {} probes per row", self.solver, self.tolerance, self.probe),
        }
    }

    /// The log-densities of `x` under a network trained for `objective` with a Gaussian source; `x`
    /// holds the rows of the data from `first_row` on. The density is that of the samples, whose
    /// ODE starts from the source at the first training time.
    ///
    /// # Errors
    /// A source without a closed-form density, a solver without adaptive steps, and a row whose
    /// solve fails.
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
            _ => bail!(
                "cannot compute likelihoods: only Gaussian sources have a density in closed form; use a model with one"
            ),
        };
        self.evaluate_from(network, objective, |x| gaussian_log_density(x, deviation), x, first_row)
    }

    /// As [`evaluate`](Self::evaluate), with the log-density of the source in nats, one per row.
    ///
    /// # Errors
    /// A solver without adaptive steps, and a row whose solve fails.
    pub fn evaluate_from(
        &self,
        network: &impl RowField<Tensor>,
        objective: &Objective,
        source: impl Fn(&Tensor) -> Tensor,
        x: &Tensor,
        first_row: usize,
    ) -> anyhow::Result<Densities> {
        ensure!(self.tolerance > 0.0, "--tolerance is {}; give a number above 0", self.tolerance);
        let (low, high) = objective.span()?;
        let velocity = Converted::new(ByRef(network), &objective.path, objective.prediction, (low, high))?;
        let divergence = match self.probes {
            0 => Divergence::Exact,
            n => Divergence::hutchinson(
                self.probe,
                n,
                Key::new(self.seed, 0, Stream::Probe).from_row(first_row as u64),
                x,
            )?,
        };
        let options = AdaptiveOptions::with_tolerance(self.tolerance);
        let (found, carried) =
            log_density(&velocity, x, (high, low), self.solver.tableau()?, &options, &divergence, source)?;
        if let Some((row, reason)) = carried.solution.failure() {
            bail!("cannot compute the density of row {row}: its solve {reason}");
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
