//! The inputs of a step: what packs them, and what they are on the host and on the device.

use crate::TrainError;
use crate::batch::Batch;
use crate::block::{Block, HostBlock, Packer};
use fm_core::tensor::ConditionKind;
use fm_core::time::LossAware;
use std::ops::Range;
use tch::{Device, Tensor};

/// The field of a block with the one-hot time bin of each row of the whole batch: (whole,
/// [`BINS`](crate::accumulator::BINS)), f64, one 1 per row.
pub const TIME_BINS: &str = "time bins";
/// The same for the bins of loss-aware times, if they are used.
pub const DENSITY_BINS: &str = "density bins";

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

    /// The error of a block without a field.
    pub(crate) fn lacks(&self, name: &str) -> TrainError {
        let problem = format!("its block has no {name}; pack it with the task's own packer");
        TrainError::Batch { step: self.step, problem }
    }
}

/// Adds the classes or the condition vectors of a batch of `rows` rows, if it has any.
pub(crate) fn pack_conditions(
    packer: &mut Packer,
    batch: &Batch,
    rows: usize,
    taken: Option<ConditionKind>,
) -> Result<(), TrainError> {
    let Batch { step, classes, conditions, .. } = batch;
    if !classes.is_empty() && !conditions.is_empty() {
        let problem = "it has classes and condition vectors; give one of them".into();
        return Err(TrainError::Batch { step: *step, problem });
    }
    if !classes.is_empty() {
        check("class", classes.len(), rows, *step)?;
        taken.map_or(Ok(()), |kind| kind.check_classes(classes))?;
        packer.push("condition", classes, &[rows as i64]);
    }
    if !conditions.is_empty() {
        let dim = conditions.len() / rows.max(1);
        check("condition", conditions.len(), rows * dim.max(1), *step)?;
        taken.map_or(Ok(()), |kind| kind.check_vectors(dim))?;
        packer.push("condition", conditions, &[rows as i64, dim as i64]);
    }
    Ok(())
}

/// Fails unless rows have the expected number of values.
pub(crate) fn check(what: &str, got: usize, expected: usize, step: u64) -> Result<(), TrainError> {
    if got == expected {
        return Ok(());
    }
    let problem = format!("its {what} rows have {got} values instead of {expected}; check the shape of a row");
    Err(TrainError::Batch { step, problem })
}
