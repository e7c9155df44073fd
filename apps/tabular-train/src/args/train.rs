//! The flags of `train` and `reflow`.

use crate::config::ConfigArgs;
use clap::Args;
use fm_cli::aliases::AliasArgs;
use fm_run::process_group::GroupArgs;
use std::path::PathBuf;

/// A run has defaults; a preset overrides them, a TOML file overrides both, and flags override all.
#[derive(Debug, Clone, Args)]
pub(crate) struct TrainArgs {
    /// Start from the settings of a named experiment: gaussian4, gaussian4-tuned,
    /// spiral, transport, genes or series.
    #[arg(long, value_name = "NAME", conflicts_with = "resume", help_heading = "Run")]
    pub(crate) preset: Option<String>,
    /// Read options from a TOML file; it takes any keys of a run's config.toml.
    #[arg(long, value_name = "FILE.toml", help_heading = "Run")]
    pub(crate) config: Option<PathBuf>,
    /// Run directory.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Continue from the newest intact checkpoint of --out, with its configuration.
    /// Only --steps or --epochs, --device, --save-every, --sample-every and --log-every may change.
    #[arg(long, conflicts_with = "config", help_heading = "Run")]
    pub(crate) resume: bool,
    /// Resume also if the data or the teacher changed since the run began.
    #[arg(long, requires = "resume", help_heading = "Run", hide = true)]
    pub(crate) allow_changed_data: bool,
    /// Total number of passes over the rows, instead of --steps.
    #[arg(long, conflicts_with = "steps", help_heading = "Optimization")]
    pub(crate) epochs: Option<u64>,
    /// Write a profile of three steps as a Chrome trace (chrome://tracing, Perfetto).
    #[arg(long, value_name = "FILE.json", help_heading = "Hardware", hide = true)]
    pub(crate) profile: Option<PathBuf>,
    /// The options of the configuration.
    #[command(flatten)]
    pub(crate) options: ConfigArgs,
    /// The same options under the names of other trainers.
    #[command(flatten)]
    pub(crate) aliases: AliasArgs,
    #[command(flatten)]
    pub(crate) group: GroupArgs,
}

/// Training on a teacher's pairs of noise and sample, with new pairs in every step.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReflowArgs {
    /// Teacher: a run or a checkpoint. Its options are the student's defaults, except 1000 steps
    /// and --time warp:s=0.5.
    #[arg(long, value_name = "PATH", help_heading = "Teacher")]
    pub(crate) teacher: PathBuf,
    /// Number of RK4 steps that the teacher takes per sample.
    #[arg(long, default_value_t = 20, value_name = "N", help_heading = "Teacher")]
    pub(crate) teacher_steps: usize,
    /// Repeat with the student as the next teacher: the runs are round-1, round-2, ... in --out,
    /// and the quality of each in few steps is measured at the end.
    #[arg(long, value_name = "N", help_heading = "Teacher")]
    pub(crate) rounds: Option<usize>,
    /// Start from random weights instead of the teacher's.
    #[arg(long, help_heading = "Teacher")]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) train: TrainArgs,
}
