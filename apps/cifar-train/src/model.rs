//! A model read back from a checkpoint.

use crate::config::Config;
use crate::data;
use anyhow::{Context, ensure};
use fm_core::source::Source;
use fm_core::tensor::VelocityModel;
use fm_data::ImageSet;
use fm_train::checkpoint::{self, Meta, Weights};
use fm_train::flat::FlatParams;
use fm_train::run_dir::latest_checkpoint;
use std::path::{Path, PathBuf};
use tch::{Device, nn};

pub(crate) struct Loaded {
    pub(crate) path: PathBuf,
    pub(crate) meta: Meta,
    pub(crate) config: Config,
    pub(crate) source: Source,
    pub(crate) model: Box<dyn VelocityModel>,
    pub(crate) device: Device,
    _store: nn::VarStore,
}

pub(crate) fn load(checkpoint: &Path, raw_weights: bool, device: &str) -> anyhow::Result<Loaded> {
    let device = fm_app::device::select(device)?;
    let (path, meta, damaged) = latest_checkpoint(checkpoint)?;
    damaged.iter().for_each(|problem| eprintln!("warning: {problem}"));
    let mut config: Config = serde_json::from_value(meta.config.clone())
        .with_context(|| format!("{} was not written by cifar-train", path.display()))?;
    // The name in a checkpoint is measured already.
    let source = data::open_source(&mut config, meta.data.shape.iter().product::<i64>() as usize, || 0.0)?;
    let store = nn::VarStore::new(device);
    let model = config.model.build(&store.root())?;
    let mut params = FlatParams::new(&store, config.precision);
    let weights = checkpoint::read_weights(&path, if raw_weights { Weights::Raw } else { Weights::Ema })?;
    let weights = params.join(weights)?;
    params.set_master(&weights);
    Ok(Loaded { path, meta, config, source, model, device, _store: store })
}

/// # Errors
/// When images are not of the size that the model was trained on.
pub(crate) fn check_shape(set: &ImageSet, loaded: &Loaded) -> anyhow::Result<()> {
    let same = set.shape.iter().map(|&s| s as i64).eq(loaded.meta.data.shape.iter().copied());
    ensure!(same, "the data set has images of {:?}, the model of {:?}", set.shape, loaded.meta.data.shape);
    Ok(())
}
