//! `split` and `shortcut`: the mean velocity over an interval is the mean of those over its two
//! parts,
//!
//! u(x_t, t, h) = l u(x_t, t, l h) + (1 - l) u(x_s, s, (1 - l) h), s = t + l h,
//! x_s = x_t + l h u(x_t, t, l h).

use super::regression::{Regression, Times, column};
use crate::TrainError;
use tch::{Tensor, no_grad};

/// u, and its target from `source`. Over parts shorter than `shortest`, velocities take the place
/// of mean velocities, because no row trains mean velocities over such parts.
pub(super) fn regress(
    network: &Regression<'_>,
    source: &Regression<'_>,
    x: &Tensor,
    times: &Times,
    shortest: f64,
) -> Result<(Tensor, Tensor), TrainError> {
    let Times { t, h, split } = times;
    // Half-way between the shortest interval and its half, because intervals are rounded.
    let interval = |part: &Tensor| part * part.ge(0.75 * shortest);
    let target = no_grad(|| -> Result<_, TrainError> {
        let first = split * h;
        let rest = h - &first;
        let before = source.fixed(x, t, &interval(&first))?;
        let between = x + column(&first, x) * &before;
        let after = source.fixed(&between, &(t + &first), &interval(&rest))?;
        Ok(after.lerp_tensor(&before, &column(split, x)))
    })?;
    Ok((network.mean(x, t, h, true)?, target))
}
