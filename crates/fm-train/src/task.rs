//! What a run minimises: the loss of a batch.
//!
//! [`FlowMatching`] regresses a network's prediction onto an objective's target. Another task (an autoencoder, say) runs through the same
//! loop by giving its own loss.

use crate::TrainError;
use crate::batch::Batch;
use crate::resident::Resident;
use fm_core::interpolate::{coefficients, interpolate};
use fm_core::objective::Objective;
use fm_core::path::ProbPath;
use fm_core::tape::Tape;
use fm_core::tensor::{VelocityModel, row_losses, upload, upload_rows};
use fm_core::time::{Drawn, LossAware};
use std::borrow::Cow;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Something to minimise.
pub trait Task {
    /// The share of some rows in the mean loss of a batch; blocks whose activations need not be kept run through the tape.
    ///
    /// # Errors
    /// A batch that the task cannot use.
    fn loss<'a>(&'a self, batch: &Batch, at: &At<'_>, tape: &mut Tape<'a>) -> Result<Losses, TrainError>;

    /// Which rows of the whole batch are here.
    fn rows(&self, batch: &Batch) -> Range<usize>;
}

/// Where in a run a loss is asked for.
#[derive(Debug, Clone)]
pub struct At<'s> {
    /// The run's seed.
    pub seed: u64,
    /// Steps done.
    pub step: u64,
    /// Where the parameters live.
    pub device: Device,
    /// The rows of the whole batch that are asked for.
    pub rows: Range<usize>,
    /// The density of times that follow the loss, if they do.
    pub density: Option<&'s LossAware>,
}

/// What a task says of some rows.
#[derive(Debug)]
pub struct Losses {
    /// The sum of their weighted losses over the number of rows of the whole batch, 0-d, on the device.
    pub loss: Tensor,
    /// Each row's loss and when it was, where there are times.
    pub rows: Option<Rows>,
}

/// Rows by themselves.
#[derive(Debug)]
pub struct Rows {
    /// The times of all rows of the whole batch.
    pub times: Vec<f64>,
    /// Where they lie in the law of times, in [0, 1].
    pub positions: Vec<f64>,
    /// The losses of the rows that were asked for, not weighted, on the device.
    pub losses: Tensor,
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
    pub resident: Option<Resident>,
    /// Logarithms of a deviation for each value of a source row, a parameter that is trained with the network; x0 is multiplied by the deviations.
    pub log_scale: Option<Tensor>,
}

impl<'m, P> FlowMatching<'m, P> {
    /// On batches that bring their data along.
    pub fn new(model: &'m dyn VelocityModel, objective: Objective<P>, shape: Vec<i64>) -> Self {
        Self { model, objective, shape, resident: None, log_scale: None }
    }
}

impl<P: ProbPath> Task for FlowMatching<'_, P> {
    fn loss<'a>(&'a self, batch: &Batch, at: &At<'_>, tape: &mut Tape<'a>) -> Result<Losses, TrainError> {
        let (here, whole) = batch.span(&self.shape);
        // Drawn for the whole batch, because its rows may share the times out among them.
        let drawn = match (&batch.drawn, at.density) {
            (Some(drawn), None) => Cow::Borrowed(drawn),
            _ => Cow::Owned(self.objective.draw(at.seed, at.step, whole, at.density)?),
        };
        let part = |values: &[f64]| values.get(at.rows.clone()).unwrap_or_default().to_vec();
        let asked = Drawn { times: part(&drawn.times), weights: part(&drawn.weights), positions: Vec::new() };
        let predict = |x: &Tensor, t: &Tensor, classes: Option<&Tensor>| self.model.forward_taped(tape, x, t, classes);
        let losses = match at.rows.len() == here.len() {
            true => self.losses(batch, &asked, at.device, predict)?,
            false => {
                let rows = at.rows.start - here.start..at.rows.end - here.start;
                self.losses(&batch.part(rows, here.len()), &asked, at.device, predict)?
            }
        };
        let loss = weighted_mean(&losses, &asked.weights) * (at.rows.len() as f64 / whole as f64);
        let Drawn { times, positions, .. } = drawn.into_owned();
        Ok(Losses { loss, rows: Some(Rows { times, positions, losses }) })
    }

    fn rows(&self, batch: &Batch) -> Range<usize> {
        batch.span(&self.shape).0
    }
}

impl<P: ProbPath> FlowMatching<'_, P> {
    /// The loss of each row of a batch at its times, (B), not yet weighted, under any way to call the network.
    ///
    /// # Errors
    /// A time that is singular for the objective, and a path whose own noise the batch lacks.
    pub fn losses(
        &self,
        batch: &Batch,
        drawn: &Drawn,
        device: Device,
        predict: impl FnOnce(&Tensor, &Tensor, Option<&Tensor>) -> Tensor,
    ) -> Result<Tensor, TrainError> {
        let objective = &self.objective;
        let shape = [&[drawn.times.len() as i64], self.shape.as_slice()].concat();
        let x0 = upload(&batch.x0, &shape, device);
        let x0 = self.log_scale.as_ref().map_or_else(|| x0.shallow_clone(), |s| &x0 * s.exp());
        let x1 = match &self.resident {
            Some(images) if !batch.picks.is_empty() => images.rows(&batch.picks),
            _ => upload(&batch.x1, &shape, device),
        };
        let noise = batch.noise.as_ref().map(|noise| upload(noise, &shape, device));
        let classes = (!batch.classes.is_empty()).then(|| Tensor::from_slice(&batch.classes).to_device(device));
        let c = coefficients(&objective.path, &drawn.times)?;
        let sample = interpolate(&c, objective.prediction, &x0, &x1, noise.as_ref())?;
        let prediction = predict(&sample.x_t, &upload_rows(&drawn.times, device), classes.as_ref());
        Ok(row_losses(&prediction, &sample.target, objective.loss, objective.reduction))
    }
}

/// The mean over rows of weight times loss, a 0-d tensor.
pub fn weighted_mean(losses: &Tensor, weights: &[f64]) -> Tensor {
    if weights.iter().all(|w| *w == 1.0) {
        return losses.mean(Kind::Float);
    }
    (losses * upload_rows(weights, losses.device())).mean(Kind::Float)
}
