//! The command line.

use clap::{Args, Parser, Subcommand};
use fm_app::couplings::CouplingKind;
use fm_app::flow::{FlowArgs, help};
use fm_app::group::GroupArgs;
use fm_app::learning::LearningArgs;
use fm_app::likelihood::LikelihoodArgs;
use fm_app::models::TableModel;
use fm_app::report::ReportArgs;
use fm_app::show::ShowArgs;
use fm_app::solvers::SolveArgs;
use fm_app::weights::FileArgs;
use fm_core::path::PathKind;
use fm_ot::cost::Metric;
use fm_ot::pairs::Pairs;
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
    /// Train a network on a table; write its run directory.
    Train(Box<TrainArgs>),
    /// Draw rows from a checkpoint, as CSV.
    Sample(SampleArgs),
    /// The log-density of rows under a model.
    Likelihood(LikelihoodOf),
    /// What a network predicts at given points, to compare with another program's answer.
    Velocity(VelocityArgs),
    /// Carry points by the exact velocity to a mixture of Gaussians: what a solver costs and where it leads, without a network.
    Solve(SolveOf),
    /// A run as one page: curves, samples over time, configuration.
    Report(ReportArgs),
    /// Show what an objective does over time, without training anything.
    Objective(Box<ShowArgs>),
    /// Pair the rows of tables by optimal transport, and say what it costs.
    Couple(CoupleArgs),
}

/// A run is described by its defaults, a TOML file over them, and flags over both.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// A TOML file with any keys of a run's config.toml.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// spiral, moons, 8gaussians, checkerboard, or a file of numbers FILE.csv or FILE.npy (moons).
    #[arg(long)]
    pub(crate) data: Option<String>,
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
    /// Fixes everything random (0).
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// The run directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on from the newest good checkpoint of --out, with its configuration (only --steps may change).
    #[arg(long, conflicts_with = "config")]
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
    /// Steps between lines of metrics.jsonl (50).
    #[arg(long, value_name = "STEPS")]
    pub(crate) log_every: Option<u64>,
    // Last, because their headings cover all that follows.
    #[command(flatten)]
    pub(crate) group: GroupArgs,
    #[command(flatten)]
    pub(crate) learning: LearningArgs,
    #[command(flatten)]
    pub(crate) flow: FlowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// A checkpoint, a run directory for its newest good one, or a file of weights (.safetensors, .pt).
    #[arg(long, value_name = "PATH")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) file: FileArgs,
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

#[derive(Debug, Args)]
pub(crate) struct LikelihoodOf {
    /// The rows, in the units of the table that the model was trained on.
    #[arg(value_name = "FILE.csv")]
    pub(crate) rows: PathBuf,
    /// A checkpoint, a run directory for its newest good one, or a file of weights (.safetensors, .pt).
    #[arg(long, value_name = "PATH")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) how: LikelihoodArgs,
    /// Where the log-densities go, one a line.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) out: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct VelocityArgs {
    /// The points, a row each: the coordinates, then the time.
    #[arg(value_name = "FILE.csv")]
    pub(crate) rows: PathBuf,
    /// A checkpoint, a run directory for its newest good one, or a file of weights (.safetensors, .pt).
    #[arg(long, value_name = "PATH")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// Where the velocities go, a row each.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) out: PathBuf,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct SolveOf {
    /// The centres of the Gaussians, a row each.
    #[arg(value_name = "MEANS.csv")]
    pub(crate) means: PathBuf,
    /// Their standard deviation.
    #[arg(long, default_value_t = 0.1)]
    pub(crate) deviation: f64,
    /// Where the points start; without it they are drawn from the source.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) start: Option<PathBuf>,
    /// How many to draw.
    #[arg(long, default_value_t = 1000, value_name = "N", conflicts_with = "start")]
    pub(crate) num_samples: usize,
    /// The path from noise to data.
    #[arg(long, default_value_t)]
    pub(crate) path: PathKind,
    /// How far to keep away from an end where the path is singular.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) time_clip: f64,
    #[command(flatten)]
    pub(crate) solve: SolveArgs,
    /// Fixes what is drawn.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Where the points end.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CoupleArgs {
    /// Tables of numbers with equally many rows and columns, in the order of time.
    #[arg(value_name = "FILE.csv", required = true)]
    pub(crate) tables: Vec<PathBuf>,
    #[arg(long, value_name = "HOW", default_value_t = CouplingKind::Exact, help = help::<CouplingKind>("How rows are paired"))]
    pub(crate) coupling: CouplingKind,
    #[arg(long, value_name = "COST", default_value_t, help = help::<Metric>("What optimal transport minimises"))]
    pub(crate) cost: Metric,
    #[arg(long, value_name = "HOW", default_value_t, help = help::<Pairs>("How pairs are taken from its plan"))]
    pub(crate) pairing: Pairs,
    /// Where the schroedinger-bridge coupling finds its sigma.
    #[arg(long, value_name = "PATH", default_value_t)]
    pub(crate) path: PathKind,
    /// A class for each row of the second table, as whole numbers, one a line.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) classes: Option<PathBuf>,
    /// Fixes what is drawn.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Where the paths go, as row numbers.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) out: Option<PathBuf>,
}
