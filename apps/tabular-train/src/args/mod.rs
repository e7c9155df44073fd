//! The command line.

mod train;

pub(crate) use train::{ReflowArgs, TrainArgs};

use clap::{Args, Parser, Subcommand};
use fm_app::couplings::CouplingKind;
use fm_app::likelihood::LikelihoodArgs;
use fm_app::objective_args::help;
use fm_app::objective_report::ShowArgs;
use fm_app::report::ReportArgs;
use fm_app::solvers::SolveArgs;
use fm_app::weights::FileArgs;
use fm_core::path::PathKind;
use fm_ot::cost::Metric;
use fm_ot::pairs::PairSampling;
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
    /// Train a student whose paths are straight: few steps, or one, will do to sample it.
    Reflow(Box<ReflowArgs>),
    /// Draw rows from a checkpoint, as CSV or NumPy's array.
    Sample(SampleArgs),
    /// The paths of rows from the source to the data.
    Trajectory(TrajectoryArgs),
    /// The log-density of rows under a model, and a picture of the density in the plane.
    Likelihood(LikelihoodOf),
    /// How far samples are from real rows that were not trained on.
    Evaluate(EvaluateArgs),
    /// Pictures of a model of the plane: source, data and samples; its field; its paths.
    Picture(PictureArgs),
    /// An animation of particles on their way from the source to the data.
    Animate(AnimateArgs),
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

/// Which model, and how it is sampled.
#[derive(Debug, Clone, Args)]
pub(crate) struct DrawArgs {
    /// A checkpoint, a run directory for its newest good one, or a file of weights (.safetensors, .pt).
    #[arg(long, value_name = "PATH")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// Ask for one class, by its name or number. Without it a model that is told classes draws each as often as the data have it.
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Guidance scale of a model that was trained with --label-drop: 1 is the plain conditional model.
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    pub(crate) cfg_scale: f64,
    #[command(flatten)]
    pub(crate) solve: SolveArgs,
    /// Fixes the noise.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    /// How many rows.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) num_samples: usize,
    /// Where the rows go: FILE.csv or FILE.npy.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct TrajectoryArgs {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    /// How many rows.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) num_samples: usize,
    /// Where they go: FILE.npy of shape (times, rows, columns), or FILE.csv with the number of the time and of the row before each row.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    /// How many rows to draw.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) num_samples: usize,
    /// Directions of the sliced Wasserstein distance.
    #[arg(long, default_value_t = 500, value_name = "N")]
    pub(crate) directions: usize,
    /// Principal components on which the two-sample test is done, where there are more columns.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) components: usize,
    /// A picture of the columns' means and variances, real ones across and samples' upwards, as ln(1 + x).
    #[arg(long, value_name = "FILE.png")]
    pub(crate) picture: Option<PathBuf>,
    /// Also write the result, with each column's statistics, as JSON.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PictureArgs {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    /// Points in each picture.
    #[arg(long, default_value_t = 3000, value_name = "N")]
    pub(crate) num_samples: usize,
    /// Times at which the field is drawn.
    #[arg(long, value_name = "T,...", value_delimiter = ',', default_value = "0,0.33,0.67,1")]
    pub(crate) at: Vec<f64>,
    /// The directory that samples.png, field.png and paths.png go to.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct AnimateArgs {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    /// Another model of the same data, shown beside it: what reflow made of it, say.
    #[arg(long, value_name = "PATH")]
    pub(crate) beside: Option<PathBuf>,
    /// How many particles.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) num_samples: usize,
    /// The animation.
    #[arg(long, value_name = "FILE.gif")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LikelihoodOf {
    /// The rows, in the units of the table that the model was trained on; not needed for a picture.
    #[arg(value_name = "FILE.csv", required_unless_present = "picture")]
    pub(crate) rows: Option<PathBuf>,
    /// A checkpoint, a run directory for its newest good one, or a file of weights (.safetensors, .pt).
    #[arg(long, value_name = "PATH")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    #[command(flatten)]
    pub(crate) how: LikelihoodArgs,
    /// A picture of the density, of a model of the plane.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) picture: Option<PathBuf>,
    /// Squares along a side of it.
    #[arg(long, default_value_t = 120, value_name = "N")]
    pub(crate) resolution: usize,
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
    #[arg(long, value_name = "HOW", default_value_t, help = help::<PairSampling>("How pairs are taken from its plan"))]
    pub(crate) pairing: PairSampling,
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
