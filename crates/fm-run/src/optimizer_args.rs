//! Optimizer, learning rate, EMA and early stopping of a run, as configuration and as flags.

use crate::process_group::ReduceIn;
use anyhow::{Context, anyhow, bail, ensure};
use fm_cli::every::Every;
use fm_core::FlowMatching;
use fm_core::data::Dataset;
use fm_core::tensor::{Role, VelocityModel};
use fm_models::ModelConfig;
use fm_train::TrainError;
use fm_train::callbacks::{Callback, EarlyStopping, KeepBest};
use fm_train::checkpoint::RunInfo;
use fm_train::ema::EmaConfig;
use fm_train::epoch::EpochLength;
use fm_train::flat::{FlatParams, Precision};
use fm_train::held_out::{HeldOut, HeldOutOptions, Validation};
use fm_train::monitor::Monitor;
use fm_train::optimizer::{DecayOn, Optimizer, OptimizerConfig, Rule};
use fm_train::schedule::{Decay, Schedule};
use fm_train::train::TrainState;
use serde::{Deserialize, Deserializer, Serialize};
use std::path::Path;
use tch::nn::VarStore;

fm_cli::options! {
    /// The optimization: AdamW with a warm-up and a cosine schedule, gradient clipping and an EMA.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct LearningConfig, flags LearningArgs {
        "Optimization" {
            /// Peak learning rate.
            lr: f64 = 1e-3;
            /// Steps of linear warm-up to the peak learning rate.
            warmup_steps: u64 = 100, arg(value_name = "STEPS", hide = true);
            @choice("Schedule of the learning rate after the warm-up")
            decay: Decay = Decay::Cosine, arg(value_name = "HOW");
            /// Maximum norm of the gradient; larger gradients are scaled down to it, and inf
            /// disables clipping.
            clip: f64 = 1.0, arg(value_name = "NORM", hide = true), serde(deserialize_with = "or_infinite");
            /// Decays of the moving averages (EMA) of the weights; sampling uses the first.
            ema_decay: Vec<f64> = vec![0.999], arg(value_name = "D,...", value_delimiter = ','),
                serde(deserialize_with = "one_or_many");
            /// Warm up the EMA: update n uses the decay min(D, (1 + n) / (10 + n)).
            ema_warmup: bool = true, arg(value_name = "BOOL", hide = true);
            /// Also keep averages of these relative widths, such as 0.05,0.1, with a snapshot at
            /// each checkpoint: `sample --ema-sigma` computes averages of other widths from them.
            ema_sigma: Vec<f64> = Vec::new(), arg(value_name = "S,...", value_delimiter = ',', hide = true),
                serde(deserialize_with = "one_or_many");
            /// Rows per forward and backward pass; gradients accumulate over the batch. Fewer rows
            /// take less memory. 0: the whole batch.
            micro_batch_size: usize = 0, arg(value_name = "ROWS");
            /// Consecutive steps with a non-finite loss or gradient after which the run ends; such
            /// steps are skipped.
            non_finite_patience: u64 = 10, arg(value_name = "STEPS", hide = true);
            /// Steps between measurements of the loss on the rows that --hold-out holds out:
            /// val_loss (of the EMA weights) and val_loss_raw. A multiple of --log-every; 0: none.
            validate_every: Every = Every::Steps(0), arg(value_name = "STEPS", hide = true);
            /// Steps between measurements of the quality of samples: the energy distance between
            /// samples of the EMA weights and data rows, held-out ones if there are any, in the
            /// network's units. A multiple of --log-every; 0: none.
            quality_every: Every = Every::Steps(0), arg(value_name = "STEPS", hide = true);
            /// Number of samples for each measurement of --quality-every.
            quality_samples: usize = 500, arg(value_name = "N", hide = true);
            /// Value of metrics.jsonl for --early-stopping and --keep-best, as NAME if lower is
            /// better and NAME:max if higher is.
            monitor: String = "loss".into(), arg(value_name = "NAME", hide = true);
            /// Stop after this number of log lines without a better monitored value; 0 disables
            /// early stopping.
            early_stopping: u64 = 0, arg(value_name = "LINES");
            /// Improvement of the monitored value below which a line does not count as better.
            min_delta: f64 = 0.0, arg(value_name = "D", hide = true);
            /// Number of checkpoints with the best monitored values to keep too, in best/.
            keep_best: usize = 0, arg(value_name = "N", hide = true, value_parser = count_or_bool),
                serde(deserialize_with = "number_or_bool");
        }
        "Distributed" {
            @choice("Precision of the all-reduce of gradients")
            reduce_in: ReduceIn = ReduceIn::default(), arg(value_name = "KIND", hide = true);
        }
        nested {
            /// The optimizer.
            optimizer: OptimizerConfig, OptimizerArgs = OptimizerConfig::default();
        }
    }
}

fm_cli::options! {
    pub flags OptimizerArgs of OptimizerConfig {
        "Optimization" {
            @choice("Optimizer")
            optimizer: Rule as "optimizer.rule", arg(value_name = "RULE");
            /// Coefficient of weight decay; adamw and muon multiply it by the learning rate.
            weight_decay: f64 as "optimizer.weight_decay", arg(value_name = "D", hide = true);
            @choice("Parameters with weight decay")
            decay_on: DecayOn as "optimizer.decay_on", arg(value_name = "WHICH", hide = true);
        }
    }
}

/// Steps between the measurements of a run; 0 for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurements {
    /// Steps between measurements of the loss on held-out rows.
    pub validate_every: u64,
    /// Steps between measurements of the quality of samples.
    pub quality_every: u64,
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

/// A count; earlier versions had true for 1 and false for 0.
fn count_or_bool(text: &str) -> Result<usize, String> {
    match (text, text.parse()) {
        (_, Ok(count)) => Ok(count),
        ("true", _) => Ok(1),
        ("false", _) => Ok(0),
        _ => Err("give a number of checkpoints".into()),
    }
}

/// As [`count_or_bool`], of a file.
fn number_or_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Count(usize),
        Bool(bool),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::Count(count) => count,
        Given::Bool(keep) => keep.into(),
    })
}

impl LearningConfig {
    /// Checks the values. `logs_excess`: whether the log has the excess loss; `coupled`: whether it
    /// has the gain of the coupling.
    ///
    /// # Errors
    /// The key with an invalid value, and its valid values.
    pub fn validate(&self, logs_excess: bool, coupled: bool) -> anyhow::Result<()> {
        ensure!(self.lr > 0.0 && self.lr.is_finite(), "lr is {}; choose a learning rate above 0 (--lr)", self.lr);
        ensure!(self.clip > 0.0, "clip is {}; choose a norm above 0 (inf for none)", self.clip);
        ensure!(!self.ema_decay.is_empty(), "ema_decay is empty; give at least one (0 for the weights themselves)");
        for (k, decay) in self.ema_decay.iter().enumerate() {
            ensure!((0.0..1.0).contains(decay), "ema_decay is {decay}; choose it in [0, 1)");
            ensure!(!self.ema_decay[..k].contains(decay), "ema_decay has {decay} twice; give each decay once");
        }
        self.ema().validate().context("cannot use ema_sigma")?;
        ensure!(self.non_finite_patience > 0, "non_finite_patience is 0; give at least 1 step");
        ensure!(
            self.quality_samples > 1,
            "quality_samples is {}; give at least 2 (--quality-samples)",
            self.quality_samples
        );
        self.check_monitor(logs_excess, coupled)?;
        ensure!(
            self.min_delta >= 0.0 && self.min_delta.is_finite(),
            "min_delta is {}; give an improvement of 0 or more (--min-delta)",
            self.min_delta
        );
        self.optimizer.validate().map_err(|problem| anyhow!(problem))
    }

    /// Rows of a forward and backward pass for batches of this size.
    pub fn rows_per_pass(&self, batch_size: usize) -> usize {
        match self.micro_batch_size {
            0 => batch_size,
            micro => micro.min(batch_size),
        }
    }

    /// Rejects a monitored value that no line of the log has: it would never stop a run or keep a
    /// checkpoint.
    fn check_monitor(&self, logs_excess: bool, coupled: bool) -> anyhow::Result<()> {
        let monitor: Monitor = self.monitor.parse()?;
        let never = Every::Steps(0);
        let lacking = match monitor.name() {
            "excess" if !logs_excess => "--excess-loss true",
            "val_loss" | "val_loss_raw" if self.validate_every == never => "--validate-every STEPS and --hold-out 0.1",
            "quality" if self.quality_every == never => "--quality-every STEPS",
            "coupling_gain" if !coupled => "--coupling exact",
            _ => return Ok(()),
        };
        bail!("cannot monitor {monitor}, which is not measured; pass {lacking}, or monitor another value")
    }

    /// Checks the intervals of [`Measurements`], for data with held-out rows if `held_out`, and
    /// returns them in steps.
    ///
    /// # Errors
    /// An interval at which no line is logged; no held-out rows; the mean loss of epochs monitored
    /// without epochs.
    pub fn measurements(
        &self,
        log_every: u64,
        held_out: bool,
        epoch: Option<EpochLength>,
    ) -> anyhow::Result<Measurements> {
        let monitored: Monitor = self.monitor.parse()?;
        ensure!(
            monitored.name() != "epoch_loss" || epoch.is_some(),
            "cannot monitor {monitored}: these data have no epochs; monitor another value"
        );
        let interval = |key: &str, every: Every| {
            let (steps, flag) = (every.steps(epoch)?, key.replace('_', "-"));
            ensure!(
                steps.is_multiple_of(log_every.max(1)),
                "{key} is {steps}, and a line is logged every {log_every} steps; choose a multiple of {log_every} (--{flag})"
            );
            Ok(steps)
        };
        let validate_every = interval("validate_every", self.validate_every)?;
        ensure!(
            validate_every == 0 || held_out,
            "validate_every is {validate_every}, and no rows are held out; pass --hold-out 0.1"
        );
        Ok(Measurements { validate_every, quality_every: interval("quality_every", self.quality_every)? })
    }

    /// The callback that measures the loss of `model` on held-out rows after each `every` steps, 0
    /// for never, and after step `last`.
    ///
    /// # Errors
    /// Rows that do not fit the flow.
    pub fn validation<'m>(
        &self,
        flow: &FlowMatching,
        model: &'m dyn VelocityModel,
        rows: &dyn Dataset,
        options: &HeldOutOptions,
        (every, last): (u64, u64),
    ) -> Result<Option<Validation<'m>>, TrainError> {
        if every == 0 {
            return Ok(None);
        }
        let held_out = HeldOut::new(flow, rows, options)?;
        Ok(Some(Validation { held_out, model, trained_source: None, every, last }))
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
        Ok(TrainState::new(params, optimizer, &self.ema(), loss_aware_bins))
    }

    /// Number of averages of the weights.
    pub fn averages(&self) -> usize {
        self.ema_decay.len() + self.ema_sigma.len()
    }

    /// The averages of the weights.
    fn ema(&self) -> EmaConfig {
        EmaConfig { decays: self.ema_decay.clone(), warmup: self.ema_warmup, sigma_rel: self.ema_sigma.clone() }
    }

    /// The callbacks of these settings: early stopping, and keeping the best checkpoints on the
    /// process that writes.
    ///
    /// # Errors
    /// A monitored value that is not in the log.
    pub fn observers(&self, out: &Path, info: &RunInfo, writes: bool) -> Result<Vec<Box<dyn Callback>>, TrainError> {
        let mut observers: Vec<Box<dyn Callback>> = Vec::new();
        if self.keep_best > 0 && writes {
            observers.push(Box::new(KeepBest::new(out.join("best"), info.clone(), &self.monitor, self.keep_best)?));
        }
        if self.early_stopping > 0 {
            observers.push(Box::new(EarlyStopping::new(&self.monitor, self.early_stopping, self.min_delta)?));
        }
        Ok(observers)
    }
}
