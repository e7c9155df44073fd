//! Configuration of a run: plain values that are stored in the run directory.

use crate::networks::ModelKind;
use anyhow::{Context, ensure};
use clap::ValueEnum;
use fm_cli::every::Every;
use fm_core::path::PathKind;
use fm_models::ModelConfig;
use fm_models::unet::UNetConfig;
use fm_ot::CouplingKind;
use fm_run::guidance::Guide;
use fm_run::objective_args::{FlowArgs, FlowConfig};
use fm_run::optimizer_args::{LearningArgs, LearningConfig};
use fm_run::runtime::{RuntimeArgs, RuntimeConfig};
use fm_solvers::Sampler;
use fm_solvers::guidance::GuidanceRule;
use fm_solvers::sampler::SolverName;
use fm_train::flat::Precision;
use fm_train::flow_map::TaskKind;
use serde::{Deserialize, Serialize};
use tch::Device;

fm_cli::options! {
    /// All settings that affect the results of a run. The presets (`presets/`) contain values and
    /// their reasons.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub(crate) struct Config, flags ConfigArgs {
        "Data" {
            /// Training images: digits (embedded), cifar10 (fetched if missing) or cifar10:DIR
            /// (binary batches), cifar10-test, folder:DIR (a subfolder per class), IMAGES.npy or
            /// IMAGES.npy,LABELS.npy.
            data: String = "digits".into();
            /// Height and width to which images are resized and cropped: those of folder:DIR, and
            /// with this flag, or as NAME@PIXELS, all others.
            image_size: u32 = 32, arg(value_name = "PIXELS");
            /// Keep the images in device memory instead of copying each batch; auto does so on a
            /// GPU if they take at most 2 GiB. The results are identical. Latents and pairs are
            /// always copied.
            data_on_device: Keep = Keep::Auto, arg(value_name = "WHEN", hide = true);
            /// Train on a teacher's pairs, written by `cifar-train reflow pairs`, instead of data.
            /// If no preset is named, all other options default to the teacher's.
            pairs: String = String::new(), arg(value_name = "DIR");
            /// Share of the images held out from training, for --validate-every.
            hold_out: f64 = 0.0, arg(value_name = "SHARE", hide = true);
            /// Mirror images left to right at random.
            horizontal_flip: bool = true, arg(value_name = "BOOL");
            /// Pad images by reflection and cut out a window of their size at random.
            random_crop: usize = 0, arg(value_name = "PADDING", hide = true);
            /// Rotate images by random angles up to this one; outside they are black.
            random_rotation: f64 = 0.0, arg(value_name = "DEGREES", hide = true);
            /// Move images by random numbers of pixels up to this one; outside they are black.
            random_translation: usize = 0, arg(value_name = "PIXELS", hide = true);
        }
        "Network" {
            /// Start from the weights of a run, a checkpoint or a file; `fresh` starts from random
            /// weights (default: fresh, with --pairs the teacher's weights).
            init: String = String::new(), arg(value_name = "PATH");
            /// Train in the latent space of an autoencoder, a run of `cifar-train vqvae`.
            latent: String = String::new(), arg(value_name = "DIR");
            /// Condition the network on class labels.
            conditional: bool = false, arg(value_name = "BOOL");
            /// Probability of replacing a label by the null label (for classifier-free guidance).
            label_drop: f64 = 0.1, arg(value_name = "SHARE");
        }
        "Optimization" {
            /// Total number of training steps.
            steps: u64 = 10_000, arg(conflicts_with = "epochs");
            /// Images per step, over all processes.
            batch_size: usize = 128;
        }
        "Hardware" {
            /// Threads that prefetch batches and solve their couplings; 0 does both in the training
            /// loop. The results are identical.
            num_workers: usize = 2, arg(value_name = "N", hide = true);
            /// Device: auto (CUDA if it works, else the CPU), cpu, cuda or cuda:N.
            device: String = "auto".into();
            /// Precision of the network's computations; weights, EMA and normalisation layers are
            /// always f32. A run stores what `auto` was resolved to.
            precision: PrecisionArg = PrecisionArg::Auto;
            /// Recompute activations in the backward pass instead of storing them: less memory,
            /// more time.
            checkpoint_activations: bool = false, arg(value_name = "BOOL", hide = true);
        }
        "Run" {
            /// Random seed.
            seed: u64 = 0;
        }
        "Output" {
            /// Steps between checkpoints, or epochs (10e); 0 saves only at the end.
            save_every: Every = Every::Steps(5000), arg(value_name = "STEPS");
            /// Steps between sample grids; 0 draws none.
            sample_every: Every = Every::Steps(1000), arg(value_name = "STEPS");
            /// Steps between lines of metrics.jsonl.
            log_every: Every = Every::Steps(100), arg(value_name = "STEPS", hide = true);
            /// Number of newest checkpoints to keep; 0 keeps all.
            keep_checkpoints: usize = 3, arg(value_name = "N", hide = true);
        }
        also {
            preset: String = String::new();
            /// Factor on the latent vectors; 0 is replaced by one over their standard deviation
            /// when a run starts.
            latent_scale: f64 = 0.0;
            sampling: Sampling = Sampling::default();
        }
        flatten {
            runtime: RuntimeConfig, RuntimeArgs = RuntimeConfig::default();
            learning: LearningConfig, LearningArgs = LearningConfig::default();
            flow: FlowConfig, FlowArgs = FlowConfig::default();
        }
        nested {
            model: ModelConfig, ModelArgs = ModelConfig::Unet(UNetConfig::default());
        }
    }
}

fm_cli::options! {
    pub(crate) flags ModelArgs of ModelConfig {
        "Network" {
            /// Type of the network. If it differs from the preset's, its size is chosen to match
            /// the preset.
            model: ModelKind as "model.kind";
            /// Store the U-Net's activations with channels last, on the CPU only. The result is the
            /// same.
            channels_last: bool as "model.channels_last", arg(value_name = "BOOL", hide = true);
            /// Let this number of last blocks of a DiT that learns a flow map see the end of an
            /// interval instead of its start. The map then has the parameters of a flow.
            decoder_blocks: i64 as "model.decoder_blocks", arg(value_name = "N", hide = true);
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
    /// The rule of guidance.
    #[serde(default)]
    pub(crate) guidance: GuidanceRule,
    /// The share of the guided velocity that is rescaled.
    #[serde(default)]
    pub(crate) cfg_rescale: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        let (solver, guidance) = (SolverName::Euler, GuidanceRule::default());
        Self { solver, num_steps: 50, cfg_scale: 3.0, guidance, cfg_rescale: 0.0 }
    }
}

impl Sampling {
    /// The guidance of a model with a null class.
    pub(crate) fn guide(&self) -> Guide {
        Guide { rule: self.guidance, rescale: self.cfg_rescale, ..Guide::of_scale(self.cfg_scale) }
    }
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

impl Keep {
    /// Whether to keep them, if that is given.
    pub(crate) fn given(self) -> Option<bool> {
        match self {
            Self::Auto => None,
            given => Some(given == Self::Always),
        }
    }
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
        ensure!(self.steps > 0, "steps is 0; give at least one (--steps)");
        ensure!(self.batch_size > 0, "batch_size is 0; give at least one image per step (--batch-size)");
        ensure!(self.log_every != Every::Steps(0), "log_every is 0; give at least 1 (--log-every)");
        ensure!(
            (1..=4096).contains(&self.image_size),
            "image_size is {}; choose 1 to 4096 (--image-size)",
            self.image_size
        );
        ensure!(self.num_workers <= 64, "num_workers is {}; choose at most 64 (--num-workers)", self.num_workers);
        ensure!(
            (0.0..1.0).contains(&self.hold_out),
            "hold_out is {}; choose a share in [0, 1) (--hold-out)",
            self.hold_out
        );
        self.learning.validate(self.flow.excess_loss, self.flow.coupling != CouplingKind::Independent)?;
        ensure!(
            self.flow.task == TaskKind::Flow || !self.checkpoint_activations,
            "the activations of a flow map are not recomputed; drop --checkpoint-activations, or give a --micro-batch-size"
        );
        let decodes = matches!(&self.model, ModelConfig::Dit(dit) if dit.decoder_blocks > 0);
        ensure!(
            self.flow.task != TaskKind::Flow || !decodes,
            "model.decoder_blocks has no effect on a flow, which has no intervals; give --task split, or --decoder-blocks 0"
        );
        self.flow.ensure_guidable(self.conditional && self.label_drop > 0.0)?;
        if !self.pairs.is_empty() {
            self.check_pairs()?;
        }
        ensure!(
            (0.0..=1.0).contains(&self.label_drop),
            "label_drop is {}; choose a share in [0, 1] (--label-drop)",
            self.label_drop
        );
        self.check_augmentation()?;
        ensure!(self.sampling.num_steps > 0, "sampling.num_steps is 0; give at least one");
        let scale = self.sampling.cfg_scale;
        ensure!(scale.is_finite(), "sampling.cfg_scale is {scale}; give a finite number, 1 for no guidance");
        let rescale = self.sampling.cfg_rescale;
        ensure!((0.0..=1.0).contains(&rescale), "sampling.cfg_rescale is {rescale}; give a share from 0 to 1");
        if self.model.null_class().is_some() {
            let sampler = Sampler::fixed(self.sampling.solver, self.sampling.num_steps);
            self.sampling.guide().options(&sampler, &self.flow.objective).context("cannot use sampling.guidance")?;
        }
        Ok(())
    }

    /// Whether images are cropped, rotated or moved.
    pub(crate) fn augments(&self) -> bool {
        self.random_crop > 0 || self.random_rotation != 0.0 || self.random_translation > 0
    }

    /// Rejects settings that are incompatible with crops, rotations and translations.
    fn check_augmentation(&self) -> anyhow::Result<()> {
        ensure!(
            (0.0..=180.0).contains(&self.random_rotation),
            "random_rotation is {}; choose 0 to 180 degrees (--random-rotation)",
            self.random_rotation
        );
        if !self.augments() {
            return Ok(());
        }
        ensure!(
            self.latent.is_empty() && self.pairs.is_empty(),
            "latents and pairs are made before the training, so their images cannot be augmented; \
             drop --random-crop, --random-rotation and --random-translation"
        );
        ensure!(
            self.data_on_device != Keep::Always,
            "augmented images are made on the CPU; use --data-on-device never, or drop --random-crop, --random-rotation \
             and --random-translation"
        );
        ensure!(!self.flow.excess_loss, "the least loss on augmented images is not known; drop --excess-loss");
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
        ensure!(self.hold_out == 0.0, "pairs of a teacher are not held out; drop --hold-out");
        ensure!(
            self.learning.quality_every == Every::Steps(0),
            "quality_every is {}: a run on pairs has no data to compare samples with; drop --quality-every",
            self.learning.quality_every
        );
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
