//! How a network is trained, whatever is learned: optimizer, learning rate, averages, and when to stop; as flags and as configuration.

use crate::objective_args::{help, set};
use crate::process_group::ReduceIn;
use anyhow::{anyhow, ensure};
use clap::Args;
use fm_core::tensor::Role;
use fm_models::ModelConfig;
use fm_train::TrainError;
use fm_train::callbacks::{Callback, EarlyStopping, KeepBest};
use fm_train::checkpoint::RunInfo;
use fm_train::ema::EmaConfig;
use fm_train::flat::{FlatParams, Precision};
use fm_train::optimizer::{DecayOn, Optimizer, OptimizerConfig, Rule};
use fm_train::record::LogRecord;
use fm_train::schedule::{Decay, Schedule};
use fm_train::train::TrainState;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::Path;
use tch::nn::VarStore;

/// The part of a run's configuration that says how its loss is minimised; apps flatten it into theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearningConfig {
    /// Peak learning rate.
    pub lr: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// What follows.
    pub decay: Decay,
    /// Gradient norm to clip at.
    #[serde(deserialize_with = "or_infinite")]
    pub clip: f64,
    /// A moving average of the weights for each of these decays; sampling takes the first.
    #[serde(deserialize_with = "one_or_many")]
    pub ema_decay: Vec<f64>,
    /// Whether young averages forget faster.
    pub ema_warmup: bool,
    /// Rows that go through the network at once; 0 for the whole batch.
    pub micro_batch_size: usize,
    /// Steps in a row without a finite loss after which the run ends.
    pub non_finite_patience: u64,
    /// The value of the log by which runs are judged.
    pub monitor: String,
    /// Lines of the log without a lower monitored value after which training stops; 0 for never.
    pub early_stopping: u64,
    /// Keep the checkpoint with the lowest value, in `best/`.
    pub keep_best: bool,
    /// The precision in which processes add up their gradients.
    #[serde(default)]
    pub reduce_in: ReduceIn,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
}

impl Default for LearningConfig {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            warmup_steps: 100,
            decay: Decay::Cosine,
            clip: 1.0,
            ema_decay: vec![0.999],
            ema_warmup: true,
            micro_batch_size: 0,
            non_finite_patience: 10,
            monitor: "loss".into(),
            early_stopping: 0,
            keep_best: false,
            reduce_in: ReduceIn::default(),
            optimizer: OptimizerConfig::default(),
        }
    }
}

/// JSON has no infinity: a checkpoint says null.
fn or_infinite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

/// A list, or its only element.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(f64),
        Many(Vec<f64>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::One(decay) => vec![decay],
        Given::Many(decays) => decays,
    })
}

/// The flags over it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "How it is learned")]
pub struct LearningArgs {
    /// Peak learning rate.
    #[arg(long)]
    lr: Option<f64>,
    /// Steps over which the learning rate rises linearly.
    #[arg(long, value_name = "STEPS")]
    warmup_steps: Option<u64>,
    #[arg(long, value_name = "HOW", help = help::<Decay>("What the learning rate does then"))]
    decay: Option<Decay>,
    #[arg(long, value_name = "RULE", help = help::<Rule>("The optimizer"))]
    optimizer: Option<Rule>,
    /// Weight decay, per unit of learning rate.
    #[arg(long, value_name = "D")]
    weight_decay: Option<f64>,
    #[arg(long, value_name = "WHICH", help = help::<DecayOn>("Which parameters it shrinks"))]
    decay_on: Option<DecayOn>,
    /// Gradient norm to clip at (inf for none).
    #[arg(long, value_name = "NORM")]
    clip: Option<f64>,
    /// Decays of the moving averages of the weights; sampling takes the first.
    #[arg(long, value_name = "D,...", value_delimiter = ',')]
    ema_decay: Option<Vec<f64>>,
    /// Let young averages forget faster: min(d, (1 + n) / (10 + n)).
    #[arg(long, value_name = "BOOL")]
    ema_warmup: Option<bool>,
    /// Rows per forward and backward pass; gradients of a batch are accumulated: less memory, the same result up to rounding.
    #[arg(long, value_name = "ROWS")]
    micro_batch_size: Option<usize>,
    /// Consecutive steps with a non-finite loss or gradient after which the run ends; such steps are skipped.
    #[arg(long, value_name = "STEPS")]
    non_finite_patience: Option<u64>,
    /// The value of metrics.jsonl that --early-stopping and --keep-best go by: loss, excess, grad_norm or update_ratio.
    #[arg(long, value_name = "NAME")]
    monitor: Option<String>,
    /// Lines of the log without a lower monitored value after which training stops; 0 for never.
    #[arg(long, value_name = "LINES")]
    early_stopping: Option<u64>,
    /// Keep the checkpoint with the lowest value too, in best/.
    #[arg(long, value_name = "BOOL")]
    keep_best: Option<bool>,
    #[arg(long, value_name = "KIND", help = help::<ReduceIn>("What gradients are added up in between processes"))]
    reduce_in: Option<ReduceIn>,
}

impl LearningArgs {
    /// Lays the flags over a configuration.
    pub fn apply(&self, config: &mut LearningConfig) {
        set(&mut config.lr, &self.lr);
        set(&mut config.warmup_steps, &self.warmup_steps);
        set(&mut config.decay, &self.decay);
        set(&mut config.optimizer.rule, &self.optimizer);
        set(&mut config.optimizer.weight_decay, &self.weight_decay);
        set(&mut config.optimizer.decay_on, &self.decay_on);
        set(&mut config.clip, &self.clip);
        set(&mut config.ema_decay, &self.ema_decay);
        set(&mut config.ema_warmup, &self.ema_warmup);
        set(&mut config.micro_batch_size, &self.micro_batch_size);
        set(&mut config.non_finite_patience, &self.non_finite_patience);
        set(&mut config.monitor, &self.monitor);
        set(&mut config.early_stopping, &self.early_stopping);
        set(&mut config.keep_best, &self.keep_best);
        set(&mut config.reduce_in, &self.reduce_in);
    }
}

impl LearningConfig {
    /// Checks what no type checks.
    ///
    /// # Errors
    /// The key, its value and what it may be.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.lr > 0.0 && self.lr.is_finite(), "lr is {}: choose a learning rate above 0 (--lr)", self.lr);
        ensure!(self.clip > 0.0, "clip is {}: choose a norm above 0 (inf for none)", self.clip);
        ensure!(!self.ema_decay.is_empty(), "ema_decay is empty: give at least one (0 for the weights themselves)");
        for (k, decay) in self.ema_decay.iter().enumerate() {
            ensure!((0.0..1.0).contains(decay), "ema_decay is {decay}: choose it in [0, 1)");
            ensure!(!self.ema_decay[..k].contains(decay), "ema_decay {decay} is there twice");
        }
        ensure!(self.non_finite_patience > 0, "non_finite_patience is 0: give at least 1 step");
        let names = LogRecord::NAMES.join(", ");
        ensure!(
            LogRecord::NAMES.contains(&self.monitor.as_str()),
            "no value is called '{}': monitor one of {names}",
            self.monitor
        );
        self.optimizer.validate().map_err(|problem| anyhow!(problem))
    }

    /// The learning rate over a run.
    pub fn schedule(&self) -> Schedule {
        Schedule { lr: self.lr, warmup_steps: self.warmup_steps, decay: self.decay }
    }

    /// The state before the first step of a network in this store.
    ///
    /// # Errors
    /// An exception of libtorch.
    pub fn state(
        &self,
        store: &VarStore,
        model: &ModelConfig,
        precision: Precision,
        loss_aware_bins: usize,
    ) -> Result<TrainState, TrainError> {
        let role = |name: &str, shape: &[i64]| -> Role { model.role(name, shape) };
        let params = FlatParams::sorted(store, precision, |name, shape| self.optimizer.key(name, role(name, shape)))?;
        let optimizer =
            Optimizer::new(&params.master, &self.optimizer, &params.slots, |slot| role(&slot.name, &slot.shape));
        let ema = EmaConfig { decays: self.ema_decay.clone(), warmup: self.ema_warmup };
        Ok(TrainState::new(params, optimizer, &ema, loss_aware_bins))
    }

    /// What looks on besides the apps' own observer; only the process that writes keeps checkpoints.
    ///
    /// # Errors
    /// A monitored value that the log does not have.
    pub fn observers(&self, out: &Path, info: &RunInfo, writes: bool) -> Result<Vec<Box<dyn Callback>>, TrainError> {
        let mut observers: Vec<Box<dyn Callback>> = Vec::new();
        if self.keep_best && writes {
            observers.push(Box::new(KeepBest::new(out.join("best"), info.clone(), &self.monitor)?));
        }
        if self.early_stopping > 0 {
            observers.push(Box::new(EarlyStopping::new(&self.monitor, self.early_stopping, 0.0)?));
        }
        Ok(observers)
    }
}
