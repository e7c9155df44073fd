//! `evaluate`.

use super::{SolverArgs, Which};
use crate::evaluate::request::{ExtractorName, Protocol};
use clap::Args;
use fm_app::objective_args::help;
use fm_solvers::sampler::SolverName;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Samples of this model: a checkpoint, a run directory for its newest good one, or a file of weights (.safetensors, .pt).
    #[arg(long, value_name = "PATH")]
    pub(crate) checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    /// Evaluate these images instead of a checkpoint's samples: a name as in training, or cifar10-test.
    #[arg(long, value_name = "DATA", conflicts_with = "checkpoint", required_unless_present = "checkpoint")]
    pub(crate) samples: Option<String>,
    /// The real images to compare with (those that the checkpoint was trained on).
    #[arg(long, value_name = "DATA", required_unless_present = "checkpoint")]
    pub(crate) data: Option<String>,
    /// Side to which images of folder:DIR are resized and cropped (as in training; without a checkpoint they keep their sizes).
    #[arg(long, value_name = "PIXELS")]
    pub(crate) image_size: Option<u32>,
    /// How many samples to draw, over all classes in turn; of --samples, how many to take (1000; all of --samples).
    #[arg(long, value_name = "N")]
    pub(crate) num_samples: Option<usize>,
    /// What to measure: fd, fid, kid, pr (precision and recall), dc (density and coverage), is (inception score), nn (nearest neighbours), nll
    /// (bits per dimension); fd-pixels, kid-inception, ... name the features (fd,kid,pr,nn; without fd where there are not more images than features).
    #[arg(long, value_name = "METRIC,...", value_delimiter = ',')]
    pub(crate) metrics: Vec<String>,
    #[arg(long, help = help::<ExtractorName>("Features of metrics that name none (inception if its weights are given, resnet20 for 32 x 32 colour images, else pixels)"))]
    pub(crate) extractor: Option<ExtractorName>,
    /// pt_inception-2015-12-05-6726825d.pth from pytorch-fid's releases, or its tensors as .safetensors.
    #[arg(long, value_name = "FILE")]
    pub(crate) inception_weights: Option<PathBuf>,
    #[arg(long, default_value_t, help = help::<Protocol>("How images are prepared for Inception"))]
    pub(crate) protocol: Protocol,
    /// Mirror the real images too, as some references do.
    #[arg(long)]
    pub(crate) reference_flips: bool,
    /// Mean and covariance of real features (arrays mu and sigma, as pytorch-fid writes them) for fd and fid, instead of those of --data.
    #[arg(long, value_name = "FILE.npz")]
    pub(crate) statistics: Option<PathBuf>,
    /// Also write mean and covariance of the samples' features.
    #[arg(long, value_name = "FILE.npz")]
    pub(crate) save_statistics: Option<PathBuf>,
    /// Also measure real images that were not trained on, and training images with noise: what the numbers mean.
    #[arg(long)]
    pub(crate) calibrate: bool,
    /// Real images that were not trained on, for --calibrate and nll (cifar10-test beside cifar10).
    #[arg(long, value_name = "DATA")]
    pub(crate) held_out: Option<String>,
    /// Images that nll is measured on, the first ones.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) nll_images: usize,
    /// Probes of nll's divergence; 0 computes it exactly.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) nll_probes: usize,
    /// Measure samples of each of these numbers of evaluations, with each of --sweep-solvers.
    #[arg(long, value_name = "nfe=N,...", conflicts_with_all = ["samples", "calibrate", "save_statistics", "num_steps", "times", "grid"])]
    pub(crate) sweep: Option<String>,
    /// Solvers of the sweep; a number of evaluations that a solver's steps do not divide is left out for it.
    #[arg(long, value_name = "SOLVER,...", value_delimiter = ',', default_value = "euler,midpoint,rk4")]
    pub(crate) sweep_solvers: Vec<SolverName>,
    /// The sweep as a picture (.png or .svg).
    #[arg(long, value_name = "FILE", requires = "sweep")]
    pub(crate) plot: Option<PathBuf>,
    /// Also write the result as JSON.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) json: Option<PathBuf>,
    /// Where features are kept (~/.cache/flow-matching): those of a data set are made once, and an evaluation that was stopped goes on.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
}
