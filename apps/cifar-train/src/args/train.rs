//! The flags of `train`.

use crate::config::ConfigArgs;
use clap::Args;
use fm_cli::aliases::AliasArgs;
use fm_run::process_group::GroupArgs;
use std::path::PathBuf;

/// A preset sets all options of a run; a TOML file overrides the preset, and flags override both.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TrainArgs {
    /// Start from a preset: quickstart (digits, minutes on a CPU), cifar10-tiny (1.1M parameters,
    /// hours on a CPU), cifar10-unet (35.7M, unconditional), cifar10-dit (129.5M, transformer, for
    /// a GPU) or guide (39.7M, U-Net of a training guide) (default: cifar10-dit).
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    pub(crate) preset: Option<String>,
    /// Read options from a TOML file; it takes any keys of a run's config.toml, `preset` among
    /// them.
    #[arg(long, value_name = "FILE.toml", help_heading = "Run")]
    pub(crate) config: Option<PathBuf>,
    /// Run directory (default: runs/PRESET; with --pairs runs/PRESET-reflow, for `distill`
    /// runs/PRESET-distilled).
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// Continue from the newest intact checkpoint of --out, with its configuration. Only --steps or
    /// --epochs, --num-workers, --device, --data-on-device, --save-every, --sample-every,
    /// --log-every and --keep-checkpoints may change.
    #[arg(long, conflicts_with_all = ["preset", "config"], help_heading = "Run")]
    pub(crate) resume: bool,
    /// Resume also if the data or the teacher changed since the run began.
    #[arg(long, requires = "resume", help_heading = "Run", hide = true)]
    pub(crate) allow_changed_data: bool,
    /// Print what the run would do, and exit.
    #[arg(long, help_heading = "Run")]
    pub(crate) dry_run: bool,
    /// Total number of passes over the data, instead of --steps.
    #[arg(long, help_heading = "Optimization")]
    pub(crate) epochs: Option<u64>,
    /// Use a diffusion transformer of a published size and patch: S/2, B/4, L/2, XL/8, ...; or
    /// `guide`, the training guide's (512 x 12 x 8).
    #[arg(long, value_name = "SIZE/PATCH", conflicts_with = "model", help_heading = "Network")]
    pub(crate) dit: Option<String>,
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
