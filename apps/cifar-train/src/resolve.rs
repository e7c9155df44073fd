//! The configuration of a run, from a preset, a file and flags.

use crate::args::TrainArgs;
use crate::config::Config;
use crate::networks::ModelKind;
use crate::{presets, reflow};
use anyhow::{Context, bail, ensure};
use fm_cli::{options, settings};
use fm_images::data;
use fm_images::training_data::DataOptions;
use fm_models::ModelConfig;
use fm_models::dit::DitConfig;
use toml::Value;

/// Settings that may change when a run is resumed; a change of any other setting makes a different
/// run.
pub(crate) const MAY_CHANGE: [&str; 9] = [
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
            (None, Some(other)) => bail!("preset is {other}; give a name in quotes"),
            (None, None) => None,
        };
        let pairs = args.options.pairs.as_deref().or(file.get("pairs").and_then(Value::as_str));
        let base = match pairs {
            Some(pairs) if !pairs.is_empty() => reflow::student(pairs, named)?,
            _ => presets::preset(named.unwrap_or(presets::DEFAULT))?,
        };
        let scaled = file.get("sampling").and_then(|table| table.get("cfg_scale")).is_some();
        let sized = args.options.image_size.is_some() || file.contains_key("image_size");
        let known = base.data.clone();
        let mut config = presets::lay_over(base, file)?.with_flags(args)?;
        if !sized && config.data != known {
            config.image_size = data::own_size(&config.data)?.unwrap_or(config.image_size);
        }
        if config.pairs.is_empty() {
            config.data = data::at_size(&config.data, args.options.image_size);
        }
        if config.flow.task.is_guided() && !scaled {
            // The network learns the guided flow.
            config.sampling.cfg_scale = 1.0;
        }
        if config.init == "fresh" {
            config.init.clear();
        }
        if let Some(name) = &args.dit {
            let sizes = "S, B, L or XL with a patch from 1 to 8, as in S/2, or guide";
            let named = if name == "guide" { Some(DitConfig::guide()) } else { DitConfig::named(name) };
            let named = named.with_context(|| format!("--dit {name} has no such size; give {sizes}"))?;
            let decoder_blocks = args.options.model.decoder_blocks.unwrap_or_default();
            config.model = ModelConfig::Dit(DitConfig { decoder_blocks, ..named });
        }
        Ok(config)
    }

    /// The configuration of a resumed run, with the flags that may change.
    pub(crate) fn resume(saved: Self, args: &TrainArgs) -> anyhow::Result<Self> {
        let config = saved.clone().with_flags(args)?;
        settings::check_resumed(&saved, &config, &MAY_CHANGE)?;
        Ok(config)
    }

    /// What the run wants of its data.
    pub(crate) fn data_options(&self) -> DataOptions {
        DataOptions {
            data: self.data.clone(),
            image_size: self.image_size,
            pairs: self.pairs.clone(),
            latent: self.latent.clone(),
            latent_scale: self.latent_scale,
            hold_out: self.hold_out,
            mirror: self.horizontal_flip,
            crop: self.random_crop,
            rotation: self.random_rotation,
            translation: self.random_translation,
            seed: self.seed,
        }
    }

    fn with_flags(self, args: &TrainArgs) -> anyhow::Result<Self> {
        let (flags, network) = (&args.options, &args.options.model);
        let convolutional = match network.model {
            Some(kind) => kind == ModelKind::Unet,
            None => matches!(self.model, ModelConfig::Unet(_)) && args.dit.is_none(),
        };
        ensure!(
            network.channels_last.is_none() || convolutional,
            "--channels-last is for the U-Net: a transformer has no convolutions; drop it, or use --model unet"
        );
        let transformer = match network.model {
            Some(kind) => kind == ModelKind::Dit,
            None => matches!(self.model, ModelConfig::Dit(_)) || args.dit.is_some(),
        };
        ensure!(
            network.decoder_blocks.is_none() || transformer,
            "--decoder-blocks is for the DiT: a U-Net has no sequence of blocks; drop it, or use --model dit"
        );
        let mut given = options::table(flags)?;
        // The network of --dit replaces this one.
        if let Some(Value::Table(model)) = given.get_mut("model").filter(|_| args.dit.is_some()) {
            model.remove("decoder_blocks");
        }
        given.extend(options::table(&args.aliases)?);
        presets::lay_over(self, given)
    }
}
