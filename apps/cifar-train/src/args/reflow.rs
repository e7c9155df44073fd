//! The flags of `reflow` and `distill`.

use super::{CheckpointArgs, SolverArgs, TrainArgs, Which};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Retraining on a teacher's own pairs, whose paths are straighter.
#[derive(Debug, Subcommand)]
pub(crate) enum ReflowCommand {
    /// Draw noise, carry it to samples by the teacher's ODE, and write both; what is there already is not made again.
    Pairs(PairsArgs),
    /// Straightness and quality in few steps of several models, on the same noise.
    Compare(CompareArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PairsArgs {
    #[command(flatten)]
    pub(crate) from: CheckpointArgs,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    /// Pairs in all, over all classes in turn.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) num_pairs: usize,
    /// Pairs a file; a run that is killed loses at most the file that it was making.
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub(crate) shard_size: usize,
    /// Where they go.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Runs, checkpoints or files of weights.
    #[arg(required = true)]
    pub(crate) models: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Numbers of Euler steps.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,2,4,8")]
    pub(crate) nfe: Vec<usize>,
    /// Samples of each, over all classes in turn.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) num_samples: usize,
    /// Trajectories over which straightness is averaged.
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub(crate) trajectories: usize,
    /// Fixes the noise.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// The table as JSON.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) json: Option<PathBuf>,
    /// Samples of each model and number of steps, from the same noise.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) picture: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DistillArgs {
    /// Euler steps that the model is to sample in.
    #[arg(long, default_value_t = 1, value_name = "K")]
    pub(crate) num_steps: usize,
    #[command(flatten)]
    pub(crate) train: TrainArgs,
}
