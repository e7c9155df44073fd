//! What a run is going to do: `--dry-run`, and the first lines of every run.

use crate::args::PrecisionArg;
use crate::config::Config;
use crate::material::Material;
use fm_data::ImageSet;
use fm_train::flat::Precision;
use std::path::Path;
use tch::Device;

const GIB: f64 = (1u64 << 30) as f64;

pub(crate) fn describe(config: &Config, material: &Material, parameters: usize, device: Device, out: &Path) -> String {
    let classes = if config.model.classes() > 0 {
        format!("{} classes, {:.0} % of labels dropped", config.model.classes(), 100.0 * config.label_drop)
    } else {
        "unconditional".into()
    };
    let latent = match config.latent.as_str() {
        "" => String::new(),
        autoencoder => format!(", in the latent space of {autoencoder} (times {:.4})", config.latent_scale),
    };
    let set = &material.set;
    let data = match config.pairs.as_str() {
        "" => format!("{}: {} images", config.data, set.len()),
        pairs => format!("{pairs}: {} pairs of noise and samples,", material.len()),
    };
    let init = if config.init.is_empty() { String::new() } else { format!(", from {}", config.init) };
    let epochs = config.steps as f64 * config.batch_size as f64 / material.len() as f64;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let lines = [
        ("data", format!("{data} {:?}, {classes}{latent}", set.shape)),
        (
            "model",
            format!(
                "{}, {parameters} parameters, {} on {device:?} ({cores} cores){init}",
                config.model.kind(),
                precision(config.precision, device)
            ),
        ),
        (
            "memory",
            format!(
                "about {:.2} GiB: libtorch, the data, parameters with their optimizer, and a batch's activations",
                memory(config, set, parameters) / GIB
            ),
        ),
        (
            "training",
            format!(
                "{} steps of {} images ({epochs:.1} epochs), lr {} after {} warm-up steps, {} decay",
                config.steps,
                config.batch_size,
                config.learning.lr,
                config.learning.warmup_steps,
                config.learning.decay
            ),
        ),
        ("learning", config.flow.describe()),
        (
            "saving",
            format!(
                "checkpoint every {} steps, samples every {}, log every {}",
                config.save_every, config.sample_every, config.log_every
            ),
        ),
        ("where", out.display().to_string()),
    ];
    lines.map(|(name, text)| format!("{name:<10}{text}")).join("\n")
}

/// The precision in words; bf16 is worth one on a GPU, because nobody may have asked for it.
fn precision(precision: PrecisionArg, device: Device) -> &'static str {
    match precision.into() {
        Precision::F32 => "f32",
        Precision::Bf16 if device.is_cuda() => "bf16 (--precision f32 for single precision)",
        Precision::Bf16 => "bf16",
    }
}

/// libtorch and the program.
const PROGRAM: f64 = 0.17 * GIB;

/// Bytes per parameter at the peak of a saved checkpoint: the vectors, their copies on the host, and the files' contents.
const SAVING: f64 = 48.0;

/// What a backward pass holds beside the kept activations: gradients of some, and the convolutions' workspace.
const BACKWARD: f64 = 1.35;

/// The same where activations are computed again: copies and gradients of the blocks' outputs and of the largest block.
const RECOMPUTED: f64 = 3.2;

/// Bytes: the program, the images, and the larger of a training step and a saved checkpoint.
///
/// A step holds f32 vectors (weights, gradient, two moments, the averages), in bf16 also weights and gradients of 2 bytes, and
/// activations: of all blocks, or with checkpointing the outputs of all and the largest block. Fitted to U-Nets in f32 on a CPU.
fn memory(config: &Config, set: &ImageSet, parameters: usize) -> f64 {
    let (extra, width) = match config.precision.into() {
        Precision::F32 => (0.0, 4.0),
        Precision::Bf16 => (4.0, 2.0),
    };
    let vectors = 4.0 * (4 + config.learning.ema_decay.len()) as f64 + extra;
    let per_sample = config.model.activations();
    let values = if config.checkpoint_activations {
        RECOMPUTED * (per_sample.outputs + per_sample.largest) as f64
    } else {
        BACKWARD * per_sample.all as f64
    };
    let rows = match config.learning.micro_batch_size {
        0 => config.batch_size,
        micro => micro.min(config.batch_size),
    };
    let step = vectors * parameters as f64 + width * values * rows as f64;
    let saving = (SAVING + extra) * parameters as f64;
    PROGRAM + set.pixels.len() as f64 + step.max(saving)
}
