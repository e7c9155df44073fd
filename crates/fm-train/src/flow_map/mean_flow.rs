//! `meanflow` and `imf`: h u(x_t, t, h) is the displacement that remains until t + h. With t + h
//! fixed, its derivative with respect to t along the trajectory is -v, so
//!
//! u = v + h D u, with D u the derivative along (v, 1, -1).
//!
//! The direction is the velocity of the pair for `meanflow`, and the predicted velocity
//! u(x_t, t, 0), which has less variance, for `imf`. Both regress onto the velocity of the pair.

use super::regression::{Direction, Regression, Times, column};
use crate::TrainError;
use tch::Tensor;

/// u, and v + h D u along (`along`, 1, -1).
pub(super) fn regress(
    network: &Regression<'_>,
    x: &Tensor,
    times: &Times,
    v: &Tensor,
    along: &Tensor,
) -> Result<(Tensor, Tensor), TrainError> {
    let (u, derivative) = network.derivative(x, times, Direction { x: Some(along), t: 1.0, h: -1.0 })?;
    Ok((u, v + column(&times.h, x) * derivative))
}

/// The same along the velocity that the network predicts.
pub(super) fn improved(
    network: &Regression<'_>,
    x: &Tensor,
    times: &Times,
    v: &Tensor,
) -> Result<(Tensor, Tensor), TrainError> {
    let along = network.fixed(x, &times.t, &times.h.zeros_like())?;
    regress(network, x, times, v, &along)
}
