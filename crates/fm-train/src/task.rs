//! Losses of batches.
//!
//! A task packs the inputs of a step into one [`Block`](crate::block::Block) on a worker thread,
//! and computes the loss from that block on the device. [`FlowTask`] regresses the prediction of a
//! network onto the target of a [`FlowMatching`]. Other tasks, such as an autoencoder, use the same
//! training loop with their own block and loss.

use crate::TrainError;
use crate::batch::Batch;
use crate::batches::{BatchOptions, FlowBatches};
use crate::device_dataset::DeviceDataset;
use crate::flow_map::kind::TaskKind;
use crate::flow_packer::{CHOOSING, FlowPacker, POSITION, SCORE, TARGET};
use crate::outputs::{self, Call};
pub use crate::outputs::{Outputs, ScoreTarget};
pub use crate::pack::{DENSITY_BINS, HostInputs, Inputs, Pack, PackContext, StepInputs, TIME_BINS};
use crate::trained_source::TrainedSource;
use fm_core::FlowMatching;
use fm_core::data::Dataset;
use fm_core::source::Source;
use fm_core::tape::Tape;
use fm_core::tensor::{ConditionKind, VelocityModel};
use std::ops::Range;
use tch::{Kind, Tensor};

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

    /// The contribution of `rows` to the mean loss of the batch. Networks run the blocks whose
    /// activations may be recomputed through `tape`.
    ///
    /// # Errors
    /// A batch that the task cannot use.
    fn loss<'a>(&'a self, inputs: &Inputs, rows: Range<usize>, tape: &mut Tape<'a>) -> Result<LossOutput, TrainError>;
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

impl Task for FlowTask<'_> {
    fn validate(&self, source: Option<&Source>) -> Result<(), TrainError> {
        if source.is_some_and(|source| *source != self.flow.source) {
            let found = "another one than that of the batches";
            return Err(TrainError::setting("source of the flow", found, "make batches and task from one flow"));
        }
        if self.flow.objective.prediction.score_weight().is_some() && !self.model.has_score() {
            return Err(outputs::without_score());
        }
        Ok(self.flow.validate()?)
    }

    fn seed(&self) -> u64 {
        self.flow.seed
    }

    fn packer(&self) -> Box<dyn Pack + '_> {
        Box::new(self.packer_for(TaskKind::Flow))
    }

    fn loss<'a>(&'a self, inputs: &Inputs, rows: Range<usize>, tape: &mut Tape<'a>) -> Result<LossOutput, TrainError> {
        let call = Call::new(self.model, &self.flow.objective);
        let losses = self.losses(inputs, &rows, |x, t, condition| call.taped(tape, x, t, condition))?;
        let loss = share_of_mean(&losses, inputs, &rows);
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
        let inputs = self.inputs(batch, TaskKind::Flow)?;
        // Without a tape, so that autograd records the whole graph.
        let call = Call::new(self.model, &self.flow.objective);
        let losses = self.losses(&inputs, &inputs.rows, |x, t, condition| call.plain(x, t, condition, true))?;
        Ok(weighted_mean(&losses, &inputs, &inputs.rows))
    }

    /// The packer of a task on this network and flow.
    pub(crate) fn packer_for(&self, task: TaskKind) -> FlowPacker<'_> {
        let conditions = self.model.condition_kind().filter(|kind| *kind != ConditionKind::None);
        FlowPacker { flow: self.flow, resident: self.resident.as_ref().map(DeviceDataset::held), conditions, task }
    }

    /// The inputs of a task for a batch, on the device.
    pub(crate) fn inputs(&self, batch: &Batch, task: TaskKind) -> Result<Inputs, TrainError> {
        let device = self.model.device();
        let inputs = self.packer_for(task).pack(batch, &PackContext::on(device))?.upload(device);
        if inputs.rows.is_empty() {
            return Err(TrainError::Batch { step: batch.step, problem: "it has no rows; check the data".into() });
        }
        Ok(inputs)
    }

    /// The unweighted loss of each row of a block, (rows), f64, and their weighted mean, without
    /// dropout and without an autograd graph.
    pub(crate) fn unrecorded(&self, inputs: &Inputs) -> Result<(Tensor, f64), TrainError> {
        tch::no_grad(|| {
            let call = Call::new(self.model, &self.flow.objective);
            let losses = self.losses(inputs, &inputs.rows, |x, t, condition| call.plain(x, t, condition, false))?;
            let exact = losses.to_kind(Kind::Double);
            let weighted = inputs.of("weight", &inputs.rows).map_or_else(|| exact.shallow_clone(), |w| &exact * w);
            Ok((exact, weighted.mean(Kind::Double).double_value(&[])))
        })
    }

    /// The unweighted loss of each of these rows, (rows), with any function that calls the network:
    /// it returns the prediction or, for a velocity and a score, both.
    ///
    /// # Errors
    /// Inputs that were packed for another task, and a network that lacks the score.
    pub fn losses<O: Into<Outputs>>(
        &self,
        inputs: &Inputs,
        rows: &Range<usize>,
        predict: impl FnOnce(&Tensor, &Tensor, Option<&Tensor>) -> O,
    ) -> Result<Tensor, TrainError> {
        let PathPoints { x, t, target, score, condition } = self.points(inputs, rows)?;
        let outputs = predict(&x, &t, condition.as_ref()).into();
        outputs::losses(&outputs, &target, score.as_ref(), &self.flow.objective)
    }

    /// The points of these rows on the path, and the targets there.
    ///
    /// # Errors
    /// Inputs that were packed for another task.
    pub fn points(&self, inputs: &Inputs, rows: &Range<usize>) -> Result<PathPoints, TrainError> {
        let lacks = |name: &str| inputs.lacks(name);
        let need = |name: &str| inputs.of(name, rows).ok_or_else(|| lacks(name));
        let x0 = need("x0")?;
        if !self.model.takes(&x0.size()[1..]) {
            let row = self.model.row_shape().unwrap_or_default();
            let problem = format!("its rows have shape {:?}, the network's {row:?}; give it its own", &x0.size()[1..]);
            return Err(TrainError::Batch { step: inputs.step, problem });
        }
        let x1 = match &self.resident {
            Some(images) => self.select(images, inputs, rows, &x0)?,
            None => need("x1")?,
        };
        let x0 = self.source_rows(x0)?;
        let states = [Some(x1), Some(x0), inputs.of("noise", rows)];
        let x = combination(inputs, POSITION, &states, rows).ok_or_else(|| lacks("weights of x_t"))?;
        // Straight paths: same bits as with weights 1 and -1.
        let [x1, x0, _] = &states;
        let straight = || Some(x1.as_ref()? - x0.as_ref()?);
        let target = combination(inputs, TARGET, &states, rows).or_else(straight).ok_or_else(|| lacks("target"))?;
        let noise = states.into_iter().nth(2).flatten();
        let score = inputs.of(SCORE, rows).zip(noise).map(|(weights, noise)| ScoreTarget { weights, noise });
        Ok(PathPoints { x, t: need("time")?, target, score, condition: inputs.of("condition", rows) })
    }
}

impl FlowTask<'_> {
    /// The data rows that the device holds.
    fn select(
        &self,
        images: &DeviceDataset,
        inputs: &Inputs,
        rows: &Range<usize>,
        x0: &Tensor,
    ) -> Result<Tensor, TrainError> {
        if let Some(picked) = inputs.of("picked", rows) {
            return Ok(images.select(&picked, inputs.of("mirrored", rows).as_ref()));
        }
        let Some(classes) = inputs.of(CHOOSING, rows) else {
            return inputs.of("x1", rows).ok_or_else(|| inputs.lacks("x1"));
        };
        // The packer refuses batches for a device without potentials.
        let chosen = images.choose(x0, Some(&classes)).ok_or_else(|| inputs.lacks("picked"))?;
        Ok(images.select(&chosen.0, chosen.1.as_ref()))
    }

    /// The source rows, made by the trained source if there is one.
    fn source_rows(&self, x0: Tensor) -> Result<Tensor, TrainError> {
        let Some(source) = &self.trained_source else { return Ok(x0) };
        let refuse = |found: String, remedy| Err(TrainError::setting("trained source", found, remedy));
        if self.flow.conditional.is_some() {
            let remedy = "its positions are made before the source is known: drop one of the two";
            return refuse("with a conditional flow".into(), remedy);
        }
        if x0.size()[1..] != [source.dim()] {
            return refuse(format!("of {} values", source.dim()), "give it one value per value of a row");
        }
        Ok(source.transform(&x0))
    }
}

/// Points x_t of a batch, (rows, ...), with what a network is trained on there.
#[derive(Debug)]
pub struct PathPoints {
    /// x_t.
    pub x: Tensor,
    /// t, (rows).
    pub t: Tensor,
    /// The target of the prediction, shaped as x.
    pub target: Tensor,
    /// The target of the scaled score beside a velocity.
    pub score: Option<ScoreTarget>,
    /// The conditions, if there are any.
    pub condition: Option<Tensor>,
}

/// The part of these rows in the weighted mean of the losses of the whole batch.
pub(crate) fn share_of_mean(losses: &Tensor, inputs: &Inputs, rows: &Range<usize>) -> Tensor {
    let mean = weighted_mean(losses, inputs, rows);
    // Without parts there is nothing to scale, forward and backward.
    if rows.len() == inputs.whole { mean } else { mean * (rows.len() as f64 / inputs.whole as f64) }
}

/// The weighted mean of row losses.
pub(crate) fn weighted_mean(losses: &Tensor, inputs: &Inputs, rows: &Range<usize>) -> Tensor {
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
