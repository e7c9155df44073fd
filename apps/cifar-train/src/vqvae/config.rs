//! Configuration of an autoencoder run: defaults, overridden by a file, overridden by flags.

use crate::args::AutoencoderArgs;
use anyhow::{Context, ensure};
use fm_app::objective_args::set;
use fm_app::settings;
use fm_models::vqvae::VqVaeConfig;
use fm_train::run_dir::latest_checkpoint;
use serde::{Deserialize, Serialize};

/// All settings that affect the results of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) data: String,
    pub(crate) image_size: u32,
    pub(crate) horizontal_flip: bool,
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    pub(crate) batch_size: usize,
    pub(crate) lr: f64,
    pub(crate) warmup_steps: u64,
    pub(crate) num_workers: usize,
    pub(crate) device: String,
    pub(crate) log_every: u64,
    pub(crate) save_every: u64,
    pub(crate) sample_every: u64,
    pub(crate) model: VqVaeConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "digits".into(),
            image_size: 32,
            horizontal_flip: false,
            seed: 0,
            steps: 2000,
            batch_size: 64,
            lr: 1e-3,
            warmup_steps: 100,
            num_workers: 1,
            device: "auto".into(),
            log_every: 50,
            save_every: 500,
            sample_every: 500,
            model: VqVaeConfig::default(),
        }
    }
}

impl Config {
    pub(crate) fn resolve(args: &AutoencoderArgs) -> anyhow::Result<Self> {
        let saved =
            args.resume.then(|| latest_checkpoint(&args.out).context("there is nothing to resume")).transpose()?;
        let base = match &saved {
            Some((path, meta, _)) => serde_json::from_value(meta.config.clone())
                .with_context(|| format!("{} is no autoencoder's", path.display()))?,
            None => {
                let file = args.config.as_deref().map(settings::read).transpose()?.unwrap_or_default();
                settings::lay_over(&Self::default(), file)?
            }
        };
        let mut config: Self = base;
        let before = config.clone();
        config.apply(args);
        if saved.is_some() {
            settings::check_resumed(
                &before,
                &config,
                &["steps", "num_workers", "device", "save_every", "sample_every"],
            )?;
        }
        ensure!(config.steps > 0 && config.batch_size > 0, "steps and batch_size must be at least 1");
        ensure!(config.log_every > 0, "log_every is 0: give at least 1");
        ensure!(config.lr > 0.0 && config.lr.is_finite(), "lr is {}: choose a learning rate above 0 (--lr)", config.lr);
        Ok(config)
    }

    fn apply(&mut self, args: &AutoencoderArgs) {
        set(&mut self.data, &args.data);
        set(&mut self.image_size, &args.image_size);
        set(&mut self.horizontal_flip, &args.horizontal_flip);
        set(&mut self.seed, &args.seed);
        set(&mut self.steps, &args.steps);
        set(&mut self.batch_size, &args.batch_size);
        set(&mut self.lr, &args.lr);
        set(&mut self.device, &args.device);
        set(&mut self.save_every, &args.save_every);
        set(&mut self.sample_every, &args.sample_every);
        set(&mut self.model.channels, &args.channels);
        set(&mut self.model.channel_mult, &args.channel_mult);
        set(&mut self.model.codebook.codes, &args.codes);
        set(&mut self.model.codebook.dim, &args.code_dim);
        set(&mut self.model.commitment, &args.commitment);
    }
}
