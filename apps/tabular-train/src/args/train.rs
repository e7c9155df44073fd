//! The flags of `train` and `reflow`.

use clap::Args;
use fm_app::models::TableModel;
use fm_app::objective_args::{FlowArgs, help};
use fm_app::optimizer_args::LearningArgs;
use fm_app::preprocess::Preprocess;
use fm_app::process_group::GroupArgs;
use fm_app::runtime::RuntimeArgs;
use std::path::PathBuf;

/// A run is described by its defaults, a TOML file over them, and flags over both.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// A named experiment to start from: gaussian4, spiral, transport or genes.
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub(crate) preset: Option<String>,
    /// A TOML file with any keys of a run's config.toml.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// spiral, moons, 8gaussians, checkerboard, gaussian4, genes, or a file of numbers FILE.csv or FILE.npy (moons).
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// The column of FILE.csv that names the class of each row, by its name or its number from 1; the network is told it.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) labels: Option<String>,
    /// Columns of FILE.csv to leave out, by name or number.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    pub(crate) ignore: Option<Vec<String>>,
    #[arg(long, value_name = "HOW", help = help::<Preprocess>("What is done to columns, and undone after sampling"))]
    pub(crate) preprocess: Option<Preprocess>,
    /// Share of rows that is not trained on, for `evaluate` (0.1 of a file's, 0 of what is drawn).
    #[arg(long, value_name = "SHARE")]
    pub(crate) hold_out: Option<f64>,
    /// Points to draw of a toy distribution (20000).
    #[arg(long, value_name = "N")]
    pub(crate) rows: Option<usize>,
    /// Steps of the whole run (5000).
    #[arg(long)]
    pub(crate) steps: Option<u64>,
    /// Rows a step (256).
    #[arg(long)]
    pub(crate) batch_size: Option<usize>,
    #[arg(long, help = help::<TableModel>("The network (mlp)"))]
    pub(crate) model: Option<TableModel>,
    /// Widths of the hidden layers (64,64,64).
    #[arg(long, value_name = "WIDTH,...", value_delimiter = ',')]
    pub(crate) widths: Option<Vec<i64>>,
    /// Share of rows whose class the network is not told, so that samples can be guided (0).
    #[arg(long, value_name = "SHARE")]
    pub(crate) label_drop: Option<f64>,
    /// Learn a deviation of the source for each column along with the network.
    #[arg(long, value_name = "BOOL")]
    pub(crate) trainable_source: Option<bool>,
    /// Fixes everything random (0).
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// The run directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on from the newest good checkpoint of --out, with its configuration (only --steps may change).
    #[arg(long, conflicts_with = "config")]
    pub(crate) resume: bool,
    /// auto, cpu, cuda or cuda:N. auto is the CPU for networks of less than a million parameters, which a GPU does not make faster.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Steps between checkpoints.
    #[arg(long, default_value_t = 5000, value_name = "STEPS")]
    pub(crate) save_every: u64,
    /// Steps between pictures of tables of two columns, and between looks at the means and covariances of samples of others; 0 for none.
    #[arg(long, default_value_t = 1000, value_name = "STEPS")]
    pub(crate) sample_every: u64,
    /// Steps between lines of metrics.jsonl (50).
    #[arg(long, value_name = "STEPS")]
    pub(crate) log_every: Option<u64>,
    // Last, because their headings cover all that follows.
    #[command(flatten)]
    pub(crate) group: GroupArgs,
    #[command(flatten)]
    pub(crate) runtime: RuntimeArgs,
    #[command(flatten)]
    pub(crate) learning: LearningArgs,
    #[command(flatten)]
    pub(crate) flow: FlowArgs,
}

/// A student of another run: it learns the pairs of noise and sample that its teacher's ODE makes, a new one for every row of every step.
#[derive(Debug, Args)]
pub(crate) struct ReflowArgs {
    /// The teacher: a checkpoint, or a run. Its configuration is what the student starts from.
    #[arg(long, value_name = "PATH")]
    pub(crate) teacher: PathBuf,
    /// Steps of RK4 by which it makes a sample.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) teacher_steps: usize,
    /// Start from fresh weights instead of the teacher's.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Without --steps 1000 steps, and without --time warp:s=0.5.
    #[command(flatten)]
    pub(crate) train: TrainArgs,
}
