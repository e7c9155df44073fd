//! The command line. Its help texts are the manual.

mod evaluate;
mod reflow;
mod train;

pub(crate) use evaluate::EvaluateArgs;
pub(crate) use reflow::{CompareArgs, DistillArgs, PairsArgs, ReflowCommand};
pub(crate) use train::{ModelKind, PrecisionArg, TrainArgs};

use clap::{Args, Parser, Subcommand};
use fm_app::likelihood::LikelihoodArgs;
use fm_app::objective_report::ShowArgs;
use fm_app::process_group::GroupArgs;
use fm_app::report::ReportArgs;
use fm_app::solvers::SolveArgs;
use fm_app::weights::FileArgs;
use fm_core::path::PathKind;
use fm_core::prediction::Prediction;
use std::path::PathBuf;

/// Train and sample flow-matching models of images.
///
/// A model learns a velocity that carries noise to images; sampling integrates it. Start with
/// `cifar-train train --preset quickstart --out runs/digits`, which needs no download.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model; write its run directory.
    Train(Box<TrainArgs>),
    /// Draw images from a checkpoint.
    Sample(Box<SampleArgs>),
    /// Measure samples, or any images, against real ones: Frechet distances, KID, precision and recall, copies, likelihood.
    Evaluate(Box<EvaluateArgs>),
    /// Make a teacher's pairs of noise and samples, and measure what training on them brought.
    #[command(subcommand)]
    Reflow(ReflowCommand),
    /// Train a model that samples in so many Euler steps, from a teacher's pairs: `train --pairs` at the times of those steps only.
    Distill(Box<DistillArgs>),
    /// A run as one page: curves, samples over time, configuration.
    Report(ReportArgs),
    /// Train a VQ-VAE, in whose latent space `train --latent` works.
    Vqvae(Box<AutoencoderArgs>),
    /// Read weights that others trained, write what others can load.
    Convert(ConvertArgs),
    /// What a network predicts at given images and times, to compare with another program's answer.
    Velocity(VelocityArgs),
    /// Bits per dimension of images under a model.
    Likelihood(LikelihoodOf),
    /// Say what a checkpoint holds.
    Inspect(InspectArgs),
    /// Show what an objective does over time, without training anything.
    Objective(Box<ShowArgs>),
}

/// Where a model comes from.
#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// A checkpoint, a run directory for its newest good one, or a file of weights (.safetensors, .pt).
    #[arg(long, value_name = "PATH")]
    pub(crate) checkpoint: PathBuf,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// Which weights, and where they are used.
#[derive(Debug, Default, Args)]
pub(crate) struct Which {
    /// Use the weights as trained instead of their average; of a file, choose them with --part.
    #[arg(long, conflicts_with = "part")]
    pub(crate) raw_weights: bool,
    /// Use the average of this decay, of a run that keeps several.
    #[arg(long, value_name = "D", conflicts_with_all = ["raw_weights", "part"])]
    pub(crate) ema_decay: Option<f64>,
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
}

/// A run is described by its defaults, a TOML file over them, and flags over both.
#[derive(Debug, Args)]
pub(crate) struct AutoencoderArgs {
    /// A TOML file with any keys of a run's config.toml.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// The images: digits, cifar10, cifar10:DIR or folder:DIR (digits).
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// Side to which folder:DIR images are resized and cropped.
    #[arg(long, value_name = "PIXELS")]
    pub(crate) image_size: Option<u32>,
    /// Mirror images left to right at random (false).
    #[arg(long, value_name = "BOOL")]
    pub(crate) horizontal_flip: Option<bool>,
    /// Also measure the reconstruction of images that were not trained on: cifar10-test, say.
    #[arg(long, value_name = "DATA")]
    pub(crate) test: Option<String>,
    /// Steps of the whole run (2000).
    #[arg(long)]
    pub(crate) steps: Option<u64>,
    /// Images a step (64).
    #[arg(long)]
    pub(crate) batch_size: Option<usize>,
    /// Learning rate, after 100 steps of warm-up and falling along a cosine (0.001).
    #[arg(long)]
    pub(crate) lr: Option<f64>,
    /// Number of codes (256).
    #[arg(long, value_name = "K")]
    pub(crate) codes: Option<i64>,
    /// Values of a code: the channels of the latent space (4).
    #[arg(long, value_name = "N")]
    pub(crate) code_dim: Option<i64>,
    /// Weight of the commitment loss (0.25).
    #[arg(long, value_name = "BETA")]
    pub(crate) commitment: Option<f64>,
    /// Base width, a multiple of 32 (32).
    #[arg(long, value_name = "N")]
    pub(crate) channels: Option<i64>,
    /// Width multiple of each stage; each but the last halves the size (1,2).
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    pub(crate) channel_mult: Option<Vec<i64>>,
    /// Fixes everything random (0).
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// Steps between checkpoints (500).
    #[arg(long, value_name = "STEPS")]
    pub(crate) save_every: Option<u64>,
    /// Steps between pictures of reconstructions; 0 draws none (500).
    #[arg(long, value_name = "STEPS")]
    pub(crate) sample_every: Option<u64>,
    /// The run directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on from the newest good checkpoint of --out, with its configuration.
    #[arg(long, conflicts_with = "config")]
    pub(crate) resume: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// A run, a checkpoint, or a file of weights (.safetensors, .pt, .pth).
    pub(crate) input: PathBuf,
    /// The new file: .safetensors, with all that is known of the network, or .pt, a state_dict. Both load with load_state_dict(strict=True).
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) which: Which,
    /// The path that the network was trained on, if the file does not tell and it is not the linear one.
    #[arg(long)]
    pub(crate) path: Option<PathKind>,
    /// What the network predicts, if the file does not tell and it is not the velocity.
    #[arg(long)]
    pub(crate) prediction: Option<Prediction>,
}

#[derive(Debug, Args)]
pub(crate) struct VelocityArgs {
    #[command(flatten)]
    pub(crate) from: CheckpointArgs,
    /// The images, (N, C, H, W) in [-1, 1], f32.
    #[arg(value_name = "FILE.npy")]
    pub(crate) images: PathBuf,
    /// The time of each, or one for all; 0 is noise, 1 data.
    #[arg(long, value_name = "T,...", value_delimiter = ',', required = true)]
    pub(crate) at: Vec<f64>,
    /// The class of each, for a class-conditional network; without it the null class.
    #[arg(long, value_name = "K,...", value_delimiter = ',')]
    pub(crate) classes: Vec<i64>,
    /// Where the velocities go, as a NumPy array like the images.
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) out: PathBuf,
}

/// How to integrate, shared by all that draw.
#[derive(Debug, Args)]
pub(crate) struct SolverArgs {
    /// Guidance scale: 1 is the plain conditional model, more exaggerates the class. Without it: as the run's configuration says.
    #[arg(long, value_name = "S")]
    pub(crate) cfg_scale: Option<f64>,
    /// Guide at times from LOW to HIGH only (0 is noise, 1 data).
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',')]
    pub(crate) cfg_interval: Vec<f64>,
    #[command(flatten)]
    pub(crate) solve: SolveArgs,
    /// Fixes the noise; sample i is the same whatever the number of samples.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Images integrated together; changes memory, not the samples (but for --pace per-batch).
    #[arg(long, default_value_t = 250, value_name = "N")]
    pub(crate) batch_size: usize,
    #[command(flatten)]
    pub(crate) group: GroupArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    #[command(flatten)]
    pub(crate) from: CheckpointArgs,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    /// How many images.
    #[arg(long, default_value_t = 64, value_name = "N", conflicts_with = "class_grid")]
    pub(crate) num_samples: usize,
    /// Ask for one class. Without it a conditional model goes through its classes in turn.
    #[arg(long, value_name = "K", conflicts_with = "class_grid")]
    pub(crate) class_label: Option<usize>,
    /// One labelled row a class.
    #[arg(long)]
    pub(crate) class_grid: bool,
    /// Images a class in the class grid.
    #[arg(long, default_value_t = 10, value_name = "M")]
    pub(crate) samples_per_class: usize,
    /// The picture.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) out: PathBuf,
    /// Also write the raw values, f32 in [-1, 1], as a NumPy array (N, C, H, W).
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) npy: Option<PathBuf>,
    /// Also write an animation from noise to images.
    #[arg(long, value_name = "FILE.gif")]
    pub(crate) gif: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LikelihoodOf {
    #[command(flatten)]
    pub(crate) from: CheckpointArgs,
    /// The images: a name as in training, or cifar10-test for the test split. Without it: the data of the run.
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// How many images, the first ones.
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(crate) num_images: usize,
    /// Images at a time.
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(crate) batch_size: usize,
    #[command(flatten)]
    pub(crate) how: LikelihoodArgs,
    /// Where the bits per dimension go, one image a line.
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A checkpoint, a run directory, or a file of weights.
    pub(crate) path: PathBuf,
    /// List every tensor.
    #[arg(long)]
    pub(crate) tensors: bool,
}
