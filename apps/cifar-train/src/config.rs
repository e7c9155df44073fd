//! Configuration of a run: plain values that are stored in the run directory.

use anyhow::ensure;
use clap::ValueEnum;
use fm_app::couplings::CouplingKind;
use fm_app::objective_args::FlowConfig;
use fm_app::optimizer_args::LearningConfig;
use fm_app::runtime::RuntimeConfig;
use fm_core::path::PathKind;
use fm_models::ModelConfig;
use fm_models::unet::UNetConfig;
use fm_solvers::sampler::SolverName;
use fm_train::flat::Precision;
use serde::{Deserialize, Serialize};
use tch::Device;

/// All settings that affect the results of a run. The presets (`presets/`) contain values and their
/// reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) preset: String,
    pub(crate) data: String,
    pub(crate) image_size: u32,
    /// Whether images are kept on the device.
    #[serde(default)]
    pub(crate) data_on_device: Keep,
    /// Directory of a teacher's pairs to train on; empty to train on data.
    #[serde(default)]
    pub(crate) pairs: String,
    /// Initial weights; empty for random ones.
    #[serde(default)]
    pub(crate) init: String,
    /// The autoencoder whose latent space the network works in; empty for pixels.
    pub(crate) latent: String,
    /// Factor on the latent vectors; 0 is replaced by one over their standard deviation when a run
    /// starts.
    pub(crate) latent_scale: f64,
    pub(crate) conditional: bool,
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    pub(crate) batch_size: usize,
    pub(crate) num_workers: usize,
    pub(crate) device: String,
    /// Precision of the network; `auto` is resolved when a run starts.
    pub(crate) precision: PrecisionArg,
    pub(crate) checkpoint_activations: bool,
    pub(crate) horizontal_flip: bool,
    pub(crate) label_drop: f64,
    pub(crate) save_every: u64,
    pub(crate) sample_every: u64,
    pub(crate) log_every: u64,
    pub(crate) keep_checkpoints: usize,
    #[serde(flatten)]
    pub(crate) runtime: RuntimeConfig,
    #[serde(flatten)]
    pub(crate) flow: FlowConfig,
    #[serde(flatten)]
    pub(crate) learning: LearningConfig,
    pub(crate) sampling: Sampling,
    pub(crate) model: ModelConfig,
}

impl Default for Config {
    /// Values that a preset file does not set.
    fn default() -> Self {
        Self {
            preset: String::new(),
            data: "digits".into(),
            image_size: 32,
            data_on_device: Keep::Auto,
            pairs: String::new(),
            init: String::new(),
            latent: String::new(),
            latent_scale: 0.0,
            conditional: false,
            seed: 0,
            steps: 10_000,
            batch_size: 128,
            num_workers: 2,
            device: "auto".into(),
            precision: PrecisionArg::Auto,
            runtime: RuntimeConfig::default(),
            checkpoint_activations: false,
            horizontal_flip: true,
            label_drop: 0.1,
            flow: FlowConfig::default(),
            learning: LearningConfig::default(),
            save_every: 5000,
            sample_every: 1000,
            log_every: 100,
            keep_checkpoints: 3,
            sampling: Sampling { solver: SolverName::Euler, num_steps: 50, cfg_scale: 3.0 },
            model: ModelConfig::Unet(UNetConfig::default()),
        }
    }
}

/// Default settings for sampling this model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sampling {
    pub(crate) solver: SolverName,
    pub(crate) num_steps: usize,
    pub(crate) cfg_scale: f64,
}

/// When images are kept on the device as bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Keep {
    /// On a GPU, if they take at most 2 GiB.
    #[default]
    Auto,
    /// On any device.
    Always,
    /// On no device: each batch is copied.
    Never,
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
    /// bfloat16.
    Bf16,
}

impl PrecisionArg {
    /// Resolves `auto` for a device. The run stores the result, so it resumes in the same precision
    /// on any device.
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

impl Config {
    /// Rejects settings that the device cannot run well.
    pub(crate) fn check_device(&self, device: Device) -> anyhow::Result<()> {
        let last = matches!(&self.model, ModelConfig::Unet(unet) if unet.channels_last);
        ensure!(
            !(last && device.is_cuda()),
            "cannot train with --channels-last true on CUDA: its GroupNorm copies the activations back to channels first; \
             use --channels-last false"
        );
        Ok(())
    }

    /// Checks what the types do not.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.steps > 0, "steps is 0: give at least one (--steps)");
        ensure!(self.batch_size > 0, "batch_size is 0: give at least one image a step (--batch-size)");
        ensure!(self.log_every > 0, "log_every is 0: give at least 1 (--log-every)");
        ensure!(
            (1..=4096).contains(&self.image_size),
            "image_size is {}: choose 1 to 4096 (--image-size)",
            self.image_size
        );
        ensure!(self.num_workers <= 64, "num_workers is {}: choose at most 64 (--num-workers)", self.num_workers);
        self.learning.validate()?;
        if !self.pairs.is_empty() {
            self.check_pairs()?;
        }
        ensure!((0.0..=1.0).contains(&self.label_drop), "label_drop is {}: choose a share in [0, 1]", self.label_drop);
        ensure!(self.sampling.num_steps > 0, "sampling.num_steps is 0: give at least one");
        Ok(())
    }

    /// Rejects settings that are incompatible with pairs.
    fn check_pairs(&self) -> anyhow::Result<()> {
        let (flow, path) = (&self.flow, self.flow.objective.path);
        ensure!(path == PathKind::Linear, "pairs are joined by lines, and the path is {path}; choose --path linear");
        ensure!(
            flow.coupling == CouplingKind::Independent,
            "noise and samples of pairs belong together, and the coupling is {}; choose --coupling independent",
            flow.coupling
        );
        ensure!(!self.horizontal_flip, "pairs cannot be mirrored; drop --horizontal-flip");
        ensure!(self.label_drop == 0.0, "labels of pairs are not dropped; leave --label-drop at 0");
        ensure!(!flow.excess_loss, "the least loss on pairs is not known; drop --excess-loss");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets;

    #[test]
    fn channels_last_is_refused_on_cuda_only() {
        let mut config = presets::preset("quickstart").unwrap();
        assert!(config.check_device(Device::Cuda(0)).is_ok());
        if let ModelConfig::Unet(unet) = &mut config.model {
            unet.channels_last = true;
        }
        assert!(config.check_device(Device::Cpu).is_ok());
        let refused = config.check_device(Device::Cuda(0)).unwrap_err().to_string();
        assert!(refused.contains("--channels-last false") && !refused.contains('\n'), "{refused}");
    }
}
