//! What a run minimises: the loss of a batch.
//!
//! [`FlowMatching`] regresses a network's prediction onto an objective's target. Another task (an autoencoder, say) runs through the same
//! loop by giving its own loss.

use crate::TrainError;
use crate::adaptive::AdaptiveTimes;
use crate::batch::Batch;
use fm_core::interpolate::{coefficients, interpolate};
use fm_core::objective::Objective;
use fm_core::path::ProbPath;
use fm_core::tape::Tape;
use fm_core::tensor::{VelocityModel, row_losses, upload, upload_rows};
use fm_core::time::Drawn;
use tch::{Device, Kind, Tensor};

/// Something to minimise.
pub trait Task {
    /// The loss of a batch, 0-d, on the device; blocks whose activations need not be kept run through the tape. `adaptive` is there if
    /// times follow the loss.
    ///
    /// # Errors
    /// A batch that the task cannot use.
    fn loss<'a>(
        &'a self,
        batch: &Batch,
        at: At,
        adaptive: Option<&mut AdaptiveTimes>,
        tape: &mut Tape<'a>,
    ) -> Result<Tensor, TrainError>;
}

/// Where in a run a loss is asked for.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// The run's seed.
    pub seed: u64,
    /// Steps done.
    pub step: u64,
    /// Where the parameters live.
    pub device: Device,
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
}

impl<P: ProbPath> Task for FlowMatching<'_, P> {
    fn loss<'a>(
        &'a self,
        batch: &Batch,
        at: At,
        adaptive: Option<&mut AdaptiveTimes>,
        tape: &mut Tape<'a>,
    ) -> Result<Tensor, TrainError> {
        let rows = batch.rows(&self.shape);
        let drawn = self.objective.draw(at.seed, at.step, rows, adaptive.as_ref().map(|a| &a.law))?;
        let losses =
            self.losses(batch, &drawn, at.device, |x, t, classes| self.model.forward_taped(tape, x, t, classes))?;
        if let Some(adaptive) = adaptive {
            adaptive.see(&drawn.positions, &losses);
        }
        Ok(weighted_mean(&losses, &drawn.weights))
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
        let (x0, x1) = (upload(&batch.x0, &shape, device), upload(&batch.x1, &shape, device));
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
    (losses * upload_rows(weights, losses.device())).mean(Kind::Float)
}
