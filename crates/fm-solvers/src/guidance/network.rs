//! Networks as velocity fields over tensors, with and without classifier-free guidance.
//!
//! v(x, t) = v_u + s (v_c - v_u), with v_c the prediction for the given classes or vectors, and
//! v_u the one without condition: for the null class, or for vectors of zeros. s = 1 is the
//! conditional field, s = 0 the unconditional one, and s > 1 amplifies the effect of the condition.
//! Both predictions come from one forward pass over a doubled batch. Outside the guidance interval
//! s = 1, which keeps samples diverse where the noise is large.

use super::options::GuidanceOptions;
use super::pair::FieldPair;
use super::scores::{self, in_kind_of, scale_column};
use crate::SolveError;
use fm_core::Error;
use fm_core::field::RowField;
use fm_core::state::{RowCombination, RowState};
use fm_core::tensor::{ConditionKind, VelocityModel, times_like, upload};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// A network without conditions, as a field.
#[derive(Debug)]
pub struct Unconditional<'a>(pub &'a dyn VelocityModel);

impl RowField<Tensor> for Unconditional<'_> {
    fn velocities(&self, x: &Tensor, t: &[f64], _: &[usize]) -> Tensor {
        in_kind_of(x, self.0.forward_t(x, &times_like(x, t), None, false))
    }

    fn is_flow_map(&self) -> bool {
        self.0.takes_intervals()
    }

    fn mean_velocities(&self, x: &Tensor, t: &[f64], h: &[f64], _: &[usize]) -> Option<Tensor> {
        let u = self.0.mean_velocity(x, &times_like(x, t), &times_like(x, h), None, false)?;
        Some(in_kind_of(x, u))
    }

    fn has_score(&self) -> bool {
        self.0.has_score()
    }

    fn velocities_and_scores(&self, x: &Tensor, t: &[f64], _: &[usize]) -> Option<[Tensor; 2]> {
        scores::parts(self.0, x, &times_like(x, t), None)
    }
}

/// Classifier-free guidance: v = v_null + scale (v_condition - v_null) at times within the
/// interval, v_condition elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "guidance_scale")]
#[doc(alias = "cfg_scale")]
pub struct Guidance {
    /// 1 for the conditional field; larger values amplify the effect of the condition.
    pub scale: f64,
    /// Times at which the scale applies, including both ends.
    pub interval: (f64, f64),
}

impl Default for Guidance {
    /// The conditional field without guidance.
    fn default() -> Self {
        Self { scale: 1.0, interval: (0.0, 1.0) }
    }
}

/// A conditional network under guidance, as a field.
///
/// v = v_null + s (v_condition - v_null), by one pass over a doubled batch.
///
/// ```
/// use fm_core::{field::RowField, tensor::VelocityModel};
/// use fm_solvers::guidance::{Guidance, Guided};
/// use tch::{Device, Kind, Tensor};
/// /// v = the condition vector, or 0 without one.
/// #[derive(Debug)]
/// struct Copy;
/// impl VelocityModel for Copy {
///     fn forward(&self, x: &Tensor, _t: &Tensor, condition: Option<&Tensor>) -> Tensor {
///         condition.map_or_else(|| x.zeros_like(), Tensor::shallow_clone)
///     }
/// }
/// let (vectors, guidance) = (ndarray::array![[1.0f32, -2.0]], Guidance { scale: 3.0, ..Guidance::default() });
/// let field = Guided::vectors(&Copy, vectors.view(), guidance)?;
/// let v = field.velocities(&Tensor::zeros([1, 2], (Kind::Float, Device::Cpu)), &[0.5], &[0]);
/// assert_eq!(Vec::<f32>::try_from(v.view(-1)).unwrap(), [3.0, -6.0]); // 0 + 3 (c - 0)
/// # Ok::<(), fm_solvers::SolveError>(())
/// ```
#[derive(Debug)]
#[doc(alias = "ClassifierFreeGuidance")]
#[doc(alias = "classifier_free_guidance")]
#[doc(alias = "CFG")]
#[doc(alias = "CFGScaledModel")]
pub struct Guided<'a> {
    /// The network.
    pub model: &'a dyn VelocityModel,
    /// The class of each row, int64, (B), or its condition vector, f32, (B, d).
    pub conditions: Tensor,
    /// The index of the null class, which means "no condition"; unused with condition vectors,
    /// where zeros mean it.
    pub null_class: i64,
    /// Guidance scale s.
    pub scale: f64,
    /// Times at which s applies, including both ends; at other times it is 1.
    pub interval: (f64, f64),
}

impl<'a> Guided<'a> {
    /// A class per row.
    ///
    /// # Errors
    /// [`SolveError::NoNullClass`] for guidance of a network without a [null
    /// class](VelocityModel::null_class); [`Error::Condition`] for classes that the network does
    /// not [take](VelocityModel::condition_kind).
    pub fn classes(model: &'a dyn VelocityModel, classes: &[i64], guidance: Guidance) -> Result<Self, SolveError> {
        if let Some(kind) = model.condition_kind() {
            kind.check_classes(classes)?;
        }
        let Guidance { scale, interval } = guidance;
        let null_class = match model.null_class() {
            Some(null) => null,
            None if scale == 1.0 => 0,
            None => return Err(SolveError::NoNullClass),
        };
        let conditions = Tensor::from_slice(classes).to_device(model.device());
        Ok(Self { model, conditions, null_class, scale, interval })
    }

    /// A condition vector per row, (rows, d). Guidance is away from the vector of zeros, which
    /// stands for a dropped condition in training.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for vectors that are not finite; [`Error::Condition`] for vectors that
    /// the network does not [take](VelocityModel::condition_kind).
    pub fn vectors(
        model: &'a dyn VelocityModel,
        vectors: ArrayView2<'_, f32>,
        guidance: Guidance,
    ) -> Result<Self, SolveError> {
        let (rows, dim) = vectors.dim();
        model.condition_kind().map_or(Ok(()), |kind: ConditionKind| kind.check_vectors(dim))?;
        if let Some(row) = vectors.outer_iter().position(|vector| vector.iter().any(|v| !v.is_finite())) {
            return Err(Error::NotFinite { what: "the condition vectors", row }.into());
        }
        let values: Vec<f32> = vectors.iter().copied().collect();
        let conditions = upload(&values, &[rows as i64, dim as i64], model.device());
        let Guidance { scale, interval } = guidance;
        Ok(Self { model, conditions, null_class: 0, scale, interval })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.conditions.rows()
    }

    /// The conditions of these rows.
    fn of_rows(&self, rows: &[usize]) -> Tensor {
        if rows.len() == self.rows() { self.conditions.shallow_clone() } else { self.conditions.select_rows(rows) }
    }

    /// The predictions for the conditions and without them, by one pass; `Err` with a shape that a
    /// solver rejects.
    fn halves(&self, x: &Tensor, at: Tensor, given: &Tensor, null: &Tensor) -> Result<Vec<Tensor>, Tensor> {
        let at = if at.rows() == 1 { at } else { Tensor::cat(&[&at, &at], 0) };
        let doubled = Tensor::cat(&[x, x], 0);
        let v = self.model.forward_t(&doubled, &at, Some(&Tensor::cat(&[given, null], 0)), false);
        if v.size() != doubled.size() {
            // A velocity of half the rows would look valid.
            return Err(if v.size() == x.size() { x.new_empty([0], (x.kind(), x.device())) } else { v });
        }
        Ok(in_kind_of(x, v).chunk(2, 0))
    }

    /// The guidance scales at these times.
    fn scales(&self, t: &[f64]) -> Vec<f64> {
        let inside = |t: &f64| (self.interval.0..=self.interval.1).contains(t);
        t.iter().map(|t| if inside(t) { self.scale } else { 1.0 }).collect()
    }

    /// "No condition" for each of these conditions.
    fn null(&self, conditions: &Tensor) -> Tensor {
        if conditions.kind() == Kind::Int64 { conditions.full_like(self.null_class) } else { conditions.zeros_like() }
    }
}

impl Guided<'_> {
    /// Checks what does not depend on the state.
    fn check_settings(&self) -> Result<(), Error> {
        let (from, to) = self.interval;
        match (self.model.condition_kind(), &self.conditions.size()[..]) {
            (Some(kind), [_, values]) => kind.check_vectors(*values as usize)?,
            (Some(kind), _) => kind.check_classes(&[])?,
            (None, _) => {}
        }
        super::options::check_scale(self.scale)?;
        if from.is_nan() || to.is_nan() || from > to {
            let (name, domain) = ("the start of the guidance interval", "at most its end");
            return Err(Error::Value { name, domain, value: from });
        }
        Ok(())
    }
}

impl RowField<Tensor> for Guided<'_> {
    /// NaN if scale, interval or conditions are invalid: a solver then fails, also if a closure
    /// around this field has hidden its `check`.
    ///
    /// # Panics
    /// When a number in `rows` is not below the number of conditions; a solver detects this first
    /// through `check`.
    fn velocities(&self, x: &Tensor, t: &[f64], rows: &[usize]) -> Tensor {
        if self.check_settings().is_err() {
            return x.full_like(f64::NAN);
        }
        let given = self.of_rows(rows);
        let null = self.null(&given);
        let at = times_like(x, t);
        let scales = self.scales(t);
        for (scale, condition) in [(1.0, &given), (0.0, &null)] {
            if scales.iter().all(|s| *s == scale) {
                return in_kind_of(x, self.model.forward_t(x, &at, Some(condition), false));
            }
        }
        let halves = match self.halves(x, at, &given, &null) {
            Ok(halves) => halves,
            Err(other) => return other,
        };
        // lerp computes u + s (c - u), the formula above, in one kernel, and exactly c for s = 1.
        if scales.windows(2).all(|pair| pair[0] == pair[1]) {
            return halves[1].lerp(&halves[0], scales[0]);
        }
        halves[1].lerp_tensor(&halves[0], &scale_column(x, &scales))
    }

    fn is_flow_map(&self) -> bool {
        self.model.takes_intervals()
    }

    /// Guided as a velocity is, by the start times of the intervals; NaN for invalid settings.
    ///
    /// # Panics
    /// As [`velocities`](Self::velocities).
    fn mean_velocities(&self, x: &Tensor, t: &[f64], h: &[f64], rows: &[usize]) -> Option<Tensor> {
        if self.check_settings().is_err() {
            return Some(x.full_like(f64::NAN));
        }
        let given = self.of_rows(rows);
        let (at, length) = (times_like(x, t), times_like(x, h));
        let mean = |condition: &Tensor| {
            Some(in_kind_of(x, self.model.mean_velocity(x, &at, &length, Some(condition), false)?))
        };
        let scales = self.scales(t);
        let with = mean(&given)?;
        // A solver rejects another shape, which the scales could extend to that of x.
        if with.size() != x.size() || scales.iter().all(|s| *s == 1.0) {
            return Some(with);
        }
        let without = mean(&self.null(&given))?;
        if without.size() != x.size() {
            return Some(without);
        }
        Some(without.lerp_tensor(&with, &scale_column(x, &scales)))
    }

    fn has_score(&self) -> bool {
        self.model.has_score()
    }

    /// Guided as a velocity is, the score too; NaN for invalid settings.
    ///
    /// # Panics
    /// As [`velocities`](Self::velocities).
    fn velocities_and_scores(&self, x: &Tensor, t: &[f64], rows: &[usize]) -> Option<[Tensor; 2]> {
        if self.check_settings().is_err() {
            return Some([x.full_like(f64::NAN), x.full_like(f64::NAN)]);
        }
        let given = self.of_rows(rows);
        scores::guided(self.model, x, t, [&given, &self.null(&given)], &self.scales(t))
    }

    /// Before, within and after the interval.
    fn segment(&self, t: f64) -> usize {
        usize::from(t >= self.interval.0) + usize::from(t > self.interval.1)
    }

    fn check(&self, x: &Tensor) -> Result<(), Error> {
        let (expected, got) = (x.rows(), self.rows());
        let axes = if self.conditions.kind() == Kind::Int64 { 1 } else { 2 };
        if got != expected || self.conditions.dim() != axes {
            return Err(Error::Rows { what: "conditions of a guided field", expected, got });
        }
        self.check_settings()
    }
}

/// Both predictions of a conditional network, by one pass over a doubled batch, as a pair. The
/// scale and the interval of the field are not used.
///
/// ```
/// use fm_core::{field::RowField, prediction::Prediction, tensor::VelocityModel};
/// use fm_solvers::guidance::{Doubled, Guidance, GuidanceOptions, Guided, Guider, Projection};
/// use tch::{Device, Kind, Tensor};
/// /// v = (1, 1) without a condition, and more by the condition vector with one.
/// #[derive(Debug)]
/// struct Sum;
/// impl VelocityModel for Sum {
///     fn forward(&self, x: &Tensor, _t: &Tensor, condition: Option<&Tensor>) -> Tensor {
///         condition.map_or_else(|| x.ones_like(), |vector| vector + 1.0)
///     }
/// }
/// let options = GuidanceOptions { scale: 2.0, projection: Some(Projection::default()), ..GuidanceOptions::default() };
/// let guided = Guided::vectors(&Sum, ndarray::array![[0.0f32, 1.0]].view(), Guidance::default())?;
/// let guider = Guider::new(Doubled(guided), options, Prediction::Velocity)?;
/// let v = guider.velocities(&Tensor::zeros([1, 2], (Kind::Float, Device::Cpu)), &[0.5], &[0]);
/// // v_c = (1, 2), v_c - v_u = (0, 1), of which (0.4, 0.8) is parallel to v_c.
/// assert!((v - Tensor::from_slice(&[0.6f32, 2.2])).abs().max().double_value(&[]) < 1e-6);
/// # Ok::<(), fm_solvers::SolveError>(())
/// ```
#[derive(Debug)]
pub struct Doubled<'a>(pub Guided<'a>);

impl FieldPair<Tensor> for Doubled<'_> {
    /// # Panics
    /// As the velocities of [`Guided`].
    fn main(&self, x: &Tensor, t: &[f64], rows: &[usize]) -> Tensor {
        let given = self.0.of_rows(rows);
        in_kind_of(x, self.0.model.forward_t(x, &times_like(x, t), Some(&given), false))
    }

    /// # Panics
    /// As the velocities of [`Guided`].
    fn both(&self, x: &Tensor, t: &[f64], rows: &[usize]) -> (Tensor, Tensor) {
        let given = self.0.of_rows(rows);
        match self.0.halves(x, times_like(x, t), &given, &self.0.null(&given)) {
            Ok(halves) => (halves[0].shallow_clone(), halves[1].shallow_clone()),
            Err(other) => (other.shallow_clone(), other),
        }
    }

    fn check(&self, x: &Tensor) -> Result<(), Error> {
        self.0.check(x)
    }
}

impl From<Guidance> for GuidanceOptions {
    /// Classifier-free guidance without further rules.
    fn from(Guidance { scale, interval }: Guidance) -> Self {
        Self { scale, interval, ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
