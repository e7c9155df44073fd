//! The flags of `evaluate`.

use super::model::{SolverArgs, Which};
use clap::Args;
use fm_cli::options::help;
use fm_cli::outputs;
use fm_evaluation::extract::{ExtractorName, Protocol};
use fm_evaluation::metrics;
use fm_solvers::sampler::SolverName;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Evaluate samples of this model: a checkpoint, a run directory (its newest intact
    /// checkpoint), or a file of weights (.safetensors, .pt, .pth).
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub(crate) checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) solver: SolverArgs,
    /// Evaluate these images, named as for `train --data`, instead of samples of a model.
    #[arg(
        long,
        value_name = "DATA",
        conflicts_with = "checkpoint",
        required_unless_present = "checkpoint",
        help_heading = "Data"
    )]
    pub(crate) samples: Option<String>,
    /// Real images to compare with, named as for `train --data` (default: the training data of the
    /// model).
    #[arg(long, value_name = "DATA", required_unless_present_any = ["checkpoint", "statistics"], help_heading = "Data")]
    pub(crate) data: Option<String>,
    /// Height and width to which images are resized and cropped (default: as in the model's
    /// training; without a model, images keep their sizes).
    #[arg(long, value_name = "PIXELS", help_heading = "Data", hide = true)]
    pub(crate) image_size: Option<u32>,
    /// Number of samples to draw, cycling through the classes (default: 1000), or of images to take
    /// from --samples (default: all).
    #[arg(long, value_name = "N", help_heading = "Data")]
    pub(crate) num_samples: Option<usize>,
    #[arg(long, value_name = "METRIC,...", value_delimiter = ',', help_heading = "Metrics", help = format!(
        "Metrics: {}. A suffix selects the features: fd-pixels, kid-inception, ... (default: fd,kid,pr,nn; without fd \
         if there are not more images than features)",
        metrics::listed()
    ))]
    pub(crate) metrics: Vec<String>,
    #[arg(long, help_heading = "Metrics", help = help::<ExtractorName>(
        "Features of metrics without a suffix (default: inception if its weights are given, resnet20 for 32 x 32 \
         colour images, otherwise pixels)"
    ))]
    pub(crate) extractor: Option<ExtractorName>,
    /// Weights of Inception: pt_inception-2015-12-05-6726825d.pth from pytorch-fid's releases, or
    /// its tensors as .safetensors.
    #[arg(long, value_name = "FILE", help_heading = "Metrics")]
    pub(crate) inception_weights: Option<PathBuf>,
    #[arg(long, default_value_t, help_heading = "Metrics", hide = true, help = help::<Protocol>(
        "How images are prepared for Inception"
    ))]
    pub(crate) protocol: Protocol,
    /// Compare with the mirrored real images too, as some references do.
    #[arg(long, help_heading = "Metrics", hide = true)]
    pub(crate) reference_flips: bool,
    /// For fd and fid, read mean and covariance of the real features from a file (arrays mu and
    /// sigma, as pytorch-fid writes them) instead of computing them from --data, which is then
    /// needed for other metrics only.
    #[arg(long, value_name = "FILE.npz", help_heading = "Metrics", hide = true)]
    pub(crate) statistics: Option<PathBuf>,
    /// Also write mean and covariance of the samples' features.
    #[arg(long, value_name = "FILE.npz", help_heading = "Output", hide = true)]
    pub(crate) save_statistics: Option<PathBuf>,
    /// Also measure held-out real images, and training images with added noise, as points of
    /// reference.
    #[arg(long, help_heading = "Metrics", hide = true)]
    pub(crate) calibrate: bool,
    /// Held-out real images for --calibrate and nll (default for cifar10: cifar10-test; otherwise
    /// nll uses --data).
    #[arg(long, value_name = "DATA", help_heading = "Data", hide = true)]
    pub(crate) held_out: Option<String>,
    /// Number of images for nll, from the first on.
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Metrics", hide = true)]
    pub(crate) nll_images: usize,
    /// Probes per image of Hutchinson's divergence estimate in nll; 0 computes the exact
    /// divergence.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Metrics", hide = true)]
    pub(crate) nll_probes: usize,
    /// Measure samples at each of these numbers of function evaluations (NFE), with each
    /// of --sweep-solvers, at each of these scales of classifier-free guidance (cfg=S,...), or with
    /// averages of these relative widths (ema-sigma=S,...; see --ema-sigma).
    #[arg(
        long,
        value_name = "nfe=N,...",
        conflicts_with_all = ["samples", "calibrate", "save_statistics"],
        help_heading = "Sweep"
    )]
    pub(crate) sweep: Option<String>,
    /// Solvers of the sweep; a solver skips each NFE that is not a multiple of its evaluations per
    /// step.
    #[arg(
        long,
        value_name = "SOLVER,...",
        value_delimiter = ',',
        default_value = "euler,midpoint,rk4",
        requires = "sweep",
        help_heading = "Sweep",
        hide = true
    )]
    pub(crate) sweep_solvers: Vec<SolverName>,
    /// Plot the first metric over NFE or the scale (.png or .svg).
    #[arg(long, value_name = "FILE", value_parser = outputs::chart(), requires = "sweep", help_heading = "Sweep", hide = true)]
    pub(crate) plot: Option<PathBuf>,
    /// Draw the first samples of each point of the sweep, from the same noise, one row each.
    #[arg(long, value_name = "FILE.png", value_parser = outputs::picture(), requires = "sweep", help_heading = "Sweep", hide = true)]
    pub(crate) picture: Option<PathBuf>,
    /// Also write the results as JSON.
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,
    /// Directory for cached features (default: flow-matching in $XDG_CACHE_HOME or, if that is not
    /// set, in ~/.cache). The features of a data set are computed once, and an interrupted
    /// evaluation continues where it stopped.
    #[arg(long, value_name = "DIR", help_heading = "Output", hide = true)]
    pub(crate) cache: Option<PathBuf>,
}
