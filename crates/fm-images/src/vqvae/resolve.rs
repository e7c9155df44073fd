//! The configuration of an autoencoder run, from a file and flags, or from the resumed run.

use super::AutoencoderArgs;
use super::config::Config;
use crate::data;
use anyhow::{Context, ensure};
use fm_cli::every::Every;
use fm_cli::{options, settings};
use fm_train::run_dir::latest_checkpoint;

/// Settings that may change when a run is resumed.
const MAY_CHANGE: [&str; 6] = ["steps", "num_workers", "device", "save_every", "sample_every", "log_every"];

impl Config {
    pub(super) fn resolve(args: &AutoencoderArgs) -> anyhow::Result<Self> {
        let saved =
            args.resume.then(|| latest_checkpoint(&args.out).context("there is nothing to resume")).transpose()?;
        let base = match &saved {
            Some((path, meta, _)) => serde_json::from_value(meta.config.clone())
                .with_context(|| format!("{} is no autoencoder's; give the --out of an autoencoder", path.display()))?,
            None => {
                let file = args.config.as_deref().map(settings::read).transpose()?.unwrap_or_default();
                settings::lay_over(&Self::default(), file)?
            }
        };
        let base: Self = base;
        let mut config: Self = settings::lay_over(&base, options::table(&args.options)?)?;
        config.data = data::at_size(&config.data, args.options.image_size);
        if saved.is_some() {
            settings::check_resumed(&base, &config, &MAY_CHANGE)?;
        }
        ensure!(config.steps > 0 && config.batch_size > 0, "steps or batch_size is 0; both must be at least 1");
        ensure!(config.log_every != Every::Steps(0), "log_every is 0; give at least 1");
        ensure!(config.lr > 0.0 && config.lr.is_finite(), "lr is {}; choose a learning rate above 0 (--lr)", config.lr);
        Ok(config)
    }
}
