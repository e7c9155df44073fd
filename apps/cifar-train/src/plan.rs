//! The plan of a run, printed by `--dry-run` and at the start of every run.

use crate::config::Config;
use crate::config::PrecisionArg;
use fm_data::ImageSet;
use fm_images::training_data::Material;
use fm_models::ModelConfig;
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
        "" if material.held.is_empty() => format!("{}: {} images", config.data, set.len()),
        "" => format!("{}: {} images, {} more held out,", config.data, set.len(), material.held.len()),
        pairs => format!("{pairs}: {} pairs of noise and samples,", material.len()),
    };
    let init = if config.init.is_empty() { String::new() } else { format!(", from {}", config.init) };
    let epochs = config.steps as f64 * config.batch_size as f64 / material.len() as f64;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let lines = [
        ("data", format!("{data} {:?}, {classes}{latent}{}", set.shape, augmentation(config))),
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
                memory(config, set, parameters, device) / GIB
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
                "checkpoint every {}, samples every {}, log every {}",
                config.save_every.describe(),
                config.sample_every.describe(),
                config.log_every.describe()
            ),
        ),
        ("where", out.display().to_string()),
    ];
    lines.map(|(name, text)| format!("{name:<10}{text}")).join("\n")
}

/// The random changes of images, other than mirroring.
fn augmentation(config: &Config) -> String {
    let parts = [
        (config.random_crop > 0, format!("crops of {}", config.random_crop)),
        (config.random_rotation > 0.0, format!("rotations of {} degrees", config.random_rotation)),
        (config.random_translation > 0, format!("translations of {}", config.random_translation)),
    ];
    let given: Vec<String> = parts.into_iter().filter(|(given, _)| *given).map(|(_, text)| text).collect();
    if given.is_empty() { String::new() } else { format!("; random {}", given.join(", ")) }
}

/// The precision as text; bf16 on a GPU comes with a hint, because the default may have selected
/// it.
fn precision(precision: PrecisionArg, device: Device) -> &'static str {
    match precision.into() {
        Precision::F32 => "f32",
        Precision::Bf16 if device.is_cuda() => "bf16 (--precision f32 for single precision)",
        Precision::Bf16 => "bf16",
    }
}

/// Memory of libtorch and the program.
const PROGRAM: f64 = 0.17 * GIB;

/// Bytes per parameter: weights, gradient, two moments and one average in f32, and their copies
/// while a checkpoint is saved.
const PARAMETER: f64 = 40.0;

/// Bytes per parameter of the weights and gradients in bf16.
const HALVES: f64 = 4.0;

/// Memory of a backward pass per stored activation: gradients, and the workspace of convolutions.
const BACKWARD: f64 = 1.2;

/// The same with recomputed activations, per output of a block and per value of the largest block.
const RECOMPUTED: f64 = 2.65;

/// Estimated bytes: the program, the images, the parameter vectors, and activations. These are the
/// activations of all blocks, or with checkpointing the outputs of all blocks and the activations
/// of the largest one. Fitted to peaks of U-Nets and transformers on a CPU; accurate within 25 %.
fn memory(config: &Config, set: &ImageSet, parameters: usize, device: Device) -> f64 {
    let half = Precision::from(config.precision) == Precision::Bf16;
    // Without bf16 instructions, a CPU widens the operands of convolutions.
    let widened = !device.is_cuda() && matches!(config.model, ModelConfig::Unet(_));
    let width = if half && !widened { 2.0 } else { 4.0 };
    let averages = 4.0 * config.learning.ema_decay.len().saturating_sub(1) as f64;
    let vectors = PARAMETER + averages + if half { HALVES } else { 0.0 };
    let per_sample = config.model.activations();
    let values = if config.checkpoint_activations {
        RECOMPUTED * (per_sample.outputs + per_sample.largest) as f64
    } else {
        BACKWARD * per_sample.all as f64
    };
    let rows = config.learning.rows_per_pass(config.batch_size);
    PROGRAM + set.pixels.len() as f64 + vectors * parameters as f64 + width * values * rows as f64
}
