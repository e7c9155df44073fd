//! Losses of batches.
//!
//! A task packs what a step needs from the host into one [`Block`], on a worker thread, and computes the loss from that block on the device.
//! [`FlowMatching`] regresses a network's prediction onto an objective's target. Another task (an autoencoder, say) runs through the same loop
//! by giving its own block and loss.

use crate::TrainError;
use crate::accumulator::{self, BINS};
use crate::batch::Batch;
use crate::block::{Block, HostBlock, Packer};
use crate::device_dataset::DeviceDataset;
use fm_core::interpolate::{PathWeights, coefficients};
use fm_core::objective::Objective;
use fm_core::path::ProbPath;
use fm_core::source::Source;
use fm_core::tape::Tape;
use fm_core::tensor::{VelocityModel, row_losses};
use fm_core::time::LossAware;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// The field of a block that says which bin of time each row of the whole batch belongs to: (whole, [`BINS`]), f64, one 1 per row.
pub const TIME_BINS: &str = "time bins";
/// The same for the bins of loss-aware times, where times follow the loss.
pub const DENSITY_BINS: &str = "density bins";

/// A loss to minimize.
pub trait Task {
    /// Packs batches on worker threads.
    fn packer(&self) -> Box<dyn Pack + '_>;

    /// Checks the task before the first step, with the source that x0 is drawn from where batches have one.
    ///
    /// # Errors
    /// A task that cannot be trained.
    fn validate(&self, source: Option<&Source>) -> Result<(), TrainError> {
        let _ = source;
        Ok(())
    }

    /// The share of some rows in the mean loss of a batch; blocks whose activations need not be kept run through the tape.
    ///
    /// # Errors
    /// A batch that the task cannot use.
    fn loss<'a>(&'a self, inputs: &Inputs, rows: Range<usize>, tape: &mut Tape<'a>) -> Result<LossOutput, TrainError>;
}

/// Packs what a step needs from the host.
pub trait Pack: Send + Sync {
    /// The inputs of a step. They depend on the batch and the context alone.
    ///
    /// # Errors
    /// A batch or times that the task cannot use.
    fn pack(&self, batch: &Batch, context: &PackContext<'_>) -> Result<HostInputs, TrainError>;
}

/// Context of packing a batch.
#[derive(Debug, Clone, Copy)]
pub struct PackContext<'s> {
    /// The run's seed.
    pub seed: u64,
    /// Steps done.
    pub step: u64,
    /// Where the block will go.
    pub device: Device,
    /// The density of times that follow the loss, if they do.
    pub density: Option<&'s LossAware>,
}

impl PackContext<'_> {
    /// Step `step` of a run with this seed, without loss-aware times.
    pub fn at(seed: u64, step: u64, device: Device) -> Self {
        Self { seed, step, device, density: None }
    }
}

/// What a step needs, on the host or (as [`Inputs`]) on the device.
#[derive(Debug)]
pub struct StepInputs<B> {
    /// Steps done.
    pub step: u64,
    /// Which rows of the whole batch are here.
    pub rows: Range<usize>,
    /// Rows of the whole batch, of which other processes may have others.
    pub whole: usize,
    /// What the coupling gained, where there was one.
    pub coupling_gain: Option<f64>,
    /// The values.
    pub block: B,
}

/// The inputs of a step on the host.
pub type HostInputs = StepInputs<HostBlock>;
/// The inputs of a step on the device.
pub type Inputs = StepInputs<Block>;

impl HostInputs {
    /// One copy to the device.
    pub fn upload(self, device: Device) -> Inputs {
        let Self { step, rows, whole, coupling_gain, block } = self;
        Inputs { step, rows, whole, coupling_gain, block: block.upload(device) }
    }
}

impl Inputs {
    /// Some rows of a field that has a value for each row that is here; `rows` count in the whole batch.
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
    /// The sum of their weighted losses over the number of rows of the whole batch, 0-d, on the device.
    pub loss: Tensor,
    /// The loss of each row, not weighted, (rows), on the device, where the block has [`TIME_BINS`].
    pub rows: Option<Tensor>,
}

/// Flow matching: draws times, puts a batch on its path and compares the prediction with the target.
#[derive(Debug)]
pub struct FlowMatching<'m, P> {
    /// The network.
    pub model: &'m dyn VelocityModel,
    /// What it is to predict.
    pub objective: Objective<P>,
    /// The shape of one data row.
    pub shape: Vec<i64>,
    /// The data, where the device holds them.
    pub resident: Option<DeviceDataset>,
    /// Logarithms of a deviation for each value of a source row, a parameter that is trained with the network; x0 is multiplied by the
    /// deviations.
    pub log_scale: Option<Tensor>,
}

impl<'m, P> FlowMatching<'m, P> {
    /// On batches that bring their data along.
    pub fn new(model: &'m dyn VelocityModel, objective: Objective<P>, shape: Vec<i64>) -> Self {
        Self { model, objective, shape, resident: None, log_scale: None }
    }
}

/// Packs batches for an objective.
struct FlowPacker<'m, P> {
    objective: &'m Objective<P>,
    shape: &'m [i64],
    /// Images on the device, where there are any.
    resident: Option<usize>,
}

impl<P: ProbPath> Pack for FlowPacker<'_, P> {
    fn pack(&self, batch: &Batch, context: &PackContext<'_>) -> Result<HostInputs, TrainError> {
        let PackContext { seed, step, device, density } = *context;
        let (here, whole) = batch.span(self.shape);
        let shape = [&[here.len() as i64], self.shape].concat();
        // No batch has as many values as a shape that is too large to count.
        let sizes = shape.iter().map(|n| usize::try_from(*n).unwrap_or(usize::MAX));
        let values = sizes.fold(1, usize::saturating_mul);
        let dim = values / here.len().max(1);
        check("source", batch.x0.len(), values, step)?;
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
        if !batch.classes.is_empty() {
            check("class", batch.classes.len(), here.len(), step)?;
            packer.push("class", &batch.classes, &shape[..1]);
        }
        let first = here.start as u64;
        if let Some(noise) = self.objective.path_noise(seed, step, first, here.len(), dim) {
            packer.push("noise", &noise, &shape);
        }
        // Drawn for the whole batch, because its rows may share the times out among them.
        let drawn = self.objective.draw(seed, step, whole, density)?;
        let bins = accumulator::members(&drawn.times, BINS, accumulator::bin);
        packer.push(TIME_BINS, &bins, &[whole as i64, BINS as i64]);
        if let Some(density) = density {
            let bins = accumulator::members(&drawn.positions, density.bins(), |u| density.bin(u));
            packer.push(DENSITY_BINS, &bins, &[whole as i64, density.bins() as i64]);
        }
        let part = |values: &[f64]| values.get(here.clone()).unwrap_or_default().to_vec();
        self.pack_times(&mut packer, &part(&drawn.times), &part(&drawn.weights))?;
        let block = packer.finish(device)?;
        Ok(HostInputs { step, rows: here, whole, coupling_gain: batch.coupling_gain, block })
    }
}

impl<P: ProbPath> FlowPacker<'_, P> {
    /// Times, loss weights, and the weights of x1, x0 and noise in x_t and in the target, one value per row each. Weights that are all 1 (of
    /// losses) or all 0 are left out, and those of the target x1 - x0.
    fn pack_times(&self, packer: &mut Packer, times: &[f64], weights: &[f64]) -> Result<(), TrainError> {
        let rows = times.len() as i64;
        let f32s = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
        packer.push("time", &f32s(times), &[rows]);
        if weights.iter().any(|w| *w != 1.0) {
            packer.push("weight", &f32s(weights), &[rows]);
        }
        let path = PathWeights::new(&coefficients(&self.objective.path, times)?, self.objective.prediction)?;
        if path.need_noise() && !self.objective.path.has_extra_noise() {
            return Err(fm_core::Error::MissingNoise { path: self.objective.path.name() }.into());
        }
        let column = std::iter::once(rows).chain(self.shape.iter().map(|_| 1)).collect::<Vec<_>>();
        let all = |values: &[f64], value: f64| values.iter().all(|v| *v == value);
        let straight = all(&path.target[0], 1.0) && all(&path.target[1], -1.0) && all(&path.target[2], 0.0);
        let columns = POSITION.iter().zip(&path.position).chain(TARGET.iter().zip(&path.target).filter(|_| !straight));
        for (name, values) in columns.filter(|(_, values)| !all(values, 0.0)) {
            packer.push(name, &f32s(values), &column);
        }
        Ok(())
    }
}

/// Weights of x1, x0 and noise.
const POSITION: [&str; 3] = ["position x1", "position x0", "position noise"];
const TARGET: [&str; 3] = ["target x1", "target x0", "target noise"];

fn check(what: &str, got: usize, expected: usize, step: u64) -> Result<(), TrainError> {
    if got == expected {
        return Ok(());
    }
    let problem = format!("its {what} rows have {got} values instead of {expected}; check the shape of a row");
    Err(TrainError::Batch { step, problem })
}

impl<P: ProbPath> Task for FlowMatching<'_, P> {
    fn validate(&self, source: Option<&Source>) -> Result<(), TrainError> {
        if self.shape.iter().any(|n| *n < 1) {
            return Err(TrainError::setting("shape of a row", format!("{:?}", self.shape), "give sizes of at least 1"));
        }
        if let Some(scale) = &self.log_scale
            && scale.size() != self.shape
        {
            let remedy = "give one logarithm per value of a row";
            return Err(TrainError::setting("log_scale", format!("of shape {:?}", scale.size()), remedy));
        }
        Ok(self.objective.validate(source.unwrap_or(&Source::default()))?)
    }

    fn packer(&self) -> Box<dyn Pack + '_> {
        let resident = self.resident.as_ref().map(DeviceDataset::len);
        Box::new(FlowPacker { objective: &self.objective, shape: &self.shape, resident })
    }

    fn loss<'a>(&'a self, inputs: &Inputs, rows: Range<usize>, tape: &mut Tape<'a>) -> Result<LossOutput, TrainError> {
        let predict = |x: &Tensor, t: &Tensor, classes: Option<&Tensor>| self.model.forward_taped(tape, x, t, classes);
        let losses = self.losses(inputs, &rows, predict)?;
        let loss = weighted_mean(&losses, inputs, &rows) * (rows.len() as f64 / inputs.whole as f64);
        Ok(LossOutput { loss, rows: Some(losses) })
    }
}

impl<P: ProbPath> FlowMatching<'_, P> {
    /// The mean loss of a batch, 0-d, for a loop that you write yourself: draws the times of (seed, step), uploads, and computes.
    ///
    /// # Errors
    /// A batch, a time or a network that does not fit the task.
    pub fn batch_loss(&self, batch: &Batch, context: &PackContext<'_>) -> Result<Tensor, TrainError> {
        let inputs = self.packer().pack(batch, context)?.upload(context.device);
        if inputs.rows.is_empty() {
            return Err(TrainError::Batch { step: context.step, problem: "it has no rows; check the data".into() });
        }
        // Without a tape, so that the loss has its whole graph.
        let predict = |x: &Tensor, t: &Tensor, classes: Option<&Tensor>| self.model.forward_t(x, t, classes, true);
        let losses = self.losses(&inputs, &inputs.rows, predict)?;
        Ok(weighted_mean(&losses, &inputs, &inputs.rows))
    }

    /// The loss of each of these rows, (rows), not yet weighted, under any way to call the network.
    ///
    /// # Errors
    /// Inputs of another task.
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
        let x0 = self.log_scale.as_ref().map_or_else(|| x0.shallow_clone(), |s| &x0 * s.exp());
        let x1 = match (&self.resident, inputs.of("picked", rows)) {
            (Some(images), Some(picked)) => images.select(&picked, inputs.of("mirrored", rows).as_ref()),
            _ => need("x1")?,
        };
        let states = [Some(x1), Some(x0), inputs.of("noise", rows)];
        let x_t = combination(inputs, POSITION, &states, rows).ok_or_else(|| lacks("weights of x_t"))?;
        // Straight paths: the same bits as with weights 1 and -1.
        let [x1, x0, _] = &states;
        let straight = || Some(x1.as_ref()? - x0.as_ref()?);
        let target = combination(inputs, TARGET, &states, rows).or_else(straight).ok_or_else(|| lacks("target"))?;
        let prediction = predict(&x_t, &need("time")?, inputs.of("class", rows).as_ref());
        Ok(row_losses(&prediction, &target, self.objective.loss, self.objective.reduction)?)
    }
}

/// The mean of the losses of rows times their weights.
fn weighted_mean(losses: &Tensor, inputs: &Inputs, rows: &Range<usize>) -> Tensor {
    match inputs.of("weight", rows) {
        Some(weights) => (losses * weights).mean(Kind::Float),
        None => losses.mean(Kind::Float),
    }
}

/// The sum of weight times state over the named weights that the block has; `None` if it has none.
fn combination(inputs: &Inputs, names: [&str; 3], states: &[Option<Tensor>; 3], rows: &Range<usize>) -> Option<Tensor> {
    let weighted = names.iter().zip(states).filter_map(|(name, state)| Some((inputs.of(name, rows)?, state.as_ref()?)));
    weighted.fold(None, |sum, (weight, state)| match sum {
        None => Some(state * weight),
        Some(sum) => Some(sum.addcmul(state, &weight)),
    })
}
