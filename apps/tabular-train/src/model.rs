//! A model read back from a checkpoint.

use crate::config::Config;
use crate::table::{Columns, open_source};
use crate::train::Saved;
use anyhow::Context;
use fm_core::source::Source;
use fm_core::tensor::VelocityModel;
use fm_models::ModelConfig;
use fm_train::checkpoint::{Weights, read_weights};
use fm_train::flat::{FlatParams, Precision};
use fm_train::run_dir::latest_checkpoint;
use std::path::Path;
use tch::{Device, nn};

pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) columns: Columns,
    pub(crate) source: Source,
    pub(crate) model: Box<dyn VelocityModel>,
    pub(crate) device: Device,
    pub(crate) step: u64,
    _store: nn::VarStore,
}

impl Loaded {
    pub(crate) fn dim(&self) -> usize {
        self.columns.mean.len()
    }
}

/// The averaged weights of a checkpoint, or of the newest good one of a run.
pub(crate) fn load(checkpoint: &Path, device: &str) -> anyhow::Result<Loaded> {
    let device = fm_app::device::select(device)?;
    let (path, meta, damaged) = latest_checkpoint(checkpoint)?;
    damaged.iter().for_each(|problem| eprintln!("warning: {problem}"));
    let saved: Saved = serde_json::from_value(meta.config)
        .with_context(|| format!("{} was not written by tabular-train", path.display()))?;
    let Saved { run: mut config, columns } = saved;
    // The name in a checkpoint is measured already.
    let source = open_source(&mut config, &columns, || 0.0)?;
    let store = nn::VarStore::new(device);
    let model = ModelConfig::Mlp(config.model(columns.mean.len())).build(&store.root())?;
    let mut params = FlatParams::new(&store, Precision::F32);
    let weights = params.join(read_weights(&path, Weights::Ema)?)?;
    params.set_master(&weights);
    Ok(Loaded { config, columns, source, model, device, step: meta.step, _store: store })
}
