//! The named starting points, each value with its reason.

use crate::config::{Config, Keep, ModelKind, PrecisionArg, Sampling};
use anyhow::bail;
use fm_app::cli::nearest;
use fm_app::couplings::CouplingKind;
use fm_app::objective_args::FlowConfig;
use fm_app::optimizer_args::LearningConfig;
use fm_app::runtime::RuntimeConfig;
use fm_models::ModelConfig;
use fm_models::dit::DitConfig;
use fm_models::embedding::{Divisor, Order, TimeEmbedding};
use fm_models::layers::Activation;
use fm_models::unet::UNetConfig;
use fm_solvers::sampler::SolverName;
use fm_train::optimizer::OptimizerConfig;
use fm_train::schedule::Decay;

pub(crate) const NAMES: [&str; 5] = ["quickstart", "cifar10-tiny", "cifar10-unet", "cifar10-dit", "guide"];

pub(crate) fn preset(name: &str) -> anyhow::Result<Config> {
    Ok(match name {
        "quickstart" => quickstart(),
        "cifar10-tiny" => cifar10_tiny(),
        "cifar10-unet" => cifar10_unet(),
        "cifar10-dit" => cifar10_dit(),
        "guide" => guide(),
        other => {
            let hint = nearest(other, NAMES).unwrap_or_default();
            bail!("no preset is called '{other}'; did you mean '{hint}'? There are {}", NAMES.join(", "))
        }
    })
}

/// The unconditional CIFAR-10 U-Net that reached FID 3.5 with OT-CFM (Tong et al.; reruns 3.74 to 3.8): 35.7M parameters, Adam at
/// 2e-4 with 5,000 warm-up steps and then constant, batch 128, clip 1, EMA .9999, dropout .1, flips, 400,000 steps. Raw t, as
/// torchcfm embeds it.
fn cifar10_unet() -> Config {
    Config {
        preset: "cifar10-unet".into(),
        data: "cifar10".into(),
        image_size: 32,
        data_on_device: Keep::Auto,
        pairs: String::new(),
        init: String::new(),
        latent: String::new(),
        latent_scale: 0.0,
        conditional: false,
        seed: 0,
        steps: 400_000,
        batch_size: 128,
        num_workers: 2,
        device: "auto".into(),
        precision: PrecisionArg::Auto,
        runtime: RuntimeConfig::default(),
        checkpoint_activations: false,
        horizontal_flip: true,
        label_drop: 0.1,
        flow: FlowConfig { coupling: CouplingKind::Exact, ..FlowConfig::default() },
        learning: LearningConfig {
            lr: 2e-4,
            warmup_steps: 5000,
            decay: Decay::Constant,
            ema_decay: vec![0.9999],
            ..LearningConfig::default()
        },
        save_every: 5000,
        sample_every: 1000,
        log_every: 100,
        keep_checkpoints: 3,
        sampling: Sampling { solver: SolverName::Euler, num_steps: 50, cfg_scale: 3.0 },
        model: ModelConfig::Unet(UNetConfig::default()),
    }
}

/// The image guide's transformer: 768 x 12 x 12, 2x2 patches, batch 128, 1e-4, 100,000 steps, label drop .1, guidance 3.
fn cifar10_dit() -> Config {
    Config {
        preset: "cifar10-dit".into(),
        conditional: true,
        steps: 100_000,
        flow: FlowConfig::default(),
        learning: LearningConfig { lr: 1e-4, warmup_steps: 1000, ..cifar10_unet().learning },
        sampling: Sampling { solver: SolverName::Euler, num_steps: 50, cfg_scale: 3.0 },
        model: ModelConfig::Dit(DitConfig::default()),
        ..cifar10_unet()
    }
}

/// The training guide's U-Net: width 64, multiples 1, 2, 4, 8, a GELU between the layers of a [sin, cos] time embedding with half - 1,
/// and FiLM; AdamW at 2e-4 with decay .01, cosine, 1,000 warm-up steps, batch 128, EMA .9999.
fn guide() -> Config {
    Config {
        preset: "guide".into(),
        conditional: true,
        steps: 100_000,
        flow: FlowConfig::default(),
        learning: LearningConfig {
            warmup_steps: 1000,
            decay: Decay::Cosine,
            optimizer: OptimizerConfig { weight_decay: 0.01, ..OptimizerConfig::default() },
            ..cifar10_unet().learning
        },
        model: ModelConfig::Unet(UNetConfig {
            channels: 64,
            channel_mult: vec![1, 2, 4, 8],
            attention_at: vec![2, 4],
            scale_shift_norm: true,
            time: TimeEmbedding { order: Order::SinCos, divisor: Divisor::HalfMinusOne, ..TimeEmbedding::default() },
            time_activation: Activation::Gelu,
            ..UNetConfig::default()
        }),
        ..cifar10_unet()
    }
}

/// Small enough to see CIFAR-10 colours and shapes appear on a CPU: 1.1M parameters, about a step a second on
/// two cores.
fn cifar10_tiny() -> Config {
    Config {
        preset: "cifar10-tiny".into(),
        conditional: true,
        steps: 5000,
        batch_size: 64,
        flow: FlowConfig::default(),
        learning: LearningConfig { lr: 5e-4, warmup_steps: 500, ema_decay: vec![0.999], ..cifar10_unet().learning },
        log_every: 20,
        sampling: Sampling { solver: SolverName::Euler, num_steps: 50, cfg_scale: 3.0 },
        model: ModelConfig::Unet(UNetConfig {
            channels: 32,
            channel_mult: vec![1, 2, 2],
            res_blocks: 1,
            attention_at: vec![4],
            head_channels: 32,
            dropout: 0.0,
            time: TimeEmbedding::default(),
            ..UNetConfig::default()
        }),
        ..cifar10_unet()
    }
}

/// Digits in about five minutes of two CPU cores.
fn quickstart() -> Config {
    Config {
        preset: "quickstart".into(),
        data: "digits".into(),
        image_size: 8,
        steps: 2500,
        batch_size: 64,
        // A mirrored digit is not a digit.
        horizontal_flip: false,
        num_workers: 1,
        learning: LearningConfig { lr: 1e-3, decay: Decay::Cosine, warmup_steps: 200, ..cifar10_tiny().learning },
        log_every: 25,
        save_every: 500,
        sample_every: 500,
        sampling: Sampling { solver: SolverName::Euler, num_steps: 50, cfg_scale: 1.5 },
        model: ModelConfig::Unet(UNetConfig {
            channels: 32,
            channel_mult: vec![1, 2],
            res_blocks: 1,
            attention_at: vec![2],
            head_channels: 32,
            dropout: 0.1,
            time: TimeEmbedding::default(),
            ..UNetConfig::default()
        }),
        ..cifar10_tiny()
    }
}

/// The network of the other kind, in the size that suits a preset.
pub(crate) fn other_model(preset: &str, kind: ModelKind) -> ModelConfig {
    let large = matches!(preset, "cifar10-unet" | "cifar10-dit" | "guide");
    match (kind, large) {
        (ModelKind::Unet, true) => ModelConfig::Unet(UNetConfig::default()),
        (ModelKind::Dit, true) => ModelConfig::Dit(DitConfig::default()),
        (ModelKind::Unet, false) => cifar10_tiny().model,
        (ModelKind::Dit, false) => {
            ModelConfig::Dit(DitConfig { width: 128, depth: 4, heads: 4, ..DitConfig::default() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted by torchcfm's `UNetModel` and published for the others; without classes.
    #[test]
    fn presets_have_the_sizes_that_they_name() {
        for (name, count) in [("cifar10-unet", 35_746_307), ("guide", 59_721_283)] {
            assert_eq!(preset(name).unwrap().model.parameters().unwrap(), count, "{name}");
        }
        for name in NAMES {
            let config = preset(name).unwrap();
            assert_eq!(config.preset, name);
            config.validate().unwrap();
            config.model.parameters().unwrap();
        }
    }
}
