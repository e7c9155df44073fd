//! The flags of `train`.

use crate::config::Keep;
use clap::{Args, ValueEnum};
use fm_app::objective_args::FlowArgs;
use fm_app::optimizer_args::LearningArgs;
use fm_app::process_group::GroupArgs;
use fm_app::runtime::RuntimeArgs;
use fm_train::flat::Precision;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tch::Device;

/// A run is described by a preset, a TOML file over it, and flags over both. `--dry-run` shows the result without training.
#[derive(Debug, Default, Args)]
pub(crate) struct TrainArgs {
    /// Where to start from: quickstart (digits, minutes on a CPU), cifar10-tiny (CPU-sized), cifar10-unet (35.7M
    /// parameters, exact OT) or cifar10-dit (129.5M parameters, class-conditional). Without a preset or a config: quickstart.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// A TOML file with any keys of a run's config.toml, laid over the preset it names.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// What to learn: digits (embedded), cifar10 or cifar10:DIR (binary batches), folder:DIR (PNG or JPEG, a sub-folder a class),
    /// IMAGES.npy or IMAGES.npy,LABELS.npy (uint8).
    #[arg(long)]
    pub(crate) data: Option<String>,
    /// Side to which folder:DIR images are resized and cropped.
    #[arg(long, value_name = "PIXELS")]
    pub(crate) image_size: Option<u32>,
    /// Keep images on the device as bytes: auto does on GPUs where the set has at most 2 GiB. The result is the same.
    #[arg(long, value_name = "WHEN")]
    pub(crate) data_on_device: Option<Keep>,
    /// Learn a teacher's pairs (`cifar-train reflow pairs`) instead of data. Without a preset or a config the rest is as its teacher's.
    #[arg(long, value_name = "DIR")]
    pub(crate) pairs: Option<String>,
    /// The weights to start from: a checkpoint, a run, a file, or fresh. Without it: fresh, or with --pairs their teacher's.
    #[arg(long, value_name = "PATH")]
    pub(crate) init: Option<String>,
    /// Learn in the latent space of this autoencoder, a run of `cifar-train vqvae`.
    #[arg(long, value_name = "DIR")]
    pub(crate) latent: Option<String>,
    /// The network. Another kind than the preset's comes in that kind's size for the preset.
    #[arg(long)]
    pub(crate) model: Option<ModelKind>,
    /// A transformer of a published size and patch: S/2, B/4, L/2, XL/8, ...
    #[arg(long, value_name = "SIZE/PATCH", conflicts_with = "model")]
    pub(crate) dit: Option<String>,
    /// Learn classes too, so that one can be asked for. Without the flag: as the preset says.
    #[arg(long, value_name = "BOOL")]
    pub(crate) conditional: Option<bool>,
    /// Steps of the whole run.
    #[arg(long, conflicts_with = "epochs")]
    pub(crate) steps: Option<u64>,
    /// Passes over the data instead of steps.
    #[arg(long)]
    pub(crate) epochs: Option<u64>,
    /// Images a step.
    #[arg(long)]
    pub(crate) batch_size: Option<usize>,
    /// Mirror images left to right at random.
    #[arg(long, value_name = "BOOL")]
    pub(crate) horizontal_flip: Option<bool>,
    /// Share of labels dropped, row by row, so that guidance has an unconditional model to lean on.
    #[arg(long, value_name = "SHARE")]
    pub(crate) label_drop: Option<f64>,
    /// Threads that make batches and solve the pairing ahead of time; 0 does it in the loop. The result is the same.
    #[arg(long, value_name = "N")]
    pub(crate) num_workers: Option<usize>,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// Precision of the network's computations; weights, averages and norms are f32 in any case. auto is bf16 on CUDA, f32 on the CPU.
    #[arg(long)]
    pub(crate) precision: Option<PrecisionArg>,
    /// Fixes everything random.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Steps between checkpoints.
    #[arg(long, value_name = "STEPS")]
    pub(crate) save_every: Option<u64>,
    /// Steps between sample grids; 0 draws none.
    #[arg(long, value_name = "STEPS")]
    pub(crate) sample_every: Option<u64>,
    /// Steps between lines of metrics.jsonl.
    #[arg(long, value_name = "STEPS")]
    pub(crate) log_every: Option<u64>,
    /// Checkpoints to keep, newest first; 0 keeps all.
    #[arg(long, value_name = "N")]
    pub(crate) keep_checkpoints: Option<usize>,
    /// The run directory. Without it: runs/PRESET.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on from the newest good checkpoint of --out, with its configuration.
    #[arg(long, conflicts_with_all = ["preset", "config"])]
    pub(crate) resume: bool,
    /// Compute a block's activations again on the way back instead of keeping them: less memory, more time.
    #[arg(long, value_name = "BOOL")]
    pub(crate) checkpoint_activations: Option<bool>,
    /// Lay the U-Net's activations out with their channels last; on the CPU only. The result is the same.
    #[arg(long, value_name = "BOOL")]
    pub(crate) channels_last: Option<bool>,
    /// Print the plan and exit.
    #[arg(long)]
    pub(crate) dry_run: bool,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelKind {
    /// Convolutional U-Net.
    Unet,
    /// Diffusion transformer.
    Dit,
}

/// Precision of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrecisionArg {
    /// bf16 on CUDA, f32 on the CPU.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// Brain floats.
    Bf16,
}

impl PrecisionArg {
    /// What `auto` means on a device; a run keeps the answer, so that it goes on in the same precision anywhere.
    pub(crate) fn resolve(self, device: Device) -> Self {
        match self {
            PrecisionArg::Auto if device.is_cuda() => PrecisionArg::Bf16,
            PrecisionArg::Auto => PrecisionArg::F32,
            given => given,
        }
    }
}

impl From<PrecisionArg> for Precision {
    fn from(arg: PrecisionArg) -> Self {
        match arg {
            PrecisionArg::F32 | PrecisionArg::Auto => Precision::F32,
            PrecisionArg::Bf16 => Precision::Bf16,
        }
    }
}
