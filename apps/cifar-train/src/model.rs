//! A model read back from a checkpoint.

use crate::args::SolverArgs;
use crate::config::Config;
use crate::data;
use anyhow::Context;
use fm_core::source::Source;
use fm_core::tensor::VelocityModel;
use fm_train::checkpoint::{self, Meta, Weights};
use fm_train::flat::FlatParams;
use fm_train::run_dir::latest_checkpoint;
use std::path::PathBuf;
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

pub(crate) fn load(args: &SolverArgs) -> anyhow::Result<Loaded> {
    let device = fm_app::device::select(&args.device)?;
    let (path, meta, damaged) = latest_checkpoint(&args.checkpoint)?;
    damaged.iter().for_each(|problem| eprintln!("warning: {problem}"));
    let mut config: Config = serde_json::from_value(meta.config.clone())
        .with_context(|| format!("{} was not written by cifar-train", path.display()))?;
    // The name in a checkpoint is measured already.
    let source = data::open_source(&mut config, meta.data.shape.iter().product::<i64>() as usize, || 0.0)?;
    let store = nn::VarStore::new(device);
    let model = config.model.build(&store.root())?;
    let mut params = FlatParams::new(&store, config.precision);
    let weights = checkpoint::read_weights(&path, if args.raw_weights { Weights::Raw } else { Weights::Ema })?;
    let weights = params.join(weights)?;
    params.set_master(&weights);
    Ok(Loaded { path, meta, config, source, model, device, _store: store })
}
