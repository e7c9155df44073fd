//! One update of a segment of the parameters.

use crate::TrainError;
use fm_torch::adam::{self, Adam, Moments};
use tch::{Device, Kind, Tensor};

/// Two numbers on the device that control an update.
#[derive(Debug)]
pub struct Scaling {
    /// Divisor of the gradient, f32 (1): 1, or more if it is clipped.
    pub(super) divisor: Tensor,
    /// 1 to update, 0 to skip, f64 (0-d).
    pub(super) update: Tensor,
}

impl Scaling {
    /// Neither clips nor skips.
    pub fn none(device: Device) -> Self {
        Self { divisor: Tensor::ones([1], (Kind::Float, device)), update: Tensor::ones([], (Kind::Double, device)) }
    }

    /// Clips to a global norm like PyTorch's `clip_grad_norm_`: divides by max(1, (norm + 1e-6) /
    /// max_norm). `update` is 1, or 0 to skip an update with a non-finite gradient.
    pub fn by_norm(norm: &Tensor, max_norm: f64, update: &Tensor) -> Self {
        let divisor = ((norm + 1e-6) / max_norm).clamp_min(1.0).to_kind(Kind::Float).view(1);
        Self { divisor, update: update.to_kind(Kind::Double) }
    }

    /// 1 if the update is skipped, f32 (1).
    pub(super) fn skip(&self) -> Tensor {
        (&self.update * -1.0 + 1.0).to_kind(Kind::Float).view(1)
    }
}

/// The parts of the flat vectors that belong to a segment.
pub(super) struct Update {
    pub(super) parameters: Tensor,
    pub(super) gradient: Tensor,
    pub(super) mean: Tensor,
    pub(super) square: Tensor,
    pub(super) lr: f64,
    pub(super) decay: f64,
}

impl Update {
    pub(super) fn adam(
        mut self,
        (beta1, beta2, eps): (f64, f64, f64),
        decoupled: bool,
        [step, divisor, skip]: [&Tensor; 3],
    ) -> Result<(), TrainError> {
        let adam = Adam { lr: self.lr, beta1, beta2, eps, decay: self.decay, decoupled };
        let moments = Moments { mean: &mut self.mean, square: &mut self.square, step };
        Ok(adam::update(&mut self.parameters, &self.gradient, moments, divisor, skip, &adam)?)
    }
}
