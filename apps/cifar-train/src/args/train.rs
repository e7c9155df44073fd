//! The flags of `train`.

use crate::config::{Keep, ModelKind, PrecisionArg};
use clap::Args;
use fm_app::objective_args::FlowArgs;
use fm_app::optimizer_args::LearningArgs;
use fm_app::process_group::GroupArgs;
use fm_app::runtime::RuntimeArgs;
use std::path::PathBuf;

/// A preset sets all options of a run; a TOML file overrides the preset, and flags override both.
#[derive(Debug, Default, Args)]
pub(crate) struct TrainArgs {
    /// Start from a preset: quickstart (digits, minutes on a CPU), cifar10-tiny (1.1M parameters,
    /// CPU-sized), cifar10-unet (35.7M, exact OT, unconditional), cifar10-dit (129.5M, transformer)
    /// or guide (59.7M, U-Net with FiLM). All except cifar10-unet are class-conditional (default:
    /// quickstart).
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    pub(crate) preset: Option<String>,
    /// Read options from a TOML file; it takes any keys of a run's config.toml, `preset` among
    /// them.
    #[arg(long, value_name = "FILE.toml", help_heading = "Run")]
    pub(crate) config: Option<PathBuf>,
    /// Training images: digits (embedded), cifar10 or cifar10:DIR (binary batches), cifar10-test
    /// (its test split), folder:DIR (PNG or JPEG; one subfolder per class), IMAGES.npy or
    /// IMAGES.npy,LABELS.npy (uint8).
    #[arg(long, help_heading = "Data")]
    pub(crate) data: Option<String>,
    /// Height and width to which the images of folder:DIR are resized and cropped.
    #[arg(long, value_name = "PIXELS", help_heading = "Data")]
    pub(crate) image_size: Option<u32>,
    /// Keep the images in device memory instead of copying each batch; auto does so on a GPU if
    /// they take at most 2 GiB. The results are identical. Latents and pairs are always copied.
    #[arg(long, value_name = "WHEN", help_heading = "Data")]
    pub(crate) data_on_device: Option<Keep>,
    /// Train on a teacher's pairs, written by `cifar-train reflow pairs`, instead of data. If no
    /// preset is named, all other options default to the teacher's.
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub(crate) pairs: Option<String>,
    /// Start from the weights of a run, a checkpoint or a file; `fresh` starts from random weights
    /// (default: fresh, with --pairs the teacher's weights).
    #[arg(long, value_name = "PATH", help_heading = "Network")]
    pub(crate) init: Option<String>,
    /// Train in the latent space of an autoencoder, a run of `cifar-train vqvae`.
    #[arg(long, value_name = "DIR", help_heading = "Network")]
    pub(crate) latent: Option<String>,
    /// Type of the network. If it differs from the preset's, its size is chosen to match the
    /// preset.
    #[arg(long, help_heading = "Network")]
    pub(crate) model: Option<ModelKind>,
    /// Use a diffusion transformer of a published size and patch: S/2, B/4, L/2, XL/8, ...
    #[arg(long, value_name = "SIZE/PATCH", conflicts_with = "model", help_heading = "Network")]
    pub(crate) dit: Option<String>,
    /// Condition the network on class labels (default: as in the preset).
    #[arg(long, value_name = "BOOL", help_heading = "Network")]
    pub(crate) conditional: Option<bool>,
    /// Total number of training steps.
    #[arg(long, conflicts_with = "epochs", help_heading = "Optimization")]
    pub(crate) steps: Option<u64>,
    /// Total number of passes over the data, instead of --steps.
    #[arg(long, help_heading = "Optimization")]
    pub(crate) epochs: Option<u64>,
    /// Images per step, over all processes.
    #[arg(long, help_heading = "Optimization")]
    pub(crate) batch_size: Option<usize>,
    /// Mirror images left to right at random.
    #[arg(long, value_name = "BOOL", help_heading = "Data")]
    pub(crate) horizontal_flip: Option<bool>,
    /// Probability of replacing a label by the null label (for classifier-free guidance).
    #[arg(long, value_name = "SHARE", help_heading = "Network")]
    pub(crate) label_drop: Option<f64>,
    /// Threads that prefetch batches and solve their couplings; 0 does both in the training loop.
    /// The results are identical.
    #[arg(long, value_name = "N", help_heading = "Hardware")]
    pub(crate) num_workers: Option<usize>,
    /// Device: auto (CUDA if it works, otherwise the CPU), cpu, cuda or cuda:N.
    #[arg(long, help_heading = "Hardware")]
    pub(crate) device: Option<String>,
    /// Precision of the network's computations; weights, EMA and normalisation layers are always
    /// f32.
    #[arg(long, help_heading = "Hardware")]
    pub(crate) precision: Option<PrecisionArg>,
    /// Random seed.
    #[arg(long, help_heading = "Run")]
    pub(crate) seed: Option<u64>,
    /// Steps between checkpoints; 0 saves only at the end.
    #[arg(long, value_name = "STEPS", help_heading = "Output")]
    pub(crate) save_every: Option<u64>,
    /// Steps between sample grids; 0 draws none.
    #[arg(long, value_name = "STEPS", help_heading = "Output")]
    pub(crate) sample_every: Option<u64>,
    /// Steps between lines of metrics.jsonl.
    #[arg(long, value_name = "STEPS", help_heading = "Output")]
    pub(crate) log_every: Option<u64>,
    /// Number of newest checkpoints to keep; 0 keeps all.
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub(crate) keep_checkpoints: Option<usize>,
    /// Run directory (default: runs/PRESET; with --pairs runs/PRESET-reflow, for `distill`
    /// runs/PRESET-distilled).
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// Continue from the newest intact checkpoint of --out, with its configuration. Only --steps or
    /// --epochs, --num-workers, --device, --data-on-device, --save-every, --sample-every,
    /// --log-every and --keep-checkpoints may change.
    #[arg(long, conflicts_with_all = ["preset", "config"], help_heading = "Run")]
    pub(crate) resume: bool,
    /// Recompute activations in the backward pass instead of storing them: less memory, more time.
    #[arg(long, value_name = "BOOL", help_heading = "Hardware")]
    pub(crate) checkpoint_activations: Option<bool>,
    /// Store the U-Net's activations with channels last, on the CPU only. The result is the same.
    #[arg(long, value_name = "BOOL", help_heading = "Hardware")]
    pub(crate) channels_last: Option<bool>,
    /// Print what the run would do, and exit.
    #[arg(long, help_heading = "Run")]
    pub(crate) dry_run: bool,
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
