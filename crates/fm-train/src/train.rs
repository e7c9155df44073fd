//! The training loop.
//!
//! A step takes a batch's loss from its [`Task`], back-propagates it, clips the gradient by its global norm, and updates the weights and
//! their average. Nothing is read back from the device but on logging steps (and where
//! loss-aware times move); the loss is summed on the device in between.

use crate::TrainError;
use crate::adamw::{AdamW, AdamWConfig};
use crate::adaptive::{self, AdaptiveTimes};
use crate::batch::{Batch, BatchSource, Prefetch};
use crate::ema::Ema;
use crate::flat::FlatParams;
use crate::schedule::Schedule;
use crate::task::{At, Task};
use fm_core::rng::{Stream, torch_seed};
use fm_core::tape::Tape;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Everything that changes while training, and therefore everything that a checkpoint holds.
#[derive(Debug)]
pub struct TrainState {
    /// The weights.
    pub params: FlatParams,
    /// The optimizer.
    pub optimizer: AdamW,
    /// The averaged weights, which sampling uses.
    pub ema: Ema,
    /// Steps done.
    pub step: u64,
    /// Sum of losses since the last line of the log, f64, on the device.
    pub loss_sum: Tensor,
    /// Steps in that sum.
    pub loss_steps: u64,
    /// Where the loss is large, if times follow it.
    pub adaptive: Option<AdaptiveTimes>,
}

/// A line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Steps done.
    pub step: u64,
    /// Mean loss since the line before.
    pub loss: f64,
    /// The loss less what no network can avoid, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excess: Option<f64>,
    /// Gradient norm of this step, before clipping.
    pub grad_norm: f64,
    /// Learning rate of this step.
    pub lr: f64,
}

/// The fixed part of a run.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Steps of the whole run.
    pub steps: u64,
    /// Worker threads that make batches; 0 makes them in the loop.
    pub workers: usize,
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Gradient norm to clip at.
    pub clip: f64,
    /// The learning rate.
    pub schedule: Schedule,
    /// Seeds times and what libtorch draws (dropout).
    pub seed: u64,
    /// Whether blocks compute their activations again on the way back instead of keeping them: less memory, more time.
    pub checkpoint_activations: bool,
    /// The loss that no network can avoid, where it is known; the log then shows the excess over it.
    pub irreducible: Option<f64>,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Train on.
    Continue,
    /// Stop after this step.
    Stop,
}

/// Looks on while a run trains: progress, logs, checkpoints, pictures.
pub trait Observer {
    /// Called after every step, with a record on logging steps.
    ///
    /// # Errors
    /// Whatever the observer's files do; the run ends with it.
    fn after_step(&mut self, state: &mut TrainState, record: Option<&Record>) -> Result<Flow, TrainError>;
}

impl TrainState {
    /// The state before the first step. `loss_aware_bins` is the objective's; 0 for times that do not follow the loss.
    pub fn new(params: FlatParams, adamw: AdamWConfig, ema_decay: f64, loss_aware_bins: usize) -> Self {
        let (optimizer, ema) = (AdamW::new(&params.master, adamw), Ema::new(&params.master, ema_decay));
        let loss_sum = Tensor::zeros([], (Kind::Double, params.device()));
        let adaptive = (loss_aware_bins > 0).then(|| AdaptiveTimes::new(loss_aware_bins, params.device()));
        Self { params, optimizer, ema, step: 0, loss_sum, loss_steps: 0, adaptive }
    }

    /// Closes a line of the log. Device-to-host reads: two numbers.
    fn take_record(&mut self, grad_norm: &Tensor, lr: f64, irreducible: Option<f64>) -> Result<Record, TrainError> {
        let loss = self.loss_sum.double_value(&[]) / self.loss_steps as f64;
        let grad_norm = grad_norm.double_value(&[]);
        let _ = self.loss_sum.zero_();
        self.loss_steps = 0;
        if loss.is_finite() && grad_norm.is_finite() {
            Ok(Record { step: self.step, loss, excess: irreducible.map(|least| loss - least), grad_norm, lr })
        } else {
            Err(TrainError::NonFinite { step: self.step, loss })
        }
    }
}

/// Trains from `state.step` to `options.steps`, or until an observer stops it.
///
/// # Errors
/// A batch that cannot be made, a time that the objective cannot use, a loss that is not finite on a logging step, and what the observer
/// returns.
pub fn train(
    task: &dyn Task,
    source: &dyn BatchSource,
    state: &mut TrainState,
    options: &TrainOptions,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    std::thread::scope(|scope| {
        let mut batches = Prefetch::start(scope, source, state.step..options.steps, options.workers);
        while state.step < options.steps {
            let batch = batches.take(state.step)?;
            let lr = options.schedule.at(state.step);
            let (loss, grad_norm) = step(task, &batch, state, options, lr)?;
            state.loss_sum += loss;
            state.loss_steps += 1;
            state.step += 1;
            let logging = state.step.is_multiple_of(options.log_every) || state.step == options.steps;
            let record = if logging { Some(state.take_record(&grad_norm, lr, options.irreducible)?) } else { None };
            if observer.after_step(state, record.as_ref())? == Flow::Stop {
                break;
            }
        }
        Ok(())
    })
}

/// Forward, backward, update. Returns the loss and the gradient norm, both still on the device.
fn step(
    task: &dyn Task,
    batch: &Batch,
    state: &mut TrainState,
    options: &TrainOptions,
    lr: f64,
) -> Result<(Tensor, Tensor), TrainError> {
    let seed = torch_seed(options.seed, state.step, Stream::Torch);
    tch::manual_seed(seed);
    let mut tape = if options.checkpoint_activations { Tape::on(seed) } else { Tape::off() };
    let at = At { seed: options.seed, step: state.step, device: state.params.device() };
    let loss = task.loss(batch, at, state.adaptive.as_mut(), &mut tape)?;
    let mut gradient = state.params.backward(&loss, tape);
    let norm = gradient.norm();
    // min(1, clip / (norm + 1e-6)), as PyTorch's clip_grad_norm_, without reading the norm back.
    let scale = (options.clip / (&norm + 1e-6)).clamp_max(1.0);
    let _ = gradient.g_mul_(&scale);
    state.optimizer.step(&mut state.params.master, &gradient, lr);
    state.params.refresh();
    state.ema.update(&state.params.master);
    if let Some(adaptive) = &mut state.adaptive
        && (state.step + 1).is_multiple_of(adaptive::EVERY)
    {
        adaptive.adopt();
    }
    Ok((loss.detach().to_kind(Kind::Double), norm))
}
