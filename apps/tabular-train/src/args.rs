//! The command line, and the configuration that it makes.

use anyhow::ensure;
use clap::{Args, Parser, Subcommand};
use fm_app::couplings::CouplingKind;
use fm_app::sampler::SolveArgs;
use fm_models::mlp::MlpConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Train and sample flow-matching models of point clouds and tables.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train an MLP on a table; write its run directory.
    Train(TrainArgs),
    /// Draw rows from a checkpoint, as CSV.
    Sample(SampleArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Steps of the whole run (5000).
    #[arg(long)]
    pub(crate) steps: Option<u64>,
    /// The run directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on from the newest good checkpoint of --out, with its configuration (only --steps may change).
    #[arg(long)]
    pub(crate) resume: bool,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 5000, value_name = "STEPS")]
    pub(crate) save_every: u64,
    /// Steps between pictures (tables of two columns only); 0 draws none.
    #[arg(long, default_value_t = 1000, value_name = "STEPS")]
    pub(crate) sample_every: u64,
}

/// Everything that decides what a run computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
pub(crate) struct Config {
    /// spiral, moons, 8gaussians, checkerboard, or a file of numbers FILE.csv.
    #[arg(long, default_value = "moons")]
    pub(crate) data: String,
    /// Points to draw of a toy distribution.
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub(crate) rows: usize,
    /// How noise and rows are paired within a batch.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) coupling: CouplingKind,
    /// Steps of the whole run; set by `TrainArgs::steps`.
    #[arg(skip = 5000u64)]
    pub(crate) steps: u64,
    /// Rows a step.
    #[arg(long, default_value_t = 256)]
    pub(crate) batch_size: usize,
    /// Learning rate, after 100 steps of warm-up and falling along a cosine.
    #[arg(long, default_value_t = 2e-3)]
    pub(crate) lr: f64,
    /// Width of the hidden layers.
    #[arg(long, default_value_t = 64)]
    pub(crate) hidden: i64,
    /// Hidden layers.
    #[arg(long, default_value_t = 3)]
    pub(crate) layers: i64,
    /// Fixes everything random.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

impl Config {
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.steps > 0, "steps is 0: give at least one (--steps)");
        ensure!(self.batch_size > 0, "batch_size is 0: give at least one row a step (--batch-size)");
        ensure!(self.rows > 0, "rows is 0: give at least one point (--rows)");
        ensure!(self.lr > 0.0 && self.lr.is_finite(), "lr is {}: choose a learning rate above 0 (--lr)", self.lr);
        Ok(())
    }

    pub(crate) fn model(&self, dim: usize) -> MlpConfig {
        MlpConfig { dim: dim as i64, hidden: self.hidden, layers: self.layers }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// The checkpoint, or a run directory for its newest good one.
    #[arg(long, value_name = "PATH")]
    pub(crate) checkpoint: PathBuf,
    /// How many rows.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) num_samples: usize,
    #[command(flatten)]
    pub(crate) solve: SolveArgs,
    /// Fixes the noise.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Where the rows go.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) out: PathBuf,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
}
