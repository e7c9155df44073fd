//! Loading what a run has trained: its weights, or the whole model.

use crate::TrainError;
use crate::checkpoint::{self, Weights};
use crate::run::Run;
use crate::run_dir::latest_checkpoint;
use fm_core::NamedFlow;
use fm_core::tensor::{BuildModel, TrainedModel};
use serde::de::DeserializeOwned;
use std::path::Path;
use tch::{Device, nn, no_grad};

impl Run<()> {
    /// The configuration of a run, for programs that load a trained model.
    ///
    /// # Errors
    /// [`TrainError::NoCheckpoint`] and [`TrainError::Checkpoint`].
    pub fn config<C: DeserializeOwned>(directory: impl AsRef<Path>) -> Result<C, TrainError> {
        let (path, meta, _) = latest_checkpoint(directory.as_ref())?;
        configuration(&path, meta.config)
    }

    /// Copies the weights of the newest checkpoint of a run into `store`, and returns its step.
    ///
    /// # Errors
    /// [`TrainError::NoCheckpoint`], [`TrainError::Checkpoint`], and [`TrainError::Weights`] for
    /// another network.
    #[doc(alias = "load_state_dict")]
    #[doc(alias = "from_pretrained")]
    pub fn load_weights(directory: impl AsRef<Path>, store: &nn::VarStore, which: Weights) -> Result<u64, TrainError> {
        let (path, meta, _) = latest_checkpoint(directory.as_ref())?;
        copy_weights(&path, store, which)?;
        Ok(meta.step)
    }

    /// As [`load`](Run::load), without opening the run: another process may train there. If that
    /// process removes the checkpoint meanwhile, call it again.
    ///
    /// # Errors
    /// As [`load`](Run::load).
    pub fn model<C: DeserializeOwned + BuildModel>(directory: impl AsRef<Path>) -> Result<TrainedModel, TrainError> {
        let (path, meta, _) = latest_checkpoint(directory.as_ref())?;
        let refuse = |problem: String| TrainError::Checkpoint { path: path.clone(), problem };
        let flow = meta.flow.map(serde_json::from_value::<NamedFlow>).transpose();
        let flow = flow.map_err(|e| refuse(format!("its flow cannot be read ({e}); call Run::load_weights")))?;
        let Some(flow) = flow else {
            let problem = "it has no flow of built-in parts; call Run::load_weights and give the sampler your flow";
            return Err(refuse(problem.into()));
        };
        let (config, store): (C, _) = (configuration(&path, meta.config)?, nn::VarStore::new(Device::Cpu));
        let network = config.build(&store.root()).map_err(|e| refuse(format!("its network cannot be built ({e})")))?;
        copy_weights(&path, &store, Weights::Ema)?;
        Ok(TrainedModel { network, flow: flow.into() })
    }
}

impl<C: DeserializeOwned + BuildModel> Run<C> {
    /// The network of the newest checkpoint with its averaged weights, on the CPU, and the flow
    /// that it was trained on.
    ///
    /// # Errors
    /// [`TrainError::NoCheckpoint`] before the first checkpoint; [`TrainError::Checkpoint`] for a
    /// flow with parts of your own, for which [`load_weights`](Run::load_weights) loads the
    /// weights; [`TrainError::Weights`].
    pub fn load(&self) -> Result<TrainedModel, TrainError> {
        Run::model::<C>(self.directory())
    }
}

fn configuration<C: DeserializeOwned>(path: &Path, config: serde_json::Value) -> Result<C, TrainError> {
    serde_json::from_value(config).map_err(|e| {
        let problem = format!("its configuration is of another kind ({e})");
        TrainError::Checkpoint { path: path.into(), problem }
    })
}

fn copy_weights(path: &Path, store: &nn::VarStore, which: Weights) -> Result<(), TrainError> {
    let (saved, mut variables) = (checkpoint::read_weights(path, which)?, store.variables());
    let fits = |(name, own): (&String, &tch::Tensor)| saved.get(name).is_some_and(|s| s.size() == own.size());
    let misfits: Vec<&str> =
        variables.iter().filter(|pair| !fits((pair.0, pair.1))).map(|(name, _)| name.as_str()).take(3).collect();
    if !misfits.is_empty() || saved.len() != variables.len() {
        let problems = format!("{} of {} variables fit ({})", saved.len(), variables.len(), misfits.join(", "));
        return Err(TrainError::Weights { problems });
    }
    no_grad(|| {
        let pairs = variables.iter_mut().filter_map(|(name, own)| Some((own, saved.get(name)?)));
        pairs.for_each(|(own, s)| own.copy_(s));
    });
    Ok(())
}
