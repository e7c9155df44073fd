//! The command line. Its help texts are the manual.

mod evaluate;
mod examples;
mod model;
mod reflow;
mod train;

pub(crate) use evaluate::EvaluateArgs;
pub(crate) use model::{CheckpointArgs, ImageSize, SolverArgs, Which};
pub(crate) use reflow::{CompareArgs, DistillArgs, PairsArgs, ReflowArgs, ReflowCommand};
pub(crate) use train::TrainArgs;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fm_cli::outputs;
use fm_images::data_report::DataArgs;
use fm_images::vqvae::AutoencoderArgs;
use fm_run::grids::GridArgs;
use fm_run::inspect::InspectArgs;
use fm_run::likelihood::LikelihoodArgs;
use fm_run::objective_report::ShowArgs;
use fm_run::report::ReportArgs;
use std::path::PathBuf;

/// Train and sample flow-matching models of images.
///
/// Training fits a network to the velocity field that carries noise to images; sampling integrates
/// this field. `cifar-train COMMAND --help` describes each command.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, after_help = examples::PROGRAM)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model and write its run directory.
    ///
    /// A preset sets all options of a run; a TOML file (--config) overrides the preset, and flags
    /// override both. `--dry-run` prints the result without training.
    #[command(after_help = examples::TRAIN)]
    Train(Box<TrainArgs>),
    /// Show how the program reads a data set: counts, classes, sizes, values, a picture.
    #[command(after_help = examples::DATA)]
    Data(DataArgs),
    /// Draw images from a model.
    #[command(after_help = examples::SAMPLE)]
    Sample(Box<SampleArgs>),
    /// Learn the times of a few steps from a model, for `sample --times`.
    #[command(after_help = examples::GRID)]
    Grid(Box<GridOf>),
    /// Compare samples of a model, or any images, with real images.
    ///
    /// Metrics: Fréchet distance, KID, precision and recall, density and coverage, inception score,
    /// copies and likelihood.
    #[command(after_help = examples::EVALUATE)]
    Evaluate(Box<EvaluateArgs>),
    /// Train on a teacher's pairs of noise and samples, in rounds; make such pairs, and compare
    /// models by their quality in few steps.
    #[command(after_help = examples::REFLOW)]
    Reflow(Box<ReflowArgs>),
    /// Distil a teacher: train a model for a fixed number of Euler steps on the teacher's pairs.
    ///
    /// The same as `train --pairs` with training times restricted to those of the Euler steps.
    #[command(after_help = examples::DISTILL)]
    Distill(Box<DistillArgs>),
    /// Write a report of a run as one HTML page: curves, samples over time and configuration.
    #[command(after_help = examples::REPORT)]
    Report(ReportArgs),
    /// Train a VQ-VAE, the autoencoder of `train --latent`.
    #[command(after_help = examples::VQVAE)]
    Vqvae(Box<AutoencoderArgs>),
    /// Convert weights between runs, safetensors files and PyTorch files.
    #[command(after_help = examples::CONVERT)]
    Convert(ConvertArgs),
    /// Write the output of a network at given images and times, to compare it with another
    /// program's.
    #[command(after_help = examples::VELOCITY)]
    Velocity(VelocityArgs),
    /// Compute the bits per dimension of images under a model.
    #[command(after_help = examples::LIKELIHOOD)]
    Likelihood(LikelihoodOf),
    /// Print the contents of a checkpoint or of a file of weights.
    #[command(after_help = examples::INSPECT)]
    Inspect(InspectArgs),
    /// Print and plot an objective over time, without training.
    #[command(after_help = examples::OBJECTIVE)]
    Objective(Box<ShowArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Run, checkpoint, or file of weights (.safetensors, .pt, .pth).
    pub(crate) input: PathBuf,
    /// File to write: .safetensors, with all metadata of the network, or .pt, a PyTorch state_dict.
    /// The tensors of both load with load_state_dict(strict=True).
    pub(crate) output: PathBuf,
    /// How time runs in the input: noise-to-data (t = 0 is noise, as everywhere here), or
    /// data-to-noise (t = 0 is data, as in diffusers, SD3 and rectified flow's papers) (default:
    /// noise-to-data).
    #[arg(long, value_name = "DIRECTION", help_heading = "Time")]
    pub(crate) time_direction: Option<TimeDirection>,
    /// How time runs in the output; the other direction only for .pt, which has no description.
    #[arg(long, value_name = "DIRECTION", default_value = "noise-to-data", help_heading = "Time")]
    pub(crate) output_time_direction: TimeDirection,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// The direction of time of a network's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeDirection {
    /// Noise at t = 0, data at t = 1; the velocity points to the data.
    NoiseToData,
    /// Data at t = 0, noise at t = 1; the velocity points to the noise.
    DataToNoise,
}

#[derive(Debug, Args)]
pub(crate) struct VelocityArgs {
    #[command(flatten)]
    pub(crate) from: CheckpointArgs,
    /// Images: a NumPy array (N, C, H, W) of f32 in [-1, 1].
    #[arg(value_name = "FILE.npy")]
    pub(crate) images: PathBuf,
    /// Time of each image, or one time for all; 0 is noise, 1 is data.
    #[arg(long, value_name = "T,...", value_delimiter = ',', required = true, help_heading = "Data")]
    pub(crate) at: Vec<f64>,
    /// Class of each image by name or number, for a class-conditional network (default: the null
    /// class).
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',', help_heading = "Data")]
    pub(crate) classes: Vec<String>,
    /// Output of the network: a NumPy array of the shape of the images.
    #[arg(long, value_name = "FILE.npy", value_parser = outputs::array(), help_heading = "Output")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    #[command(flatten)]
    pub(crate) from: CheckpointArgs,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    /// Number of images.
    #[arg(long, default_value_t = 64, value_name = "N", conflicts_with = "class_grid", help_heading = "Sampling")]
    pub(crate) num_samples: usize,
    /// Draw images of one class only, by its name or number; without it, a class-conditional model
    /// cycles through its classes.
    #[arg(long, value_name = "CLASS", conflicts_with = "class_grid", help_heading = "Sampling")]
    pub(crate) class_label: Option<String>,
    /// Draw a grid with one labelled row per class.
    #[arg(long, help_heading = "Sampling")]
    pub(crate) class_grid: bool,
    /// Height and width of the images, which the network's patch or stages divide, as HxW or as one
    /// side (default: those of its training).
    #[arg(long, value_name = "HxW", help_heading = "Sampling")]
    pub(crate) size: Option<ImageSize>,
    /// Images per class in the class grid.
    #[arg(long, default_value_t = 10, value_name = "M", requires = "class_grid", help_heading = "Sampling")]
    pub(crate) samples_per_class: usize,
    /// Write the images as a grid: .png, .jpg, .bmp, .webp, .tiff or .gif.
    #[arg(long, value_name = "FILE", value_parser = outputs::picture(), help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Also write the values, f32 and nominally in [-1, 1], as a NumPy array (N, C, H, W).
    #[arg(long, value_name = "FILE.npy", value_parser = outputs::array(), help_heading = "Output")]
    pub(crate) npy: Option<PathBuf>,
    /// Also write an animation from noise to images.
    #[arg(long, value_name = "FILE.gif", value_parser = outputs::animation(), help_heading = "Output")]
    pub(crate) gif: Option<PathBuf>,
    /// Also write the states at equal times from noise to images, as a NumPy array (T, N, C, H, W).
    #[arg(long, value_name = "FILE.npy", value_parser = outputs::array(), help_heading = "Output")]
    pub(crate) trajectory: Option<PathBuf>,
    /// Number of times of the trajectory, from 0 to 1.
    #[arg(
        long,
        value_name = "T",
        default_value_t = 100,
        requires = "trajectory",
        help_heading = "Output",
        hide = true
    )]
    pub(crate) trajectory_times: usize,
}

#[derive(Debug, Args)]
pub(crate) struct GridOf {
    /// Model: a checkpoint, a run directory (its newest intact checkpoint), or a file of weights
    /// (.safetensors, .pt, .pth).
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    #[command(flatten)]
    pub(crate) grid: GridArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LikelihoodOf {
    #[command(flatten)]
    pub(crate) from: CheckpointArgs,
    /// Images, as for `train --data` (default: the training data of the run).
    #[arg(long, help_heading = "Data")]
    pub(crate) data: Option<String>,
    /// Number of images, from the first on.
    #[arg(long, default_value_t = 16, value_name = "N", help_heading = "Data")]
    pub(crate) num_images: usize,
    /// Images per batch.
    #[arg(long, default_value_t = 16, value_name = "N", help_heading = "Data")]
    pub(crate) batch_size: usize,
    #[command(flatten)]
    pub(crate) how: LikelihoodArgs,
    /// Write the bits per dimension, one line per image.
    #[arg(long, value_name = "FILE.csv", value_parser = outputs::lines(), help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
}
