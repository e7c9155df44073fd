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
                "about {:.2} GiB: libtorch, the data, six vectors of parameters and a batch's activations",
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

/// Bytes: the program itself, the images, six f32 vectors (weights, gradient and a temporary, two moments, average), the bf16
/// copies, and activations. Within about 20 % of the measured peaks of the presets on a CPU.
fn memory(config: &Config, set: &ImageSet, parameters: usize) -> f64 {
    let program = 0.3 * GIB + set.pixels.len() as f64;
    let (vectors, width) = match config.precision.into() {
        Precision::F32 => (24.0, 4.0),
        Precision::Bf16 => (28.0, 2.0),
    };
    program
        + vectors * parameters as f64
        + width * config.model.activations_per_sample() as f64 * config.batch_size as f64
}
