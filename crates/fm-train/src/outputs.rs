//! Network outputs and their losses per row.
//!
//! A network of velocities and scores on a [Brownian bridge](fm_core::bridge) has the row loss
//! L(|v - u|^2) + w L(|lambda h + eps|^2), with L and the norm of the objective, h the scaled score
//! and w the weight of the prediction.

use crate::TrainError;
use fm_core::bridge::score_losses;
use fm_core::objective::DynObjective;
use fm_core::tape::Tape;
use fm_core::tensor::{VelocityModel, row_losses};
use tch::Tensor;

/// The outputs of a network.
#[derive(Debug)]
pub struct Outputs {
    /// The prediction, shaped as x; of a velocity and a score the velocity.
    pub prediction: Tensor,
    /// The scaled score, shaped as x, if the network predicts it.
    pub score: Option<Tensor>,
}

impl From<Tensor> for Outputs {
    fn from(prediction: Tensor) -> Self {
        Self { prediction, score: None }
    }
}

impl From<[Tensor; 2]> for Outputs {
    fn from([prediction, score]: [Tensor; 2]) -> Self {
        Self { prediction, score: Some(score) }
    }
}

/// The target of a scaled score.
#[derive(Debug)]
pub struct ScoreTarget {
    /// lambda of each row, (rows, 1, ..., 1).
    pub weights: Tensor,
    /// The noise eps in x_t, shaped as x.
    pub noise: Tensor,
}

/// A call of a network for an objective.
pub(crate) struct Call<'m> {
    model: &'m dyn VelocityModel,
    scored: bool,
}

impl<'m> Call<'m> {
    pub(crate) fn new(model: &'m dyn VelocityModel, objective: &DynObjective) -> Self {
        Self { model, scored: objective.prediction.score_weight().is_some() }
    }

    pub(crate) fn taped<'a>(&self, tape: &mut Tape<'a>, x: &Tensor, t: &Tensor, condition: Option<&Tensor>) -> Outputs
    where
        'm: 'a,
    {
        let both = if self.scored { self.model.velocity_and_score_taped(tape, x, t, condition) } else { None };
        both.map_or_else(|| self.model.forward_taped(tape, x, t, condition).into(), Into::into)
    }

    pub(crate) fn plain(&self, x: &Tensor, t: &Tensor, condition: Option<&Tensor>, train: bool) -> Outputs {
        let both = if self.scored { self.model.velocity_and_score(x, t, condition, train) } else { None };
        both.map_or_else(|| self.model.forward_t(x, t, condition, train).into(), Into::into)
    }
}

/// The unweighted loss of each row, (rows).
///
/// # Errors
/// Outputs of another shape than the target, and an objective of scores without a score among the
/// outputs.
pub(crate) fn losses(
    outputs: &Outputs,
    target: &Tensor,
    score: Option<&ScoreTarget>,
    objective: &DynObjective,
) -> Result<Tensor, TrainError> {
    let (loss, reduction) = (&objective.loss, objective.reduction);
    let of_velocity = row_losses(&outputs.prediction, target, loss, reduction)?;
    let Some(weight) = objective.prediction.score_weight() else { return Ok(of_velocity) };
    match (&outputs.score, score) {
        (Some(h), Some(ScoreTarget { weights, noise })) => {
            Ok(of_velocity + score_losses(h, weights, noise, loss, reduction)? * weight)
        }
        _ => Err(without_score()),
    }
}

/// A network that lacks the score of its objective.
pub(crate) fn without_score() -> TrainError {
    let remedy = "its output has no score: build it with ModelConfig::with_score, or predict the velocity";
    TrainError::setting("network", "one of velocities alone", remedy)
}
