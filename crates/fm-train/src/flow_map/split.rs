//! `split` and `shortcut`: the mean velocity over an interval is the mean of those over its two
//! parts,
//!
//! u(x_t, t, h) = l u(x_t, t, l h) + (1 - l) u(x_s, s, (1 - l) h), s = t + l h,
//! x_s = x_t + l h u(x_t, t, l h).

use super::regression::{Regression, Times, column};
use crate::TrainError;
use tch::{Tensor, no_grad};

/// u, and its target from `source`.
pub(super) fn regress(
    network: &Regression<'_>,
    source: &Regression<'_>,
    x: &Tensor,
    times: &Times,
) -> Result<(Tensor, Tensor), TrainError> {
    let Times { t, h, split } = times;
    let target = no_grad(|| -> Result<_, TrainError> {
        let first = split * h;
        let before = source.fixed(x, t, &first)?;
        let between = x + column(&first, x) * &before;
        let after = source.fixed(&between, &(t + &first), &(h - &first))?;
        Ok(after.lerp_tensor(&before, &column(split, x)))
    })?;
    Ok((network.mean(x, t, h, true)?, target))
}
