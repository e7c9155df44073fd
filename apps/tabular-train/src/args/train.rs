//! The flags of `train` and `reflow`.

use clap::Args;
use fm_app::models::TableModel;
use fm_app::objective_args::{FlowArgs, help};
use fm_app::optimizer_args::LearningArgs;
use fm_app::preprocess::Preprocess;
use fm_app::process_group::GroupArgs;
use fm_app::runtime::RuntimeArgs;
use std::path::PathBuf;

/// A run has defaults; a preset overrides them, a TOML file overrides both, and flags override all.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Start from the settings of a named experiment: gaussian4, spiral, transport or genes.
    #[arg(long, value_name = "NAME", conflicts_with = "resume", help_heading = "Run")]
    pub(crate) preset: Option<String>,
    /// Read options from a TOML file; it takes any keys of a run's config.toml.
    #[arg(long, value_name = "FILE.toml", help_heading = "Run")]
    pub(crate) config: Option<PathBuf>,
    /// Training data: spiral, moons, 8gaussians, checkerboard, gaussian4, genes, or a table of
    /// numbers FILE.csv or FILE.npy (default: moons).
    #[arg(long, help_heading = "Data")]
    pub(crate) data: Option<String>,
    /// Condition the network on the classes in this column of FILE.csv, given by name or by number
    /// from 1 (of genes: cell_type).
    #[arg(long, value_name = "COLUMN", help_heading = "Data")]
    pub(crate) labels: Option<String>,
    /// Leave out these columns of FILE.csv, given by name or by number from 1.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', help_heading = "Data")]
    pub(crate) ignore: Option<Vec<String>>,
    #[arg(long, value_name = "HOW", help_heading = "Data", help = help::<Preprocess>(
        "Transformation of the columns, inverted after sampling (default: standardize)"
    ))]
    pub(crate) preprocess: Option<Preprocess>,
    /// Share of rows held out from training, for `evaluate` (default: 0.1 for files and genes,
    /// otherwise 0).
    #[arg(long, value_name = "SHARE", help_heading = "Data")]
    pub(crate) hold_out: Option<f64>,
    /// Number of points to draw from spiral, moons, 8gaussians or checkerboard (default: 20000).
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) rows: Option<usize>,
    /// Total number of training steps (default: 5000; for `reflow` 1000).
    #[arg(long, help_heading = "Optimization")]
    pub(crate) steps: Option<u64>,
    /// Rows per step, over all processes (default: 256).
    #[arg(long, help_heading = "Optimization")]
    pub(crate) batch_size: Option<usize>,
    #[arg(long, help_heading = "Network", help = help::<TableModel>("Type of the network (default: mlp)"))]
    pub(crate) model: Option<TableModel>,
    /// Widths of the hidden layers (default: 64,64,64).
    #[arg(long, value_name = "WIDTH,...", value_delimiter = ',', help_heading = "Network")]
    pub(crate) widths: Option<Vec<i64>>,
    /// Probability of replacing a label by the null label, for classifier-free guidance (default:
    /// 0).
    #[arg(long, value_name = "SHARE", help_heading = "Network")]
    pub(crate) label_drop: Option<f64>,
    /// Learn a standard deviation of the source for each column, together with the network
    /// (default: false).
    #[arg(long, value_name = "BOOL", help_heading = "Network")]
    pub(crate) trainable_source: Option<bool>,
    /// Random seed (default: 0).
    #[arg(long, help_heading = "Run")]
    pub(crate) seed: Option<u64>,
    /// Run directory.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Continue from the newest intact checkpoint of --out, with its configuration.
    /// Only --steps, --device, --save-every, --sample-every and --log-every may change.
    #[arg(long, conflicts_with = "config", help_heading = "Run")]
    pub(crate) resume: bool,
    /// Device: auto, cpu, cuda or cuda:N. auto takes CUDA if it works and the network has a million
    /// parameters or more: a GPU does not speed up smaller ones.
    #[arg(long, default_value = "auto", help_heading = "Hardware")]
    pub(crate) device: String,
    /// Steps between checkpoints; 0 saves only at the end.
    #[arg(long, default_value_t = 5000, value_name = "STEPS", help_heading = "Output")]
    pub(crate) save_every: u64,
    /// Steps between pictures of samples (tables of two columns) or reports of the errors of the
    /// samples' mean and covariance (other tables); 0 disables both.
    #[arg(long, default_value_t = 1000, value_name = "STEPS", help_heading = "Output")]
    pub(crate) sample_every: u64,
    /// Steps between lines of metrics.jsonl (default: 50).
    #[arg(long, value_name = "STEPS", help_heading = "Output")]
    pub(crate) log_every: Option<u64>,
    // Last: the headings of these groups would also cover later fields that have none.
    #[command(flatten)]
    pub(crate) group: GroupArgs,
    #[command(flatten)]
    pub(crate) runtime: RuntimeArgs,
    #[command(flatten)]
    pub(crate) learning: LearningArgs,
    #[command(flatten)]
    pub(crate) flow: FlowArgs,
}

/// Training on a teacher's pairs of noise and sample, with new pairs in every step.
#[derive(Debug, Args)]
pub(crate) struct ReflowArgs {
    /// Teacher: a run or a checkpoint. Its options are the student's defaults, except 1000 steps
    /// and --time warp:s=0.5.
    #[arg(long, value_name = "PATH", help_heading = "Teacher")]
    pub(crate) teacher: PathBuf,
    /// Number of RK4 steps that the teacher takes per sample.
    #[arg(long, default_value_t = 20, value_name = "N", help_heading = "Teacher")]
    pub(crate) teacher_steps: usize,
    /// Start from random weights instead of the teacher's.
    #[arg(long, help_heading = "Teacher")]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) train: TrainArgs,
}
