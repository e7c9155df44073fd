//! The network at an interval, and its derivatives, for all losses of flow maps.

use crate::TrainError;
use fm_core::tensor::VelocityModel;
use fm_torch::forward_ad::with_level;
use tch::{Tensor, no_grad};

/// A network, and the conditions that it gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Regression<'a> {
    pub(super) model: &'a dyn VelocityModel,
    pub(super) condition: Option<&'a Tensor>,
    /// The step, for errors.
    pub(super) step: u64,
}

/// Times of the rows of a batch, (rows) each.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) t: Tensor,
    /// The intervals.
    pub(super) h: Tensor,
    /// The shares at which they are split.
    pub(super) split: Tensor,
}

/// A direction of (x, t, h): dx, shaped as x, and one number each for t and h.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direction<'a> {
    pub(super) x: Option<&'a Tensor>,
    pub(super) t: f64,
    pub(super) h: f64,
}

impl Regression<'_> {
    /// u(x, t, h).
    pub(super) fn mean(&self, x: &Tensor, t: &Tensor, h: &Tensor, train: bool) -> Result<Tensor, TrainError> {
        let u = self.model.mean_velocity(x, t, h, self.condition, train);
        let problem = || "its network takes no intervals; build it with one".to_owned();
        u.ok_or_else(|| TrainError::Batch { step: self.step, problem: problem() })
    }

    /// u(x, t, h) without gradient and without dropout.
    pub(super) fn fixed(&self, x: &Tensor, t: &Tensor, h: &Tensor) -> Result<Tensor, TrainError> {
        no_grad(|| self.mean(x, t, h, false))
    }

    /// u(x, t, h) with gradient, and its derivative along a direction, without; by one pass.
    pub(super) fn derivative(
        &self,
        x: &Tensor,
        times: &Times,
        along: Direction<'_>,
    ) -> Result<(Tensor, Tensor), TrainError> {
        let Times { t, h, .. } = times;
        let (u, derivative) = with_level(|level| -> Result<_, TrainError> {
            let dual = |value: &Tensor, rate: f64| match rate {
                0.0 => Ok(value.shallow_clone()),
                rate => level.dual(value, &value.full_like(rate)),
            };
            let x = along.x.map_or_else(|| Ok(x.shallow_clone()), |dx| level.dual(x, dx))?;
            let u = self.mean(&x, &dual(t, along.t)?, &dual(h, along.h)?, true)?;
            Ok(level.parts(&u)?)
        })??;
        Ok((u, derivative.detach()))
    }
}

/// One value per row as a column that broadcasts over the values of rows of x.
pub(super) fn column(values: &Tensor, x: &Tensor) -> Tensor {
    let shape: Vec<i64> = values.size().into_iter().chain(std::iter::repeat_n(1, x.dim().saturating_sub(1))).collect();
    values.view(shape.as_slice())
}
