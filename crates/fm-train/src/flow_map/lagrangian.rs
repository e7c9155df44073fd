//! `lsd`, Lagrangian self-distillation: as h grows, the end X = x_t + h u(x_t, t, h) of the
//! interval moves with the velocity at X,
//!
//! d/dh X = u + h d/dh u = u(X, t + h, 0).

use super::regression::{Direction, Regression, Times, column};
use crate::TrainError;
use tch::Tensor;

/// u, and u(X, t + h, 0) - h d/dh u.
pub(super) fn regress(network: &Regression<'_>, x: &Tensor, times: &Times) -> Result<(Tensor, Tensor), TrainError> {
    let Times { t, h, .. } = times;
    let (u, derivative) = network.derivative(x, times, Direction { x: None, t: 0.0, h: 1.0 })?;
    let length = column(h, x);
    let end = x + &length * u.detach();
    let velocity = network.fixed(&end, &(t + h), &h.zeros_like())?;
    Ok((u, velocity - length * derivative))
}
