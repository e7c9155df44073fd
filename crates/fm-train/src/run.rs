//! A training run in a directory: new or resumed, with checkpoints, a log and callbacks, in one
//! call.
//!
//! If a run was killed, it continues bit for bit from its last checkpoint when the same program
//! opens its directory again.
//!
//! ```
//! use fm_core::FlowMatching;
//! use fm_models::{ModelConfig, mlp::MlpConfig};
//! use fm_train::run::{Run, RunOptions};
//! use tch::{Device, nn};
//! let directory = tempfile::tempdir()?;
//! let config = ModelConfig::Mlp(MlpConfig { widths: vec![16], ..MlpConfig::default() });
//! let (data, flow) = (ndarray::array![[0.0f32, 1.0], [1.0, 0.0]], FlowMatching::default());
//! for steps in [10, 15] {
//!     let store = nn::VarStore::new(Device::Cpu);
//!     let net = config.build(&store.root())?;
//!     let options = RunOptions { steps, save_every: 5, ..RunOptions::default() };
//!     let run = Run::open(directory.path(), &config)?.options(options);
//!     let trainer = run.train(&flow, &net, &store, &data, &mut ())?;
//!     assert_eq!(trainer.state().step, steps); // the second continues from step 10
//! }
//! // The network with its averaged weights, and the flow that it was trained on.
//! let model = Run::model::<ModelConfig>(directory.path())?;
//! assert_eq!(model.network.row_shape(), Some(vec![2]));
//! // Another network is not trained into the same directory.
//! assert!(Run::open(directory.path(), &MlpConfig::default()).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::TrainError;
use crate::batches::{BatchOptions, FlowBatches};
use crate::callbacks::{self, Callback};
use crate::checkpoint::{self, DataMeta, RunInfo};
use crate::collective::Shard;
use crate::epoch::EpochLength;
use crate::files;
use crate::fingerprint::fingerprint;
use crate::loss_aware::LossAwareTimes;
use crate::record::LogRecord;
use crate::run_dir::{RunDir, holds_checkpoints, latest_checkpoint};
use crate::schedule::{Decay, Schedule};
use crate::task::FlowTask;
use crate::train::{TrainOptions, TrainState, train};
use crate::trainer::{Trainer, TrainerConfig};
use fm_core::data::Dataset;
use fm_core::tensor::VelocityModel;
use fm_core::{FlowMatching, NamedFlow};
use serde::Serialize;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tch::nn;

/// Options of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Optimizer, learning rate, EMA, clipping, precision.
    pub trainer: TrainerConfig,
    /// Total number of steps; a resumed run makes the remaining ones.
    pub steps: u64,
    /// Decay of the learning rate over these steps.
    pub decay: Decay,
    /// Rows per batch, mirroring, conditions.
    pub batches: BatchOptions,
    /// Threads that make batches; 0 makes them in the loop.
    #[doc(alias = "num_workers")]
    pub workers: usize,
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Steps between checkpoints; 0 saves only at the end.
    pub save_every: u64,
    /// Checkpoints to keep; 0 keeps all.
    pub keep: usize,
    /// Whether a resumed run may continue on other data; otherwise it is refused.
    pub allow_changed_data: bool,
}

impl Default for RunOptions {
    /// 10,000 steps of 256 rows at a constant rate, logged every 100 and saved every 1,000 steps;
    /// three checkpoints are kept.
    fn default() -> Self {
        Self {
            trainer: TrainerConfig::default(),
            steps: 10_000,
            decay: Decay::Constant,
            batches: BatchOptions { rows: 256, ..BatchOptions::default() },
            workers: 1,
            log_every: 100,
            save_every: 1000,
            keep: 3,
            allow_changed_data: false,
        }
    }
}

/// A directory in which this process trains. `C` is the configuration that describes the run.
#[derive(Debug)]
pub struct Run<C = ()> {
    directory: RunDir,
    config: serde_json::Value,
    options: RunOptions,
    of: PhantomData<fn() -> C>,
    /// The checkpoint to continue from.
    resumed: Option<PathBuf>,
    /// Newer checkpoints, which are damaged.
    damaged: Vec<TrainError>,
    /// The shard of this process in its group.
    shard: Shard,
}

/// Name of the file with the run's configuration.
const CONFIG: &str = "config.json";

impl<C: Serialize> Run<C> {
    /// Opens a directory: a new one, an empty one, or the directory of a run with the same
    /// configuration, which is resumed. The configuration can be any value that describes the run
    /// (the network's configuration, say); it is stored in `config.json` and in every checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Run`] for a directory with unrelated files, for a run with another
    /// configuration, and for a run whose checkpoints are all damaged; [`TrainError::Locked`] while
    /// another process trains there; [`TrainError::Io`].
    pub fn open(directory: impl AsRef<Path>, config: &C) -> Result<Self, TrainError> {
        Self::open_shard(directory, config, Shard::default())
    }

    /// Opens a directory that several processes share: each process calls this with its shard
    /// before any of them trains. Rank 0 locks and writes the directory; the others read it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_shard(directory: impl AsRef<Path>, config: &C, shard: Shard) -> Result<Self, TrainError> {
        let path = directory.as_ref();
        let refuse = |problem: String| TrainError::Run { path: path.into(), problem };
        let config = serde_json::to_value(config)
            .map_err(|e| refuse(format!("its configuration has no JSON ({e}); use types that serde_json can write")))?;
        // The lock comes first: no other process trains here while the checkpoints are compared.
        let directory = if shard.rank > 0 {
            RunDir::refuse_foreign(path)?;
            RunDir::of_group(path)
        } else {
            RunDir::open(path)?
        };
        if !holds_checkpoints(path) {
            RunDir::refuse_used(path)?;
        }
        let newest = holds_checkpoints(path).then(|| latest_checkpoint(path)).transpose()?;
        if let Some((_, meta, _)) = newest.as_ref().filter(|(_, meta, _)| meta.config != config) {
            let difference = difference(&meta.config, &config);
            return Err(refuse(format!(
                "it holds a run of another configuration ({difference}); choose another directory"
            )));
        }
        let (resumed, damaged) = newest.map_or((None, Vec::new()), |(path, _, damaged)| (Some(path), damaged));
        if shard.rank == 0 {
            directory.begin()?;
            let text = serde_json::to_string_pretty(&config).map_err(|e| refuse(e.to_string()))?;
            files::write(&directory.join(CONFIG), format!("{text}\n").as_bytes())?;
        }
        let options = RunOptions::default();
        Ok(Self { directory, config, options, of: PhantomData, resumed, damaged, shard })
    }
}

impl<C> Run<C> {
    /// The options of training, which replace the defaults.
    #[must_use]
    pub fn options(self, options: RunOptions) -> Self {
        Self { options, ..self }
    }

    /// The path of the directory.
    pub fn directory(&self) -> PathBuf {
        self.directory.join("")
    }

    /// The step to continue from; 0 for a new run.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub fn step(&self) -> Result<u64, TrainError> {
        Ok(self.resumed.as_deref().map(checkpoint::read_meta).transpose()?.map_or(0, |meta| meta.step))
    }

    /// Trains the variables of `store`, which `model` uses, to the last step, and returns them with
    /// their EMA. Appends to `metrics.jsonl`, saves checkpoints, and calls `callback` after every
    /// step.
    ///
    /// # Errors
    /// The errors of [`train`]; a checkpoint that does not fit the network or the flow; a
    /// collective with another shard than the run was [opened](Self::open_shard) with.
    pub fn train(
        &self,
        flow: &FlowMatching,
        model: &dyn VelocityModel,
        store: &nn::VarStore,
        data: &dyn Dataset,
        callback: &mut dyn Callback,
    ) -> Result<Trainer, TrainError> {
        let options = &self.options;
        let shard = options.trainer.collective.shard();
        if shard != self.shard {
            let (opened, trains) = (self.shard, shard);
            let problem = format!(
                "it was opened by process {} of {} and is trained by {} of {}; give Run::open_shard the collective's shard",
                opened.rank, opened.count, trains.rank, trains.count
            );
            return Err(TrainError::Run { path: self.directory.join(""), problem });
        }
        let mut trainer = Trainer::new(store, &options.trainer)?;
        let bins = flow.objective.loss_aware_bins;
        let device = trainer.device();
        let state = trainer.state_mut();
        state.adaptive = (bins > 0).then(|| LossAwareTimes::new(bins, device));
        let info = self.info(flow, data)?;
        if let Some(path) = &self.resumed {
            let meta = checkpoint::restore(path, state)?;
            if (&meta.path, &meta.prediction) != (&info.path, &info.prediction) {
                let found = format!("{} on path {}", meta.prediction, meta.path);
                let problem = format!("it predicts {found}; give the flow that the run began with");
                return Err(TrainError::Checkpoint { path: path.clone(), problem });
            }
            if !options.allow_changed_data {
                meta.data.check_unchanged(&info.data)?;
            }
        }
        let epoch = || EpochLength::new(data.len() as u64, options.batches.rows as u64);
        state.epoch = (!data.is_endless()).then(epoch).flatten();
        self.damaged.iter().for_each(|warning| callback.warn(warning));
        let (lines, found) = self.directory.rewind_as::<LogRecord>(LOG, state.step)?;
        if let Some(problem) = found.problem(options.log_every) {
            callback.warn(&TrainError::Log { path: self.directory.join(LOG), problem });
        }
        let mut loop_options = options.loop_options();
        if let Some(path) = &self.resumed {
            self.warn_of_another_log(path, callback)?;
        }
        if callbacks::replay(&lines, state.step, callback) {
            loop_options.steps = state.step;
        }
        let batches = FlowBatches::new(flow, data, options.batches.clone())?.shared(shard);
        let keeper = Keeper { directory: &self.directory, info, options, first: shard.rank == 0 };
        let mut callbacks = Both(keeper, callback);
        train(&FlowTask::new(model, flow), &batches, state, &loop_options, &mut callbacks)?;
        Ok(trainer)
    }

    /// Warns of a log that is not the one of the checkpoint: callbacks decide by its lines.
    fn warn_of_another_log(&self, checkpoint: &Path, callback: &mut dyn Callback) -> Result<(), TrainError> {
        let known = checkpoint::read_meta(checkpoint)?.log;
        if !known.is_empty() && known != self.directory.digest(LOG)? {
            let problem = "is not the log that the checkpoint was saved with".into();
            callback.warn(&TrainError::Log { path: self.directory.join(LOG), problem });
        }
        Ok(())
    }

    fn info(&self, flow: &FlowMatching, data: &dyn Dataset) -> Result<RunInfo, TrainError> {
        let shape = data.shape().iter().map(|n| *n as i64).collect();
        Ok(RunInfo {
            program: format!("fm-train {}", env!("CARGO_PKG_VERSION")),
            path: flow.objective.path.name(),
            prediction: flow.objective.prediction.to_string(),
            data: DataMeta { shape, fingerprint: fingerprint(data)?, ..DataMeta::default() },
            model: serde_json::Value::Null,
            config: self.config.clone(),
            log: String::new(),
            flow: NamedFlow::of(flow),
        })
    }
}

impl RunOptions {
    fn loop_options(&self) -> TrainOptions {
        let Self { trainer, steps, decay, workers, log_every, .. } = self;
        TrainOptions {
            steps: *steps,
            workers: *workers,
            log_every: *log_every,
            clip: trainer.max_grad_norm.unwrap_or(f64::INFINITY),
            schedule: Schedule { lr: trainer.lr, warmup_steps: trainer.warmup_steps, decay: *decay },
            collective: trainer.collective.clone(),
            ..TrainOptions::default()
        }
    }
}

const LOG: &str = "metrics.jsonl";

/// The first key that differs between two configurations.
fn difference(old: &serde_json::Value, new: &serde_json::Value) -> String {
    let keys = old.as_object().into_iter().chain(new.as_object()).flat_map(|map| map.keys());
    let key = keys.into_iter().find(|key| old.get(key) != new.get(key));
    key.map_or("of another kind".into(), |key| {
        let text = |value: Option<&serde_json::Value>| value.map_or("absent".into(), |v| v.to_string());
        let short = |text: String| fm_core::message::name(&text);
        format!("{} was {}, is {}", fm_core::message::name(key), short(text(old.get(key))), short(text(new.get(key))))
    })
}

/// Writes the log and the checkpoints.
struct Keeper<'a> {
    directory: &'a RunDir,
    info: RunInfo,
    options: &'a RunOptions,
    /// Whether this process writes files.
    first: bool,
}

impl Keeper<'_> {
    /// Saves a checkpoint, removes old ones, and returns warnings.
    fn save(&self, state: &TrainState) -> Result<Vec<TrainError>, TrainError> {
        if !self.first {
            return Ok(Vec::new());
        }
        // A checkpoint implies the lines before it.
        self.directory.sync(&[LOG])?;
        let log = self.directory.digest(LOG)?;
        let info = RunInfo { log, ..self.info.clone() };
        // Before the checkpoint, from which the run continues.
        checkpoint::save_averages(&self.directory.join(""), state, &info)?;
        checkpoint::save(&self.directory.checkpoints(), state, &info)?;
        self.directory.retain(self.options.keep)
    }
}

/// The keeper first, then the user's callback.
struct Both<'a, 'b>(Keeper<'a>, &'b mut dyn Callback);

impl Callback for Both<'_, '_> {
    fn after_step(
        &mut self,
        state: &mut TrainState,
        record: Option<&LogRecord>,
    ) -> Result<ControlFlow<()>, TrainError> {
        let Self(keeper, callback) = self;
        if let Some(record) = record.filter(|_| keeper.first) {
            keeper.directory.append(LOG, record)?;
        }
        let flow = callback.after_step(state, record)?;
        let every = keeper.options.save_every;
        if every > 0 && state.step.is_multiple_of(every) {
            keeper.save(state)?.iter().for_each(|warning| callback.warn(warning));
        }
        Ok(flow)
    }

    fn measure(&mut self, state: &mut TrainState, record: &mut LogRecord) -> Result<(), TrainError> {
        self.1.measure(state, record)
    }

    fn at_end(&mut self, state: &mut TrainState) -> Result<(), TrainError> {
        let Self(keeper, callback) = self;
        keeper.save(state)?.iter().for_each(|warning| callback.warn(warning));
        callback.at_end(state)
    }
}
