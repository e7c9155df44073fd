//! Guidance in the target: the velocity v of the pair is replaced by
//!
//! omega v + kappa u(x_t, t, 0 | class) + (1 - omega - kappa) u(x_t, t, 0),
//!
//! with the velocities that the network predicts for the class and without it. Rows whose class was
//! dropped keep v. Where the predictions are exact, the network learns the velocity
//! v_u + s (v_c - v_u) of classifier-free guidance with the scale s = omega / (1 - kappa), and
//! needs one pass per evaluation. Source: Geng et al., "Mean Flows for One-step Generative
//! Modeling" (2025), section 4.2 and its appendix.

use super::kind::Guidance;
use super::regression::{Regression, column};
use crate::TrainError;
use tch::{Tensor, no_grad};

/// The guided velocity, without gradient, by the predictions of `source`.
pub(super) fn guided(
    source: &Regression<'_>,
    x: &Tensor,
    t: &Tensor,
    v: &Tensor,
    weights: Guidance,
    null_class: i64,
) -> Result<Tensor, TrainError> {
    let problem = || "it has no classes to guide to; give omega = 1 and kappa = 0".to_owned();
    let classes = source.condition.ok_or_else(|| TrainError::Batch { step: source.step, problem: problem() })?;
    let Guidance { omega, kappa } = weights;
    no_grad(|| {
        let none = t.zeros_like();
        let dropped = classes.full_like(null_class);
        let without = Regression { condition: Some(&dropped), ..*source }.fixed(x, t, &none)?;
        let mut guided = v * omega + without * (1.0 - omega - kappa);
        if kappa != 0.0 {
            guided += source.fixed(x, t, &none)? * kappa;
        }
        Ok(v.where_self(&column(&classes.eq(null_class), x), &guided))
    })
}
