//! Flow maps: networks that jump over an interval of time, trained without a teacher.
//!
//! A flow map predicts the mean velocity u(x, t, h) from t to t + h on the trajectory through x:
//! the point at t + h is x + h u(x, t, h). At h = 0 it is the velocity. One training gives a
//! network that samples in one or a few steps, and by any solver as well.
//!
//! Each task regresses u(x_t, t, h) onto a target, through which no gradient flows. With v the
//! target of flow matching at x_t, and D the derivative along a direction (dx, dt, dh):
//!
//! | task | target where h > 0 | file |
//! |---|---|---|
//! | `flow` | v, with h = 0 in all rows | |
//! | `split` | l u(x_t, t, l h) + (1 - l) u(x_s, s, (1 - l) h), s = t + l h, x_s = x_t + l h u(x_t, t, l h), l uniform | `split.rs` |
//! | `shortcut` | the same with l = 1/2, h = 1, 1/2, ..., 1/128 and averaged weights; the halves of the smallest h have the velocities | `split.rs` |
//! | `meanflow` | v + h D u, along (v, 1, -1) | `mean_flow.rs` |
//! | `imf` | v + h D u, along (u(x_t, t, 0), 1, -1) | `mean_flow.rs` |
//! | `lsd` | u(X, t + h, 0) - h D u, X = x_t + h u(x_t, t, h), along (0, 0, 1) | `lagrangian.rs` |
//!
//! - Intervals: h = 0 in the share `flow` of the rows, where the target is v. In the other rows, t
//!   and t + h are two draws from the times of the flow, in order (except for `shortcut`).
//! - Loss per row: L / (L + c)^p, where L is the plain loss, and the gradient treats the
//!   denominator as a constant. With p > 0 the loss is robust, but its minimiser is not the mean:
//!   published for images, biased in few dimensions.
//! - Guidance: with omega other than 1 or kappa other than 0, v is a guided velocity
//!   (`guidance.rs`), for class-conditional networks that are trained with dropped classes. Samples
//!   then need no guidance.
//!
//! In the papers, time runs from data (t = 0) to noise (t = 1); here it runs from noise to data, as
//! everywhere in this crate. Sources: Geng et al., "Mean Flows for One-step Generative Modeling"
//! (2025) and "Improved Mean Flows" (2025); Frans et al., "One Step Diffusion via Shortcut Models"
//! (2024); Boffi et al., "How to build a consistency model: Learning flow maps via
//! self-distillation" (2025); Guo et al., "SplitMeanFlow" (2025).
//!
//! ```
//! use fm_core::FlowMatching;
//! use fm_core::tensor::VelocityModel;
//! use fm_models::{ModelConfig, mlp::MlpConfig};
//! use fm_train::flow_map::{FlowMapTask, TaskKind};
//! use fm_train::{FlowTraining, Trainer, TrainerConfig};
//! use tch::{Device, Kind, Tensor, nn};
//! tch::manual_seed(0);
//! let store = nn::VarStore::new(Device::Cpu);
//! let net = ModelConfig::Mlp(MlpConfig { dim: 1, interval: true, ..MlpConfig::default() }).build(&store.root())?;
//! let (data, flow) = (ndarray::Array2::from_elem((64, 1), 2f32), FlowMatching::default());
//! let task = FlowMapTask::new(net.as_ref(), &flow, "split".parse()?);
//! let mut trainer = Trainer::new(&store, &TrainerConfig { lr: 1e-2, ..TrainerConfig::default() })?;
//! for batch in flow.batches(&data, 64)?.take(400) {
//!     trainer.step(&task.batch_loss(&batch?)?)?;
//! }
//! // All data are at 2, so one jump from x = -1 has the velocity 3.
//! let (x, zero) = (Tensor::from_slice2(&[[-1f32]]), Tensor::zeros([1], (Kind::Float, Device::Cpu)));
//! let u = net.mean_velocity(&x, &zero, &zero.ones_like(), None, false).unwrap();
//! assert!((u.double_value(&[0, 0]) - 3.0).abs() < 0.3, "{u:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod average;
mod guidance;
pub(crate) mod intervals;
pub(crate) mod kind;
mod lagrangian;
mod mean_flow;
mod regression;
mod split;
#[cfg(test)]
mod tests;

pub use average::follow_average;
pub use kind::TaskKind;

use crate::TrainError;
use crate::batch::Batch;
use crate::task::{FlowTask, Inputs, LossOutput, Pack, PathPoints, Task, share_of_mean, weighted_mean};
use fm_core::FlowMatching;
use fm_core::prediction::Prediction;
use fm_core::source::Source;
use fm_core::tape::Tape;
use fm_core::tensor::{VelocityModel, row_losses};
use fm_core::time::TimeDistribution;
use intervals::{INTERVAL, SPLIT};
use regression::{Regression, Times};
use std::ops::Range;
use tch::Tensor;

/// The loss of a flow map.
#[derive(Debug)]
pub struct FlowMapTask<'m> {
    /// The network, the flow and its data.
    pub flow: FlowTask<'m>,
    /// The loss.
    pub kind: TaskKind,
    /// A second network with the averaged weights, for `shortcut`
    /// ([`follow_average`]); otherwise its targets come from the network itself.
    pub average: Option<&'m dyn VelocityModel>,
}

impl<'m> FlowMapTask<'m> {
    /// Trains a network that [takes intervals](VelocityModel::takes_intervals).
    pub fn new(model: &'m dyn VelocityModel, flow: &'m FlowMatching, kind: TaskKind) -> Self {
        Self { flow: FlowTask::new(model, flow), kind, average: None }
    }

    /// The mean loss of a batch, 0-d, for your own loop.
    ///
    /// # Errors
    /// A batch, a time or a network that does not fit the task.
    pub fn batch_loss(&self, batch: &Batch) -> Result<Tensor, TrainError> {
        if self.kind == TaskKind::Flow {
            return self.flow.batch_loss(batch);
        }
        self.check()?;
        let inputs = self.flow.inputs(batch, self.kind)?;
        let (minimised, _) = self.losses(&inputs, &inputs.rows)?;
        Ok(weighted_mean(&minimised, &inputs, &inputs.rows))
    }

    /// The minimised loss of each row, and the loss without robustness; (rows).
    fn losses(&self, inputs: &Inputs, rows: &Range<usize>) -> Result<(Tensor, Tensor), TrainError> {
        let need = |name: &str| inputs.of(name, rows).ok_or_else(|| inputs.lacks(name));
        let PathPoints { x, t, target: v, condition, .. } = self.flow.points(inputs, rows)?;
        let regression = Regression { model: self.flow.model, condition: condition.as_ref(), step: inputs.step };
        let times = Times { t, h: need(INTERVAL)?, split: need(SPLIT)? };
        let v = self.guided(&regression, &x, &times.t, v)?;
        let (u, target) = self.regress(&regression, &x, &times, &v)?;
        let target = v.where_self(&regression::column(&times.h, &x).eq(0.0), &target);
        let objective = &self.flow.flow.objective;
        let losses = row_losses(&u, &target, &objective.loss, objective.reduction)?;
        let minimised = match self.kind.robustness() {
            Some((p, c)) => &losses * (losses.detach() + c).pow_tensor_scalar(-p),
            None => losses.shallow_clone(),
        };
        Ok((minimised, losses))
    }

    /// The velocity that the network is to learn, for the velocity v of the pairs.
    fn guided(&self, regression: &Regression<'_>, x: &Tensor, t: &Tensor, v: Tensor) -> Result<Tensor, TrainError> {
        match (self.kind.guidance(), self.flow.model.null_class()) {
            (Some(weights), Some(null_class)) => {
                let source = Regression { model: self.source(), ..*regression };
                guidance::guided(&source, x, t, &v, weights, null_class)
            }
            _ => Ok(v),
        }
    }

    /// The network that targets come from.
    fn source(&self) -> &'m dyn VelocityModel {
        self.average.unwrap_or(self.flow.model)
    }

    /// u and its target, without gradient, where h > 0.
    fn regress(
        &self,
        regression: &Regression<'_>,
        x: &Tensor,
        times: &Times,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor), TrainError> {
        match self.kind {
            // Its rows have h = 0 and the target v.
            TaskKind::Flow => Ok((regression.mean(x, &times.t, &times.h, true)?, v.shallow_clone())),
            TaskKind::Split { .. } => split::regress(regression, regression, x, times, 0.0),
            TaskKind::Shortcut { .. } => {
                let average = Regression { model: self.source(), ..*regression };
                let shortest = intervals::shortest(self.flow.flow.objective.times.range());
                split::regress(regression, &average, x, times, shortest)
            }
            TaskKind::MeanFlow { .. } => mean_flow::regress(regression, x, times, v, v),
            TaskKind::ImprovedMeanFlow { .. } => mean_flow::improved(regression, x, times, v),
            TaskKind::Lagrangian { .. } => lagrangian::regress(regression, x, times),
        }
    }

    fn check(&self) -> Result<(), TrainError> {
        let FlowTask { model, flow, trained_source, .. } = &self.flow;
        let objective = &flow.objective;
        let refuse = |setting, value: String, remedy| Err(TrainError::setting(setting, value, remedy));
        if !model.takes_intervals() {
            let remedy = "build the network with an interval, or give another task";
            return refuse("task", self.kind.to_string(), remedy);
        }
        if objective.prediction != Prediction::Velocity {
            let remedy = "choose velocity: a flow map predicts mean velocities";
            return refuse("prediction of a flow map", objective.prediction.to_string(), remedy);
        }
        if objective.loss_aware_bins > 0 {
            let remedy = "give 0: a flow map has two times per row";
            return refuse("loss-aware bins", objective.loss_aware_bins.to_string(), remedy);
        }
        if objective.times.importance {
            let remedy = "turn it off: intervals do not start at times of the given distribution";
            return refuse("importance weighting of a flow map", "true".into(), remedy);
        }
        if objective.times.distribution.is_discrete() {
            let remedy = "choose a continuous one: an interval lies between two different times";
            return refuse("time distribution of a flow map", objective.times.distribution.name(), remedy);
        }
        if self.kind.is_guided() && model.null_class().is_none() {
            let remedy = "give omega=1 and kappa=0, or train a class-conditional network with dropped labels";
            return refuse("guidance of a flow map without a null class", self.kind.to_string(), remedy);
        }
        if trained_source.is_some() {
            let remedy = "train it with the task flow: targets of flow maps have no gradient";
            return refuse("trained source of a flow map", "true".into(), remedy);
        }
        Ok(())
    }
}

impl Task for FlowMapTask<'_> {
    fn validate(&self, source: Option<&Source>) -> Result<(), TrainError> {
        if self.kind != TaskKind::Flow {
            self.check()?;
        }
        self.flow.validate(source)
    }

    fn seed(&self) -> u64 {
        self.flow.seed()
    }

    fn packer(&self) -> Box<dyn Pack + '_> {
        Box::new(self.flow.packer_for(self.kind))
    }

    fn loss<'a>(&'a self, inputs: &Inputs, rows: Range<usize>, tape: &mut Tape<'a>) -> Result<LossOutput, TrainError> {
        if self.kind == TaskKind::Flow {
            return self.flow.loss(inputs, rows, tape);
        }
        if tape.is_on() {
            let remedy = "turn it off: a flow map keeps all activations; give a smaller micro-batch";
            return Err(TrainError::setting("recomputation of activations", "on", remedy));
        }
        let (minimised, losses) = self.losses(inputs, &rows)?;
        let loss = share_of_mean(&minimised, inputs, &rows);
        Ok(LossOutput { loss, rows: Some(losses) })
    }
}
