//! The training loop.
//!
//! Each step computes the loss of one batch from its [`Task`], backpropagates, all-reduces the
//! gradient over [`collective`](crate::collective), clips it by its global norm, and updates the
//! weights and their EMA. A step with a non-finite loss or gradient is counted and leaves the
//! weights unchanged; the EMA is still updated with them. The loop uploads one block per step and
//! reads from the device only on logging steps (and when loss-aware times are updated), so it never
//! stalls a GPU.

use crate::TrainError;
use crate::batch::{Batch, BatchSource};
use crate::callbacks::Callback;
use crate::collective::{Collective, SingleProcess};
use crate::loss_aware;
use crate::optimizer::Scaling;
use crate::overlap::Overlap;
use crate::prefetch::Prefetch;
use crate::record::LogRecord;
use crate::schedule::{Decay, Schedule};
pub use crate::state::TrainState;
use crate::task::{DENSITY_BINS, HostInputs, Inputs, LossOutput, Pack, PackContext, TIME_BINS, Task};
use fm_core::rng::{Key, Stream};
use fm_core::tape::Tape;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::{Device, Kind, Tensor};

/// Options of the training loop.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Total number of steps of the run.
    pub steps: u64,
    /// Worker threads that make batches; 0 makes them in the loop.
    pub workers: usize,
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Gradient norm to clip at.
    pub clip: f64,
    /// The learning rate.
    pub schedule: Schedule,
    /// Rows per forward and backward pass, with gradients accumulated over the batch; 0 for the
    /// whole batch.
    pub micro_batch: usize,
    /// Number of consecutive steps with a non-finite loss or gradient after which the run fails.
    pub patience: u64,
    /// Whether blocks recompute their activations in the backward pass instead of storing them:
    /// less memory, more time.
    pub checkpoint_activations: bool,
    /// The irreducible loss, if it is known; the log then shows the excess over it.
    pub irreducible: Option<f64>,
    /// The processes that train the same model.
    pub collective: Arc<dyn Collective>,
    /// Stop flag: set it in any process to stop the run after the current step.
    pub interrupted: Arc<AtomicBool>,
}

impl Default for TrainOptions {
    /// 1000 steps at a constant rate of 1e-3, by one process.
    fn default() -> Self {
        let (steps, lr) = (1000, 1e-3);
        Self {
            steps,
            workers: 1,
            log_every: 100,
            clip: 1.0,
            schedule: Schedule { lr, warmup_steps: 0, decay: Decay::Constant },
            micro_batch: 0,
            patience: 10,
            checkpoint_activations: false,
            irreducible: None,
            collective: Arc::new(SingleProcess),
            interrupted: Arc::default(),
        }
    }
}

impl TrainOptions {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`TrainError::Setting`].
    pub fn validate(&self) -> Result<(), TrainError> {
        self.schedule.validate()?;
        if self.clip.is_nan() || self.clip <= 0.0 {
            let remedy = "give more than 0, or infinity for no clipping";
            return Err(TrainError::setting("gradient clipping norm", self.clip, remedy));
        }
        if self.patience == 0 {
            return Err(TrainError::setting("patience for non-finite steps", 0, "give at least 1"));
        }
        Ok(())
    }
}

impl TrainState {
    /// Completes a line of the log. Device-to-host reads: the accumulator and a norm.
    fn take_record(&mut self, done: &StepInfo, options: &TrainOptions, seed: u64) -> Result<LogRecord, TrainError> {
        let seen = self.tally.take();
        if seen.worst >= options.patience {
            return Err(TrainError::NonFinite { step: self.step, in_a_row: seen.worst, seed });
        }
        let change = done.before.as_ref().map(|before| (&self.params.master - before).norm() / before.norm());
        let finite = |x: f64| x.is_finite().then_some(x);
        Ok(LogRecord {
            step: self.step,
            epoch: self.epoch.map(|epoch| epoch.passes(self.step)),
            loss: seen.loss,
            epoch_loss: seen.epoch_loss,
            excess: options.irreducible.map(|least| seen.loss - least),
            loss_by_time: if seen.bins.iter().all(|b| b.is_nan()) {
                Vec::new()
            } else {
                seen.bins.iter().copied().map(finite).collect()
            },
            grad_norm: seen.grad_norm,
            update_ratio: change.map_or(f64::NAN, |c| c.double_value(&[])),
            lr: done.lr,
            coupling_gain: seen.gain,
            val_loss: None,
            val_loss_raw: None,
            val_loss_by_time: Vec::new(),
            val_loss_raw_by_time: Vec::new(),
            quality: None,
            skipped: seen.skipped,
        })
    }
}

/// Trains from `state.step` to `options.steps`, or until a callback or an interruption stops the
/// run.
///
/// # Errors
/// Invalid settings ([`TrainOptions::validate`] and those of the task and the source of batches),
/// before the first step; a batch that cannot be made; a time that the objective cannot use; too
/// many consecutive steps with a non-finite loss (detected on logging steps); a lost process; the
/// error of a callback.
pub fn train(
    task: &dyn Task,
    source: &dyn BatchSource,
    state: &mut TrainState,
    options: &TrainOptions,
    observer: &mut dyn Callback,
) -> Result<(), TrainError> {
    options.validate()?;
    state.ema.config.validate()?;
    source.validate()?;
    task.validate(source.source())?;
    let device = state.params.device();
    let pack = task.packer();
    let ahead = Ahead { source, pack: pack.as_ref(), device, follows_loss: state.adaptive.is_some() };
    let make = |step| ahead.make(step);
    let mut overlap = Overlap::new(&state.params);
    std::thread::scope(|scope| {
        let mut batches = Prefetch::start(scope, &make, state.step..options.steps, options.workers);
        while state.step < options.steps {
            let batch = ahead.inputs(batches.take(state.step)?, state)?.upload(device);
            let logging = (state.step + 1).is_multiple_of(options.log_every) || state.step + 1 == options.steps;
            let done = step(task, &batch, state, options, &mut overlap, logging)?;
            let mut record = logging.then(|| state.take_record(&done, options, task.seed())).transpose()?;
            if let Some(record) = &mut record {
                observer.measure(state, record)?;
            }
            // Every process sees the flag, whichever process it was set in.
            options.interrupted.fetch_or(done.interrupted, Ordering::SeqCst);
            if observer.after_step(state, record.as_ref())? == ControlFlow::Break(()) || done.interrupted {
                break;
            }
        }
        observer.at_end(state)
    })
}

/// The result of a worker thread for one step.
enum Made {
    Packed(HostInputs),
    /// Packed in the loop, because its times depend on the losses of earlier steps.
    Batch(Batch),
}

/// Makes batches ahead of the loop.
struct Ahead<'a> {
    source: &'a dyn BatchSource,
    pack: &'a dyn Pack,
    device: Device,
    follows_loss: bool,
}

impl Ahead<'_> {
    fn make(&self, step: u64) -> Result<Made, TrainError> {
        TrainError::caught(step, || self.make_here(step))
    }

    fn make_here(&self, step: u64) -> Result<Made, TrainError> {
        let made = self.source.batch(step);
        let mut batch = made.map_err(|problem| TrainError::Batch { step, problem: problem.to_string() })?;
        batch.step = step;
        if self.follows_loss {
            return Ok(Made::Batch(batch));
        }
        self.pack.pack(&batch, &PackContext::on(self.device)).map(Made::Packed)
    }

    fn inputs(&self, made: Made, state: &TrainState) -> Result<HostInputs, TrainError> {
        match made {
            Made::Packed(inputs) => Ok(inputs),
            Made::Batch(batch) => {
                let density = state.adaptive.as_ref().map(|a| &a.law);
                let context = PackContext { device: self.device, density };
                self.pack.pack(&batch, &context)
            }
        }
    }
}

/// Per-step values needed for logging.
struct StepInfo {
    lr: f64,
    /// The weights before the update, on logging steps.
    before: Option<Tensor>,
    /// Whether the stop flag is set in any process.
    interrupted: bool,
}

/// Forward pass, backward pass and update; reads nothing back from the device.
fn step(
    task: &dyn Task,
    inputs: &Inputs,
    state: &mut TrainState,
    options: &TrainOptions,
    overlap: &mut Overlap,
    logging: bool,
) -> Result<StepInfo, TrainError> {
    let mut found = gradient(task, inputs, state, options, overlap)?;
    let interrupted = found.all_reduce(inputs, options, overlap)?;
    let StepGradient { loss, gradient, rows, .. } = found;
    if let (Some(losses), Some(members)) = (&rows, inputs.block.get(TIME_BINS)) {
        state.tally.rows(&members, losses);
    }
    if let (Some(losses), Some(members), Some(adaptive)) = (&rows, inputs.block.get(DENSITY_BINS), &mut state.adaptive)
    {
        adaptive.see(&members, losses);
    }
    let norm = gradient.norm();
    let ends_epoch = state.epoch.is_some_and(|epoch| epoch.ends_with(state.step + 1));
    let update = state.tally.step(&loss, &norm, inputs.coupling_gain, ends_epoch);
    let scaling = Scaling::by_norm(&norm, options.clip, &update);
    let lr = options.schedule.at(state.step, options.steps);
    let before = logging.then(|| state.params.master.copy());
    state.optimizer.step(&mut state.params.master, &gradient, lr, &scaling)?;
    state.params.refresh();
    state.ema.update(&state.params.master);
    state.step += 1;
    if let Some(adaptive) = &mut state.adaptive
        && state.step.is_multiple_of(loss_aware::EVERY)
    {
        adaptive.adopt();
    }
    Ok(StepInfo { lr, before, interrupted })
}

/// Loss and gradient of the rows of a batch that this process holds.
struct StepGradient {
    /// Their share of the mean loss, f64.
    loss: Tensor,
    gradient: Tensor,
    /// The unweighted loss of each of these rows.
    rows: Option<Tensor>,
    exchange: Exchange,
}

/// State of the gradient exchange between processes.
enum Exchange {
    /// Not started.
    Open,
    /// Not started; the processes must first agree on the order of buckets.
    Order(Tensor),
    /// The gradient is already summed.
    Finished,
}

impl StepGradient {
    /// Sums loss, gradient and row losses over all processes. Returns whether the stop flag is set
    /// in any process.
    fn all_reduce(
        &mut self,
        inputs: &Inputs,
        options: &TrainOptions,
        overlap: &mut Overlap,
    ) -> Result<bool, TrainError> {
        let raised = options.interrupted.load(Ordering::SeqCst);
        if options.collective.is_alone() {
            return Ok(raised);
        }
        // The batch loss, followed by the loss of each row at its index.
        let whole = if self.rows.is_some() { inputs.whole as i64 } else { 0 };
        let shared = Tensor::zeros([1 + whole], (Kind::Double, self.loss.device()));
        shared.get(0).copy_(&self.loss);
        if let Some(losses) = &self.rows {
            shared.narrow(0, 1 + inputs.rows.start as i64, losses.numel() as i64).copy_(&losses.detach());
        }
        // On the host, so that reading it does not wait for the device.
        let mut exact = vec![shared, Tensor::from(f64::from(raised))];
        if let Exchange::Order(order) = &self.exchange {
            exact.push(order.shallow_clone());
        }
        let summed = matches!(self.exchange, Exchange::Finished);
        let gradient = (!summed).then_some(&mut self.gradient);
        options.collective.all_reduce(gradient, &mut exact).map_err(TrainError::Collective)?;
        exact.get(2).into_iter().for_each(|order| overlap.adopt(order));
        self.loss = exact[0].get(0);
        if self.rows.is_some() {
            self.rows = Some(exact[0].narrow(0, 1, whole));
        }
        Ok(exact[1].double_value(&[]) > 0.0)
    }
}

/// Loss and gradient of the rows that this process holds, in one pass or accumulated over parts of
/// the batch.
fn gradient(
    task: &dyn Task,
    inputs: &Inputs,
    state: &mut TrainState,
    options: &TrainOptions,
    overlap: &mut Overlap,
) -> Result<StepGradient, TrainError> {
    let here = inputs.rows.clone();
    // Each process uses its own dropout masks, because its rows differ.
    let seed =
        |first: usize| Key::new(task.seed(), state.step, Stream::Torch).torch_seed().wrapping_add((first as i64) << 20);
    tch::manual_seed(seed(here.start));
    let size = if options.micro_batch == 0 { here.len() } else { options.micro_batch }.max(1);
    let (mut sum, mut losses): (Option<StepGradient>, Vec<Tensor>) = (None, Vec::new());
    for first in here.clone().step_by(size) {
        let mut tape = if options.checkpoint_activations { Tape::on(seed(first)) } else { Tape::off() };
        let part = first..here.end.min(first + size);
        let LossOutput { loss, rows } = task.loss(inputs, part, &mut tape)?;
        // Recomputed blocks and parts of a batch complete a gradient in several passes, so they
        // cannot overlap the exchange.
        let whole = size >= here.len() && tape.is_empty() && !options.collective.is_alone();
        let (gradient, exchange) = match whole {
            false => (state.params.backward(&loss, tape)?, Exchange::Open),
            true if overlap.is_ready() => {
                (overlap.backward(&state.params, &loss, options.collective.as_ref())?, Exchange::Finished)
            }
            true => {
                let first = options.collective.shard().rank == 0;
                let (gradient, order) = overlap.record(&mut state.params, &loss, first)?;
                (gradient, Exchange::Order(order))
            }
        };
        let loss = loss.detach().to_kind(Kind::Double);
        let rows = rows.map(|rows| rows.detach());
        losses.extend(rows.as_ref().map(Tensor::shallow_clone));
        sum = Some(match sum {
            None if size >= here.len() => StepGradient { loss, gradient, rows, exchange },
            // A copy, because the next part's gradient is written to the same memory.
            None => StepGradient { loss, gradient: gradient.copy(), rows, exchange },
            Some(sum) => {
                StepGradient { loss: sum.loss + loss, gradient: sum.gradient + gradient, rows: sum.rows, exchange }
            }
        });
    }
    let mut found =
        sum.ok_or_else(|| TrainError::Batch { step: state.step, problem: "it has no rows; check the data".into() })?;
    if losses.len() > 1 {
        found.rows = Some(Tensor::cat(&losses, 0));
    }
    Ok(found)
}
