//! The configuration of a run, from a preset, a file and flags.

use crate::args::TrainArgs;
use crate::config::Config;
use crate::{presets, reflow};
use anyhow::{Context, bail, ensure};
use fm_app::objective_args::set;
use fm_app::settings;
use fm_models::ModelConfig;
use fm_models::dit::DitConfig;
use toml::Value;

/// Settings that may change when a run is resumed; a change of any other setting makes a different
/// run.
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
        let mut config = presets::lay_over(base, file)?;
        config.apply(args)?;
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

    /// The configuration of a resumed run, with the flags that may change.
    pub(crate) fn resume(saved: Self, args: &TrainArgs) -> anyhow::Result<Self> {
        let mut config = saved.clone();
        config.apply(args)?;
        settings::check_resumed(&saved, &config, &MAY_CHANGE)?;
        Ok(config)
    }

    fn apply(&mut self, args: &TrainArgs) -> anyhow::Result<()> {
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
            presets::set_model(self, kind)?;
        }
        if let (ModelConfig::Unet(unet), Some(last)) = (&mut self.model, args.channels_last) {
            unet.channels_last = last;
        }
        Ok(())
    }
}
