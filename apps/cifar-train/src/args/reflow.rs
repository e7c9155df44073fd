//! The flags of `reflow` and `distill`.

use super::examples;
use super::model::{CheckpointArgs, SolverArgs, Which};
use super::train::TrainArgs;
use clap::{Args, Subcommand};
use fm_cli::outputs;
use std::path::PathBuf;

/// Reflow: training on the pairs of noise and sample that a teacher's ODE makes, which straightens
/// the paths. Each round makes pairs with the model of the round before, and trains on them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ReflowArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ReflowCommand>,
    /// Teacher of the first round: a run or a checkpoint. Its options are the students' defaults.
    #[arg(long, value_name = "PATH", help_heading = "Teacher")]
    pub(crate) teacher: Option<PathBuf>,
    /// Number of rounds.
    #[arg(long, default_value_t = 3, value_name = "N", help_heading = "Teacher")]
    pub(crate) rounds: usize,
    /// Number of RK4 steps with which the model of the round before makes a pair.
    #[arg(long, default_value_t = 16, value_name = "N", help_heading = "Teacher")]
    pub(crate) teacher_steps: usize,
    /// Pairs per round.
    #[arg(long, default_value_t = 10_000, value_name = "N", help_heading = "Teacher")]
    pub(crate) num_pairs: usize,
    /// Scale of classifier-free guidance in the pairs of the first round (default: the teacher's
    /// `sampling.cfg_scale`).
    #[arg(long, value_name = "S", help_heading = "Teacher")]
    pub(crate) cfg_scale: Option<f64>,
    /// Samples per model and number of steps, and trajectories, of the table at the end.
    #[arg(long, default_value_t = 1000, value_name = "N", help_heading = "Teacher", hide = true)]
    pub(crate) num_samples: usize,
    /// Start each round from random weights instead of those of the round before.
    #[arg(long, help_heading = "Teacher")]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) train: TrainArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReflowCommand {
    /// Make pairs of noise and samples with a teacher's ODE; an interrupted command continues where
    /// it stopped.
    #[command(after_help = examples::PAIRS)]
    Pairs(Box<PairsArgs>),
    /// Compare the straightness of models, and their quality in few steps, on the same noise.
    #[command(after_help = examples::COMPARE)]
    Compare(Box<CompareArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct PairsArgs {
    #[command(flatten)]
    pub(crate) from: CheckpointArgs,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    /// Total number of pairs; a class-conditional teacher cycles through its classes.
    #[arg(long, default_value_t = 10_000, value_name = "N", help_heading = "Sampling")]
    pub(crate) num_pairs: usize,
    /// Pairs per file; files that were completed before an interruption are kept.
    #[arg(long, default_value_t = 2000, value_name = "N", help_heading = "Output")]
    pub(crate) shard_size: usize,
    /// Directory for the pairs.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Models to compare: runs, checkpoints or files of weights.
    #[arg(required = true)]
    pub(crate) models: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) which: Which,
    /// Numbers of Euler steps to compare.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,2,4,8", help_heading = "Sampling")]
    pub(crate) nfe: Vec<usize>,
    /// Samples per model and number of steps; class-conditional models cycle through their classes.
    #[arg(long, default_value_t = 1000, value_name = "N", help_heading = "Sampling")]
    pub(crate) num_samples: usize,
    /// Number of trajectories over which straightness is averaged.
    #[arg(long, default_value_t = 256, value_name = "N", help_heading = "Sampling")]
    pub(crate) trajectories: usize,
    /// Random seed of the noise.
    #[arg(long, default_value_t = 0, help_heading = "Sampling")]
    pub(crate) seed: u64,
    /// Also write the results as JSON.
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,
    /// Also write a picture with samples of each model and number of steps, from the same noise.
    #[arg(long, value_name = "FILE.png", value_parser = outputs::picture(), help_heading = "Output")]
    pub(crate) picture: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DistillArgs {
    /// Number of Euler steps that the model is trained for.
    #[arg(long, default_value_t = 1, value_name = "K", help_heading = "Distillation")]
    pub(crate) num_steps: usize,
    #[command(flatten)]
    pub(crate) train: TrainArgs,
}
