//! A run's configuration: a plain value, resolved from a preset, a file and flags, and written into the run.

use crate::args::{ModelKind, PrecisionArg, TrainArgs};
use crate::{presets, reflow};
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use fm_app::objective_args::{FlowConfig, set};
use fm_app::optimizer_args::LearningConfig;
use fm_app::runtime::RuntimeConfig;
use fm_app::settings;
use fm_models::ModelConfig;
use fm_models::dit::DitConfig;
use fm_solvers::sampler::SolverName;
use serde::{Deserialize, Serialize};
use tch::Device;
use toml::{Table, Value};

/// Everything that decides what a run computes. The presets hold the defaults and their reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) preset: String,
    pub(crate) data: String,
    pub(crate) image_size: u32,
    /// Whether images are kept on the device.
    #[serde(default)]
    pub(crate) data_on_device: Keep,
    /// A teacher's pairs to learn instead of data; empty for data.
    #[serde(default)]
    pub(crate) pairs: String,
    /// The weights to start from; empty for fresh ones.
    #[serde(default)]
    pub(crate) init: String,
    /// The autoencoder in whose latent space the network works; empty for pixels.
    pub(crate) latent: String,
    /// What its vectors are multiplied by; 0 is replaced by one over their standard deviation when a run starts.
    pub(crate) latent_scale: f64,
    pub(crate) conditional: bool,
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    pub(crate) batch_size: usize,
    pub(crate) num_workers: usize,
    pub(crate) device: String,
    /// Of the network; `auto` is resolved when a run starts.
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

/// How this model is sampled unless one says otherwise.
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
    /// On a GPU, where they fit.
    #[default]
    Auto,
    /// On any device.
    Always,
    /// Batches bring them.
    Never,
}

/// What may change when a run is resumed; anything else would make it another run.
const MAY_CHANGE: [&str; 9] = [
    "steps",
    "num_workers",
    "device",
    "data_on_device",
    "save_every",
    "sample_every",
    "log_every",
    "keep_checkpoints",
    "sampling",
];

impl Config {
    /// Preset, then file, then flags.
    pub(crate) fn resolve(args: &TrainArgs) -> anyhow::Result<Self> {
        let file = args.config.as_deref().map(settings::read).transpose()?.unwrap_or_default();
        let named = match (&args.preset, file.get("preset")) {
            (Some(name), _) => Some(name.as_str()),
            (None, Some(Value::String(name))) => Some(name.as_str()),
            (None, Some(other)) => bail!("preset must be a name in quotes, not {other}"),
            (None, None) => None,
        };
        let base = match (&args.pairs, file.get("pairs").and_then(Value::as_str)) {
            (Some(pairs), _) => reflow::student(pairs, named)?,
            (None, Some(pairs)) if !pairs.is_empty() => reflow::student(pairs, named)?,
            _ => presets::preset(named.unwrap_or("quickstart"))?,
        };
        let mut config = Self::lay_over(base, file)?;
        config.apply(args);
        if config.init == "fresh" {
            config.init.clear();
        }
        if let Some(name) = &args.dit {
            let sizes = "S, B, L or XL with a patch from 1 to 8, as in S/2";
            config.model =
                ModelConfig::Dit(DitConfig::named(name).with_context(|| format!("--dit {name}: give {sizes}"))?);
        }
        ensure!(
            args.channels_last != Some(true) || matches!(config.model, ModelConfig::Unet(_)),
            "--channels-last is for the U-Net; a transformer has no convolutions to speak of"
        );
        Ok(config)
    }

    /// The configuration of a run that is resumed, with the flags that may still change.
    pub(crate) fn resume(saved: Self, args: &TrainArgs) -> anyhow::Result<Self> {
        let mut config = saved.clone();
        config.apply(args);
        settings::check_resumed(&saved, &config, &MAY_CHANGE)?;
        Ok(config)
    }

    fn lay_over(base: Self, mut file: Table) -> anyhow::Result<Self> {
        file.remove("preset");
        let mut base = base;
        // A file that chooses another kind of network starts from that kind's defaults.
        if let Some(kind) = file.get("model").and_then(|m| m.get("kind")).and_then(Value::as_str) {
            let kind = match kind {
                "unet" => ModelKind::Unet,
                "dit" => ModelKind::Dit,
                other => bail!("model.kind '{other}' is unknown; choose unet or dit"),
            };
            base.set_model(kind);
        }
        settings::lay_over(&base, file)
    }

    fn apply(&mut self, args: &TrainArgs) {
        set(&mut self.data, &args.data);
        set(&mut self.image_size, &args.image_size);
        set(&mut self.data_on_device, &args.data_on_device);
        set(&mut self.pairs, &args.pairs);
        set(&mut self.init, &args.init);
        set(&mut self.latent, &args.latent);
        set(&mut self.conditional, &args.conditional);
        args.flow.apply(&mut self.flow);
        set(&mut self.steps, &args.steps);
        set(&mut self.batch_size, &args.batch_size);
        args.learning.apply(&mut self.learning);
        set(&mut self.horizontal_flip, &args.horizontal_flip);
        set(&mut self.label_drop, &args.label_drop);
        set(&mut self.num_workers, &args.num_workers);
        set(&mut self.device, &args.device);
        set(&mut self.precision, &args.precision);
        args.runtime.apply(&mut self.runtime);
        set(&mut self.checkpoint_activations, &args.checkpoint_activations);
        set(&mut self.seed, &args.seed);
        set(&mut self.save_every, &args.save_every);
        set(&mut self.sample_every, &args.sample_every);
        set(&mut self.log_every, &args.log_every);
        set(&mut self.keep_checkpoints, &args.keep_checkpoints);
        if let Some(kind) = args.model {
            self.set_model(kind);
        }
        if let (ModelConfig::Unet(unet), Some(last)) = (&mut self.model, args.channels_last) {
            unet.channels_last = last;
        }
    }

    /// Switches the network's kind, to the size that suits the preset.
    fn set_model(&mut self, kind: ModelKind) {
        let now = if self.model.kind() == "dit" { ModelKind::Dit } else { ModelKind::Unet };
        if kind != now {
            self.model = presets::other_model(&self.preset, kind);
        }
    }

    /// Refuses what a device cannot do well.
    pub(crate) fn check_device(&self, device: Device) -> anyhow::Result<()> {
        let last = matches!(&self.model, ModelConfig::Unet(unet) if unet.channels_last);
        ensure!(
            !(last && device.is_cuda()),
            "cannot train with --channels-last true on CUDA: its GroupNorm copies the activations back to channels first; \
             use --channels-last false"
        );
        Ok(())
    }

    /// Checks what no type checks.
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
            reflow::check(self)?;
        }
        ensure!((0.0..=1.0).contains(&self.label_drop), "label_drop is {}: choose a share in [0, 1]", self.label_drop);
        ensure!(self.sampling.num_steps > 0, "sampling.num_steps is 0: give at least one");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
