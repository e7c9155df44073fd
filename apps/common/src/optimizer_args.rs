//! Optimizer, learning rate, EMA and early stopping of a run, as flags and as configuration.

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

/// The optimization in a run's configuration; the programs flatten it into theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearningConfig {
    /// Peak learning rate.
    pub lr: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// The schedule after the warm-up.
    pub decay: Decay,
    /// Maximum gradient norm.
    #[serde(deserialize_with = "or_infinite")]
    pub clip: f64,
    /// Decays of the moving averages (EMA) of the weights; sampling uses the first.
    #[serde(deserialize_with = "one_or_many")]
    pub ema_decay: Vec<f64>,
    /// Whether the decay of the EMA is smaller in the first updates.
    pub ema_warmup: bool,
    /// Rows per forward and backward pass; 0 for the whole batch.
    pub micro_batch_size: usize,
    /// Consecutive steps with a non-finite loss or gradient after which the run ends.
    pub non_finite_patience: u64,
    /// The logged value for early stopping and for the best checkpoint.
    pub monitor: String,
    /// Log lines without a lower monitored value after which training stops; 0 disables early
    /// stopping.
    pub early_stopping: u64,
    /// Whether to keep the checkpoint with the lowest monitored value, in `best/`.
    pub keep_best: bool,
    /// Precision of the all-reduce of gradients between processes.
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

/// JSON has no infinity, so a checkpoint stores null.
fn or_infinite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

/// Reads a list, or a single number as a list of one.
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

/// The flags over a [`LearningConfig`].
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Optimization")]
pub struct LearningArgs {
    /// Peak learning rate.
    #[arg(long)]
    lr: Option<f64>,
    /// Steps of linear warm-up to the peak learning rate.
    #[arg(long, value_name = "STEPS")]
    warmup_steps: Option<u64>,
    #[arg(long, value_name = "HOW", help = help::<Decay>("Schedule of the learning rate after the warm-up"))]
    decay: Option<Decay>,
    #[arg(long, value_name = "RULE", help = help::<Rule>("Optimizer"))]
    optimizer: Option<Rule>,
    /// Coefficient of weight decay; adamw and muon multiply it by the learning rate.
    #[arg(long, value_name = "D")]
    weight_decay: Option<f64>,
    #[arg(long, value_name = "WHICH", help = help::<DecayOn>("Parameters with weight decay"))]
    decay_on: Option<DecayOn>,
    /// Maximum norm of the gradient; larger gradients are scaled down to it, and inf disables
    /// clipping.
    #[arg(long, value_name = "NORM")]
    clip: Option<f64>,
    /// Decays of the moving averages (EMA) of the weights; sampling uses the first.
    #[arg(long, value_name = "D,...", value_delimiter = ',')]
    ema_decay: Option<Vec<f64>>,
    /// Warm up the EMA: update n uses the decay min(D, (1 + n) / (10 + n)).
    #[arg(long, value_name = "BOOL")]
    ema_warmup: Option<bool>,
    /// Rows per forward and backward pass; gradients accumulate over the batch, which takes less
    /// memory and gives the same result up to rounding. 0: the whole batch.
    #[arg(long, value_name = "ROWS")]
    micro_batch_size: Option<usize>,
    /// Consecutive steps with a non-finite loss or gradient after which the run ends; such steps
    /// are skipped.
    #[arg(long, value_name = "STEPS")]
    non_finite_patience: Option<u64>,
    /// Value of metrics.jsonl for --early-stopping and --keep-best: loss, excess, grad_norm or
    /// update_ratio.
    #[arg(long, value_name = "NAME")]
    monitor: Option<String>,
    /// Stop after this number of log lines without a lower monitored value; 0 disables early
    /// stopping.
    #[arg(long, value_name = "LINES")]
    early_stopping: Option<u64>,
    /// Also keep the checkpoint with the lowest monitored value, in best/.
    #[arg(long, value_name = "BOOL")]
    keep_best: Option<bool>,
    #[arg(
        long,
        value_name = "KIND",
        help_heading = "Distributed",
        help = help::<ReduceIn>("Precision of the all-reduce of gradients")
    )]
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
    /// Checks the values.
    ///
    /// # Errors
    /// The key with an invalid value, and its valid values.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(self.lr > 0.0 && self.lr.is_finite(), "lr is {}: choose a learning rate above 0 (--lr)", self.lr);
        ensure!(self.clip > 0.0, "clip is {}: choose a norm above 0 (inf for none)", self.clip);
        ensure!(!self.ema_decay.is_empty(), "ema_decay is empty: give at least one (0 for the weights themselves)");
        for (k, decay) in self.ema_decay.iter().enumerate() {
            ensure!((0.0..1.0).contains(decay), "ema_decay is {decay}: choose it in [0, 1)");
            ensure!(!self.ema_decay[..k].contains(decay), "ema_decay has {decay} twice: give each decay once");
        }
        ensure!(self.non_finite_patience > 0, "non_finite_patience is 0: give at least 1 step");
        let names = LogRecord::NAMES.join(", ");
        ensure!(
            LogRecord::NAMES.contains(&self.monitor.as_str()),
            "cannot monitor '{}': metrics.jsonl has no such value; choose one of {names}",
            self.monitor
        );
        self.optimizer.validate().map_err(|problem| anyhow!(problem))
    }

    /// The learning rate over a run.
    pub fn schedule(&self) -> Schedule {
        Schedule { lr: self.lr, warmup_steps: self.warmup_steps, decay: self.decay }
    }

    /// The training state before the first step, for the network of this store.
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

    /// The callbacks of these settings: early stopping, and keeping the best checkpoint on the
    /// process that writes.
    ///
    /// # Errors
    /// A monitored value that is not in the log.
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
