//! Losses of batches.
//!
//! A task packs the inputs of a step into one [`Block`] on a worker thread, and computes the loss
//! from that block on the device. [`FlowTask`] regresses a network's prediction onto the target of
//! a [`FlowMatching`]. Another task (an autoencoder, say) uses the same loop with its own block and
//! loss.

use crate::TrainError;
use crate::accumulator::{self, BINS};
use crate::batch::Batch;
use crate::batches::{BatchOptions, FlowBatches};
use crate::block::{Block, HostBlock, Packer};
use crate::device_dataset::DeviceDataset;
use crate::pack::{check, pack_conditions};
use crate::trained_source::TrainedSource;
use fm_core::FlowMatching;
use fm_core::data::Dataset;
use fm_core::interpolate::{PathWeights, coefficients};
use fm_core::path::ProbPath;
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel, row_losses};
use fm_core::time::LossAware;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// The field of a block with the one-hot time bin of each row of the whole batch: (whole,
/// [`BINS`]), f64, one 1 per row.
pub const TIME_BINS: &str = "time bins";
/// The same for the bins of loss-aware times, if they are used.
pub const DENSITY_BINS: &str = "density bins";

/// A loss to minimize.
pub trait Task {
    /// Packs batches on worker threads.
    fn packer(&self) -> Box<dyn Pack + '_>;

    /// Checks the task before the first step. `source` is the distribution of x0, if batches have
    /// one.
    ///
    /// # Errors
    /// A task that cannot be trained.
    fn validate(&self, source: Option<&Source>) -> Result<(), TrainError> {
        let _ = source;
        Ok(())
    }

    /// The seed of libtorch's random numbers (dropout).
    fn seed(&self) -> u64 {
        0
    }

    /// The share of `rows` in the mean loss of a batch. Blocks whose activations need not be kept
    /// run through the tape.
    ///
    /// # Errors
    /// A batch that the task cannot use.
    fn loss<'a>(&'a self, inputs: &Inputs, rows: Range<usize>, tape: &mut Tape<'a>) -> Result<LossOutput, TrainError>;
}

/// Packs the inputs of a step on the host.
pub trait Pack: Send + Sync {
    /// The inputs of a step. They depend only on the batch and the context.
    ///
    /// # Errors
    /// A batch or times that the task cannot use.
    fn pack(&self, batch: &Batch, context: &PackContext<'_>) -> Result<HostInputs, TrainError>;
}

/// Context of packing a batch.
#[derive(Debug, Clone, Copy)]
pub struct PackContext<'s> {
    /// The target device of the block.
    pub device: Device,
    /// The density of loss-aware times, if there is one.
    pub density: Option<&'s LossAware>,
}

impl PackContext<'_> {
    /// A context for a device, without loss-aware times.
    pub fn on(device: Device) -> Self {
        Self { device, density: None }
    }
}

/// Inputs of a step, on the host or (as [`Inputs`]) on the device.
#[derive(Debug)]
pub struct StepInputs<B> {
    /// Steps done.
    pub step: u64,
    /// Range of these rows in the whole batch.
    pub rows: Range<usize>,
    /// Rows of the whole batch; other processes may hold some of them.
    pub whole: usize,
    /// Gain of the coupling, if there is one.
    pub coupling_gain: Option<f64>,
    /// The values.
    pub block: B,
}

/// The inputs of a step on the host.
pub type HostInputs = StepInputs<HostBlock>;
/// The inputs of a step on the device.
pub type Inputs = StepInputs<Block>;

impl HostInputs {
    /// Copies the inputs to the device, in one copy.
    pub fn upload(self, device: Device) -> Inputs {
        let Self { step, rows, whole, coupling_gain, block } = self;
        Inputs { step, rows, whole, coupling_gain, block: block.upload(device) }
    }
}

impl Inputs {
    /// Some rows of a field with one value per local row; `rows` are indices in the whole batch.
    pub fn of(&self, name: &str, rows: &Range<usize>) -> Option<Tensor> {
        let all = self.block.get(name)?;
        if *rows == self.rows {
            return Some(all);
        }
        Some(all.narrow(0, rows.start.saturating_sub(self.rows.start) as i64, rows.len() as i64))
    }
}

/// The loss of some rows.
#[derive(Debug)]
pub struct LossOutput {
    /// Sum of their weighted losses, divided by the number of rows of the whole batch; 0-d, on the
    /// device.
    pub loss: Tensor,
    /// The unweighted loss of each row, (rows), on the device, if the block has [`TIME_BINS`].
    pub rows: Option<Tensor>,
}

/// Flow matching: draws times, computes points on the path, and compares the prediction with the
/// target.
#[derive(Debug)]
pub struct FlowTask<'m> {
    /// The network.
    pub model: &'m dyn VelocityModel,
    /// The flow that the network learns.
    pub flow: &'m FlowMatching,
    /// The data, if the device holds them.
    pub resident: Option<DeviceDataset>,
    /// A source that is trained with the network: it makes x0 of the batches' standard normal rows.
    pub trained_source: Option<TrainedSource>,
}

impl<'m> FlowTask<'m> {
    /// Trains a network on batches that contain their data.
    pub fn new(model: &'m dyn VelocityModel, flow: &'m FlowMatching) -> Self {
        Self { model, flow, resident: None, trained_source: None }
    }
}

/// Batches and losses of a flow, for a loop that you write yourself; see
/// [`Trainer`](crate::trainer::Trainer).
pub trait FlowTraining {
    /// Shuffled batches of `rows` rows, as an iterator from step 0.
    ///
    /// # Errors
    /// As [`FlowBatches::new`].
    fn batches<'a>(&'a self, data: &'a dyn Dataset, rows: usize) -> Result<FlowBatches<'a>, TrainError>;

    /// The mean loss of a batch, 0-d, with its autograd graph, on the network's device.
    ///
    /// # Errors
    /// A batch, a time or a network that does not fit the flow.
    fn loss(&self, model: &dyn VelocityModel, batch: &Batch) -> Result<Tensor, TrainError>;
}

impl FlowTraining for FlowMatching {
    fn batches<'a>(&'a self, data: &'a dyn Dataset, rows: usize) -> Result<FlowBatches<'a>, TrainError> {
        let conditional = data.condition_dim() > 0 || data.class(0).is_some();
        FlowBatches::new(self, data, BatchOptions { rows, conditional, ..BatchOptions::default() })
    }

    fn loss(&self, model: &dyn VelocityModel, batch: &Batch) -> Result<Tensor, TrainError> {
        FlowTask::new(model, self).batch_loss(batch)
    }
}

/// Packs batches for a flow.
struct FlowPacker<'m> {
    flow: &'m FlowMatching,
    /// Number of images on the device, if it holds the data.
    resident: Option<usize>,
    /// The conditions that the network takes, if known and not none.
    conditions: Option<ConditionKind>,
}

impl Pack for FlowPacker<'_> {
    fn pack(&self, batch: &Batch, context: &PackContext<'_>) -> Result<HostInputs, TrainError> {
        let PackContext { device, density } = *context;
        let (step, (here, whole)) = (batch.step, batch.span());
        if batch.shape.iter().any(|n| *n < 1) {
            let problem = format!("its rows have shape {:?}; give sizes of at least 1", batch.shape);
            return Err(TrainError::Batch { step, problem });
        }
        let shape = [&[here.len() as i64], &batch.shape[..]].concat();
        let dim = batch.dim();
        let values = here.len().saturating_mul(dim);
        let mut packer = Packer::default();
        packer.push("x0", &batch.x0, &shape);
        if batch.device_rows.is_empty() {
            check("data", batch.x1.len(), values, step)?;
            packer.push("x1", &batch.x1, &shape);
        } else {
            if let Some(pick) =
                batch.device_rows.iter().find(|pick| self.resident.is_none_or(|count| pick.row >= count))
            {
                let problem = format!("it names row {}, which is not on the device; give the task the data", pick.row);
                return Err(TrainError::Batch { step, problem });
            }
            let rows: Vec<i64> = batch.device_rows.iter().map(|pick| pick.row as i64).collect();
            packer.push("picked", &rows, &shape[..1]);
            let mirrored: Vec<bool> = batch.device_rows.iter().map(|pick| pick.mirrored).collect();
            if mirrored.contains(&true) {
                packer.push_bools("mirrored", &mirrored, &shape[..1]);
            }
        }
        pack_conditions(&mut packer, batch, here.len(), self.conditions)?;
        let (objective, key) = (&self.flow.objective, Key::new(self.flow.seed, step, Stream::Time));
        if let Some(noise) = objective.path_noise(key.from_row(here.start as u64), here.len(), dim) {
            packer.push("noise", &noise, &shape);
        }
        // Times are drawn for the whole batch, because its rows may share stratified times.
        let drawn = objective.draw(key, whole, density)?;
        let bins = accumulator::members(&drawn.times, BINS, accumulator::bin);
        packer.push(TIME_BINS, &bins, &[whole as i64, BINS as i64]);
        if let Some(density) = density {
            let bins = accumulator::members(&drawn.positions, density.bins(), |u| density.bin(u));
            packer.push(DENSITY_BINS, &bins, &[whole as i64, density.bins() as i64]);
        }
        let part = |values: &[f64]| values.get(here.clone()).unwrap_or_default().to_vec();
        self.pack_times(&mut packer, &part(&drawn.times), &part(&drawn.weights), batch.shape.len())?;
        let block = packer.finish(device)?;
        Ok(HostInputs { step, rows: here, whole, coupling_gain: batch.coupling_gain, block })
    }
}

impl FlowPacker<'_> {
    /// Packs times, loss weights, and the weights of x1, x0 and noise in x_t and in the target, one
    /// value per row each. Left out: loss weights that are all 1, other weights that are all 0, and
    /// the weights of the target x1 - x0.
    fn pack_times(&self, packer: &mut Packer, times: &[f64], weights: &[f64], axes: usize) -> Result<(), TrainError> {
        let objective = &self.flow.objective;
        let rows = times.len() as i64;
        let f32s = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
        packer.push("time", &f32s(times), &[rows]);
        if weights.iter().any(|w| *w != 1.0) {
            packer.push("weight", &f32s(weights), &[rows]);
        }
        let path = PathWeights::new(&coefficients(&objective.path, times)?, objective.prediction)?;
        if path.need_noise() && !objective.path.has_extra_noise() {
            return Err(fm_core::Error::MissingNoise { path: objective.path.name() }.into());
        }
        let column = std::iter::once(rows).chain(std::iter::repeat_n(1, axes)).collect::<Vec<_>>();
        let all = |values: &[f64], value: f64| values.iter().all(|v| *v == value);
        let straight = all(&path.target[0], 1.0) && all(&path.target[1], -1.0) && all(&path.target[2], 0.0);
        let columns = POSITION.iter().zip(&path.position).chain(TARGET.iter().zip(&path.target).filter(|_| !straight));
        for (name, values) in columns.filter(|(_, values)| !all(values, 0.0)) {
            packer.push(name, &f32s(values), &column);
        }
        Ok(())
    }
}

/// Names of the weights of x1, x0 and noise.
const POSITION: [&str; 3] = ["position x1", "position x0", "position noise"];
const TARGET: [&str; 3] = ["target x1", "target x0", "target noise"];

impl Task for FlowTask<'_> {
    fn validate(&self, source: Option<&Source>) -> Result<(), TrainError> {
        if source.is_some_and(|source| *source != self.flow.source) {
            let found = "another one than that of the batches";
            return Err(TrainError::setting("source of the flow", found, "make batches and task from one flow"));
        }
        Ok(self.flow.validate()?)
    }

    fn seed(&self) -> u64 {
        self.flow.seed
    }

    fn packer(&self) -> Box<dyn Pack + '_> {
        let conditions = self.model.condition_kind().filter(|kind| *kind != ConditionKind::None);
        Box::new(FlowPacker { flow: self.flow, resident: self.resident.as_ref().map(DeviceDataset::len), conditions })
    }

    fn loss<'a>(&'a self, inputs: &Inputs, rows: Range<usize>, tape: &mut Tape<'a>) -> Result<LossOutput, TrainError> {
        let predict = |x: &Tensor, t: &Tensor, classes: Option<&Tensor>| self.model.forward_taped(tape, x, t, classes);
        let losses = self.losses(inputs, &rows, predict)?;
        let loss = weighted_mean(&losses, inputs, &rows) * (rows.len() as f64 / inputs.whole as f64);
        Ok(LossOutput { loss, rows: Some(losses) })
    }
}

impl FlowTask<'_> {
    /// The mean loss of a batch, 0-d, for a loop that you write yourself: draws the times of its
    /// step, uploads, and computes.
    ///
    /// # Errors
    /// A batch, a time or a network that does not fit the task.
    pub fn batch_loss(&self, batch: &Batch) -> Result<Tensor, TrainError> {
        let device = self.model.device();
        let inputs = self.packer().pack(batch, &PackContext::on(device))?.upload(device);
        if inputs.rows.is_empty() {
            return Err(TrainError::Batch { step: batch.step, problem: "it has no rows; check the data".into() });
        }
        // Without a tape, so that autograd records the whole graph.
        let predict = |x: &Tensor, t: &Tensor, classes: Option<&Tensor>| self.model.forward_t(x, t, classes, true);
        let losses = self.losses(&inputs, &inputs.rows, predict)?;
        Ok(weighted_mean(&losses, &inputs, &inputs.rows))
    }

    /// The unweighted loss of each row of a block, (rows), f64, and their weighted mean, without
    /// dropout and without an autograd graph.
    pub(crate) fn unrecorded(&self, inputs: &Inputs) -> Result<(Tensor, f64), TrainError> {
        tch::no_grad(|| {
            let predict = |x: &Tensor, t: &Tensor, classes: Option<&Tensor>| self.model.forward_t(x, t, classes, false);
            let losses = self.losses(inputs, &inputs.rows, predict)?;
            let exact = losses.to_kind(Kind::Double);
            let weighted = inputs.of("weight", &inputs.rows).map_or_else(|| exact.shallow_clone(), |w| &exact * w);
            Ok((exact, weighted.mean(Kind::Double).double_value(&[])))
        })
    }

    /// The unweighted loss of each of these rows, (rows), with any function that calls the network.
    ///
    /// # Errors
    /// Inputs that were packed for another task.
    pub fn losses(
        &self,
        inputs: &Inputs,
        rows: &Range<usize>,
        predict: impl FnOnce(&Tensor, &Tensor, Option<&Tensor>) -> Tensor,
    ) -> Result<Tensor, TrainError> {
        let lacks = |name: &str| TrainError::Batch {
            step: inputs.step,
            problem: format!("its block has no {name}; pack it with the task's own packer"),
        };
        let need = |name: &str| inputs.of(name, rows).ok_or_else(|| lacks(name));
        let x0 = need("x0")?;
        if let Some(row) = self.model.row_shape().filter(|row| x0.size()[1..] != row[..]) {
            let problem = format!("its rows have shape {:?}, the network's {row:?}; give it its own", &x0.size()[1..]);
            return Err(TrainError::Batch { step: inputs.step, problem });
        }
        let x0 = match &self.trained_source {
            Some(source) if x0.size()[1..] != [source.dim()] => {
                let found = format!("of {} values", source.dim());
                return Err(TrainError::setting("trained source", found, "give it one value per value of a row"));
            }
            Some(source) => source.transform(&x0),
            None => x0,
        };
        let x1 = match (&self.resident, inputs.of("picked", rows)) {
            (Some(images), Some(picked)) => images.select(&picked, inputs.of("mirrored", rows).as_ref()),
            _ => need("x1")?,
        };
        let states = [Some(x1), Some(x0), inputs.of("noise", rows)];
        let x_t = combination(inputs, POSITION, &states, rows).ok_or_else(|| lacks("weights of x_t"))?;
        // Straight paths: same bits as with weights 1 and -1.
        let [x1, x0, _] = &states;
        let straight = || Some(x1.as_ref()? - x0.as_ref()?);
        let target = combination(inputs, TARGET, &states, rows).or_else(straight).ok_or_else(|| lacks("target"))?;
        let prediction = predict(&x_t, &need("time")?, inputs.of("condition", rows).as_ref());
        Ok(row_losses(&prediction, &target, &self.flow.objective.loss, self.flow.objective.reduction)?)
    }
}

/// The weighted mean of row losses.
fn weighted_mean(losses: &Tensor, inputs: &Inputs, rows: &Range<usize>) -> Tensor {
    match inputs.of("weight", rows) {
        Some(weights) => (losses * weights).mean(Kind::Float),
        None => losses.mean(Kind::Float),
    }
}

/// The sum of weight times state over the named weights that the block has; `None` if it has none
/// of them.
fn combination(inputs: &Inputs, names: [&str; 3], states: &[Option<Tensor>; 3], rows: &Range<usize>) -> Option<Tensor> {
    let weighted = names.iter().zip(states).filter_map(|(name, state)| Some((inputs.of(name, rows)?, state.as_ref()?)));
    weighted.fold(None, |sum, (weight, state)| match sum {
        None => Some(state * weight),
        Some(sum) => Some(sum.addcmul(state, &weight)),
    })
}
