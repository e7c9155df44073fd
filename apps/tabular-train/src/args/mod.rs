//! The command line. Its help texts are the manual.

mod examples;
mod train;

pub(crate) use train::{ReflowArgs, TrainArgs};

use clap::{Args, Parser, Subcommand};
use fm_cli::outputs;
use fm_run::grids::GridArgs;
use fm_run::guidance::GuidanceArgs;
use fm_run::inspect::InspectArgs;
use fm_run::likelihood::LikelihoodArgs;
use fm_run::objective_report::ShowArgs;
use fm_run::report::ReportArgs;
use fm_run::solvers::SolveArgs;
use fm_run::weights::{FileArgs, WhichWeights};
use fm_tables::couple::CoupleArgs;
use fm_tables::data_report::DataArgs;
use fm_tables::solve::SolveOf;
use std::path::PathBuf;

/// Train and sample flow-matching models of point clouds and tables.
///
/// Training fits a network to the velocity field that carries noise to data; sampling integrates
/// this field. `tabular-train COMMAND --help` describes each command.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, after_help = examples::PROGRAM)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network on a table and write its run directory.
    ///
    /// A run has defaults; a preset overrides them, a TOML file (--config) overrides both, and
    /// flags override all.
    #[command(after_help = examples::TRAIN)]
    Train(Box<TrainArgs>),
    /// Train a student on a teacher's pairs of noise and sample; its straighter paths need fewer
    /// steps.
    #[command(after_help = examples::REFLOW)]
    Reflow(Box<ReflowArgs>),
    /// Show how the program reads a table: rows, columns and their values, classes, a picture.
    #[command(after_help = examples::DATA)]
    Data(Box<DataArgs>),
    /// Draw rows from a model, as a CSV file or a NumPy array.
    #[command(after_help = examples::SAMPLE)]
    Sample(SampleArgs),
    /// Learn the times of a few steps from a model, for `sample --times`.
    #[command(after_help = examples::GRID)]
    Grid(GridOf),
    /// Write the paths of rows from the source to the data.
    #[command(after_help = examples::TRAJECTORY)]
    Trajectory(TrajectoryArgs),
    /// Compute the log-density of rows under a model, or plot the density of a model of two
    /// columns.
    #[command(after_help = examples::LIKELIHOOD)]
    Likelihood(LikelihoodOf),
    /// Measure distances between samples of a model and held-out rows.
    #[command(after_help = examples::EVALUATE)]
    Evaluate(EvaluateArgs),
    /// Plot a model of two columns: source, data and samples; velocity field; paths.
    #[command(after_help = examples::PICTURE)]
    Picture(PictureArgs),
    /// Animate particles that move from the source to the data, for a model of two columns.
    #[command(after_help = examples::ANIMATE)]
    Animate(AnimateArgs),
    /// Convert weights between runs, safetensors files and PyTorch files.
    #[command(after_help = examples::CONVERT)]
    Convert(ConvertArgs),
    /// Print the contents of a checkpoint or of a file of weights.
    #[command(after_help = examples::INSPECT)]
    Inspect(InspectArgs),
    /// Write the output of a network at given points and times, to compare it with another
    /// program's.
    #[command(after_help = examples::VELOCITY)]
    Velocity(VelocityArgs),
    /// Run a solver on the exact velocity to a mixture of Gaussians, without a network; print its
    /// cost.
    #[command(after_help = examples::SOLVE)]
    Solve(SolveOf),
    /// Write a report of a run as one HTML page: curves, samples over time and configuration.
    #[command(after_help = examples::REPORT)]
    Report(ReportArgs),
    /// Print and plot an objective over time, without training.
    #[command(after_help = examples::OBJECTIVE)]
    Objective(Box<ShowArgs>),
    /// Pair the rows of tables by optimal transport, and print the cost.
    #[command(after_help = examples::COUPLE)]
    Couple(CoupleArgs),
}

/// Choices that a file of weights leaves open.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ModelFileArgs {
    #[command(flatten)]
    pub(crate) which: WhichWeights,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// Source that the network of a file was trained from, if the file does not say: gaussian,
    /// 8gaussians, FILE.csv, ... (default: gaussian).
    #[arg(long, value_name = "SOURCE", help_heading = "Model")]
    pub(crate) source: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Run, checkpoint, or file of weights (.safetensors, .pt, .pth), also of another program.
    pub(crate) input: PathBuf,
    /// File to write: .safetensors, or .pt, a PyTorch state_dict with a script beside it that
    /// builds the network. Both describe network, units, source, path and prediction.
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) file: ModelFileArgs,
}

/// A model, its solver and its noise.
#[derive(Debug, Clone, Args)]
pub(crate) struct DrawArgs {
    /// Model: a checkpoint, a run directory (its newest intact checkpoint), or a file of weights
    /// (.safetensors, .pt, .pth).
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) file: ModelFileArgs,
    /// Draw rows of one class, given by name or by number from 0; without it, a class-conditional
    /// model draws each class as often as it occurs in the training data.
    #[arg(long, value_name = "CLASS", help_heading = "Sampling")]
    pub(crate) class: Option<String>,
    /// Scale of guidance, for a model trained with --label-drop or with --guide-with; 1 is the
    /// model without guidance.
    #[arg(long, default_value_t = 1.0, value_name = "S", help_heading = "Sampling")]
    pub(crate) cfg_scale: f64,
    #[command(flatten)]
    pub(crate) guidance: GuidanceArgs,
    #[command(flatten)]
    pub(crate) solve: SolveArgs,
    /// Random seed of the noise.
    #[arg(long, default_value_t = 0, help_heading = "Sampling")]
    pub(crate) seed: u64,
    /// Device: auto (CUDA if it works, else the CPU), cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", help_heading = "Hardware")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    /// Number of rows.
    #[arg(long, default_value_t = 1000, value_name = "N", help_heading = "Sampling")]
    pub(crate) num_samples: usize,
    /// Start from these rows, in the units of the table, instead of rows of the source: the first
    /// --num-samples rows of FILE.csv or FILE.npy, or points of a toy distribution.
    #[arg(long, value_name = "ROWS", help_heading = "Sampling")]
    pub(crate) from: Option<String>,
    /// Write the rows to FILE.csv or FILE.npy.
    #[arg(long, value_name = "FILE", value_parser = outputs::table(), help_heading = "Output")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct GridOf {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    #[command(flatten)]
    pub(crate) grid: GridArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TrajectoryArgs {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    /// Number of paths.
    #[arg(long, default_value_t = 100, value_name = "N", help_heading = "Sampling")]
    pub(crate) num_samples: usize,
    /// Start from these rows, in the units of the table, instead of rows of the source: the first
    /// --num-samples rows of FILE.csv or FILE.npy, or points of a toy distribution.
    #[arg(long, value_name = "ROWS", help_heading = "Sampling")]
    pub(crate) from: Option<String>,
    /// Write the paths to FILE.npy, an array (times, rows, columns), or to FILE.csv, where each
    /// line starts with the indices of the time and of the row.
    #[arg(long, value_name = "FILE", value_parser = outputs::table(), help_heading = "Output")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    /// Number of samples to draw.
    #[arg(long, default_value_t = 10_000, value_name = "N", help_heading = "Sampling")]
    pub(crate) num_samples: usize,
    /// Number of projections of the sliced Wasserstein distance.
    #[arg(long, default_value_t = 500, value_name = "N", help_heading = "Metrics")]
    pub(crate) directions: usize,
    /// Number of principal components for the two-sample test, if the table has more columns.
    #[arg(long, default_value_t = 20, value_name = "N", help_heading = "Metrics")]
    pub(crate) components: usize,
    /// Also plot mean and variance of each column, samples (y) against real rows (x), as
    /// ln(1 + |value|).
    #[arg(long, value_name = "FILE.png", value_parser = outputs::picture(), help_heading = "Output")]
    pub(crate) picture: Option<PathBuf>,
    /// Also write the results, with the statistics of each column, as JSON.
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PictureArgs {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    /// Number of points per picture.
    #[arg(long, default_value_t = 3000, value_name = "N", help_heading = "Sampling")]
    pub(crate) num_samples: usize,
    /// Times at which the velocity field is drawn.
    #[arg(long, value_name = "T,...", value_delimiter = ',', default_value = "0,0.33,0.67,1", help_heading = "Output")]
    pub(crate) at: Vec<f64>,
    /// Draw samples of the network before its first step too, in samples.png.
    #[arg(long, help_heading = "Output")]
    pub(crate) untrained: bool,
    /// Draw the velocities of random pairs of source and data too: velocities.png.
    #[arg(long, help_heading = "Output")]
    pub(crate) velocities: bool,
    /// Directory for samples.png, field.png, paths.png and velocities.png.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct AnimateArgs {
    #[command(flatten)]
    pub(crate) draw: DrawArgs,
    /// Show another model of the same data next to it, for example its reflow student.
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub(crate) beside: Option<PathBuf>,
    /// Number of particles.
    #[arg(long, default_value_t = 1000, value_name = "N", help_heading = "Sampling")]
    pub(crate) num_samples: usize,
    /// Animation to write.
    #[arg(long, value_name = "FILE.gif", value_parser = outputs::animation(), help_heading = "Output")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LikelihoodOf {
    /// Rows, in the units of the training table; optional with --picture.
    #[arg(value_name = "FILE.csv", required_unless_present = "picture")]
    pub(crate) rows: Option<PathBuf>,
    /// Model: a checkpoint, a run directory (its newest intact checkpoint), or a file of weights
    /// (.safetensors, .pt, .pth).
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) file: ModelFileArgs,
    #[command(flatten)]
    pub(crate) how: LikelihoodArgs,
    /// Densities given this class, by name or by number from 0, of a class-conditional model.
    #[arg(long, value_name = "CLASS", conflicts_with = "labels", help_heading = "Likelihood")]
    pub(crate) class: Option<String>,
    /// Densities given the class of each row, which this column names.
    #[arg(long, value_name = "COLUMN", requires = "rows", help_heading = "Likelihood")]
    pub(crate) labels: Option<String>,
    /// Plot the density of a model of two columns.
    #[arg(long, value_name = "FILE.png", value_parser = outputs::picture(), help_heading = "Output")]
    pub(crate) picture: Option<PathBuf>,
    /// Number of grid cells per side of the plot.
    #[arg(long, default_value_t = 120, value_name = "N", requires = "picture", help_heading = "Output")]
    pub(crate) resolution: usize,
    /// Write the log-densities of the rows, one per line.
    #[arg(long, value_name = "FILE.csv", value_parser = outputs::lines(), requires = "rows", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// Device: auto (CUDA if it works, else the CPU), cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", help_heading = "Hardware")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct VelocityArgs {
    /// Points, one per line: the columns of the training table, then the time.
    #[arg(value_name = "FILE.csv")]
    pub(crate) rows: PathBuf,
    /// Model: a checkpoint, a run directory (its newest intact checkpoint), or a file of weights
    /// (.safetensors, .pt, .pth).
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) which: WhichWeights,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// Write the output of the network, one line per point, in its standardised units.
    #[arg(long, value_name = "FILE.csv", value_parser = outputs::lines(), help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Device: auto (CUDA if it works, else the CPU), cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", help_heading = "Hardware")]
    pub(crate) device: String,
}
