//! Velocities and scores of networks that predict both, with and without guidance.
//!
//! Guidance combines the scores as it does the velocities: s_u + w (s_c - s_u).

use fm_core::state::RowCombination;
use fm_core::tensor::{VelocityModel, times_like};
use tch::{Kind, Tensor};

/// Both predictions of a network in the kind of the state.
pub(super) fn parts(
    model: &dyn VelocityModel,
    x: &Tensor,
    t: &Tensor,
    condition: Option<&Tensor>,
) -> Option<[Tensor; 2]> {
    Some(model.velocity_and_score(x, t, condition, false)?.map(|part| in_kind_of(x, part)))
}

/// Both predictions under guidance with a scale per row, away from the second of `conditions`. A
/// prediction of another shape is returned as it is, so that a solver rejects it.
pub(super) fn guided(
    model: &dyn VelocityModel,
    x: &Tensor,
    t: &[f64],
    conditions: [&Tensor; 2],
    scales: &[f64],
) -> Option<[Tensor; 2]> {
    let at = times_like(x, t);
    for (scale, condition) in [(1.0, conditions[0]), (0.0, conditions[1])] {
        if scales.iter().all(|s| *s == scale) {
            return parts(model, x, &at, Some(condition));
        }
    }
    let [with, without] = [parts(model, x, &at, Some(conditions[0]))?, parts(model, x, &at, Some(conditions[1]))?];
    if let Some(other) = with.iter().chain(&without).find(|part| part.size() != x.size()) {
        return Some([other.shallow_clone(), other.shallow_clone()]);
    }
    let scales = scale_column(x, scales);
    Some([0, 1].map(|k| without[k].lerp_tensor(&with[k], &scales)))
}

/// One scale per row, as a column that broadcasts over the rows' values.
pub(super) fn scale_column(x: &Tensor, scales: &[f64]) -> Tensor {
    let ones = std::iter::repeat_n(1, x.dim().saturating_sub(1));
    let scales = times_like(x, scales);
    let shape: Vec<i64> = std::iter::once(scales.rows() as i64).chain(ones).collect();
    scales.view(shape.as_slice())
}

/// Converts a velocity to the kind of the state: a network may compute in half precision.
pub(super) fn in_kind_of(x: &Tensor, v: Tensor) -> Tensor {
    if x.kind() == Kind::Double { v.to_kind(Kind::Double) } else { v.to_kind(Kind::Float) }
}
