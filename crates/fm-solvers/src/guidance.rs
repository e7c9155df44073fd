//! Networks as velocity fields over tensors, with and without classifier-free guidance.
//!
//! v(x, t) = v_u + s (v_c - v_u), with v_c the prediction for the given classes or vectors, and
//! v_u the one without condition: for the null class, or for vectors of zeros. s = 1 is the
//! conditional field, s = 0 the unconditional one, and s > 1 amplifies the effect of the condition.
//! Both predictions come from one forward pass over a doubled batch. Outside the guidance interval
//! s = 1, which keeps samples diverse where the noise is large.
//!
//! ```
//! use fm_core::{field::RowField, tensor::VelocityModel};
//! use fm_solvers::guidance::{Guidance, Guided};
//! use tch::{Device, Kind, Tensor};
//! /// v = the condition vector, or 0 without one.
//! #[derive(Debug)]
//! struct Copy;
//! impl VelocityModel for Copy {
//!     fn forward(&self, x: &Tensor, _t: &Tensor, condition: Option<&Tensor>) -> Tensor {
//!         condition.map_or_else(|| x.zeros_like(), Tensor::shallow_clone)
//!     }
//! }
//! let (vectors, guidance) = (ndarray::array![[1.0f32, -2.0]], Guidance { scale: 3.0, ..Guidance::default() });
//! let field = Guided::vectors(&Copy, vectors.view(), guidance)?;
//! let v = field.velocities(&Tensor::zeros([1, 2], (Kind::Float, Device::Cpu)), &[0.5], &[0]);
//! assert_eq!(Vec::<f32>::try_from(v.view(-1)).unwrap(), [3.0, -6.0]); // 0 + 3 (c - 0)
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```
//!
//! Sources: Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022); Kynkaanniemi et al.,
//! "Applying Guidance in a Limited Interval" (2024).

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
#[derive(Debug)]
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

    /// "No condition" for each of these conditions.
    fn null(&self, conditions: &Tensor) -> Tensor {
        if conditions.kind() == Kind::Int64 { conditions.full_like(self.null_class) } else { conditions.zeros_like() }
    }
}

impl RowField<Tensor> for Guided<'_> {
    /// # Panics
    /// When a number in `rows` is not below the number of conditions; a solver detects this first
    /// through `check`.
    fn velocities(&self, x: &Tensor, t: &[f64], rows: &[usize]) -> Tensor {
        let whole = rows.len() == self.rows();
        let given = if whole { self.conditions.shallow_clone() } else { self.conditions.select_rows(rows) };
        let null = self.null(&given);
        let at = times_like(x, t);
        let inside = |t: &f64| (self.interval.0..=self.interval.1).contains(t);
        let scales: Vec<f64> = t.iter().map(|t| if inside(t) { self.scale } else { 1.0 }).collect();
        for (scale, condition) in [(1.0, &given), (0.0, &null)] {
            if scales.iter().all(|s| *s == scale) {
                return in_kind_of(x, self.model.forward_t(x, &at, Some(condition), false));
            }
        }
        let at = if at.rows() == 1 { at } else { Tensor::cat(&[&at, &at], 0) };
        let doubled = Tensor::cat(&[x, x], 0);
        let v = self.model.forward_t(&doubled, &at, Some(&Tensor::cat(&[&given, &null], 0)), false);
        if v.size() != doubled.size() {
            // Return a shape that a solver rejects: a velocity of half the rows would look valid.
            return if v.size() == x.size() { x.new_empty([0], (x.kind(), x.device())) } else { v };
        }
        let halves = in_kind_of(x, v).chunk(2, 0);
        // lerp computes u + s (c - u), the formula above, in one kernel, and exactly c for s = 1.
        if scales.windows(2).all(|pair| pair[0] == pair[1]) {
            return halves[1].lerp(&halves[0], scales[0]);
        }
        let ones = std::iter::repeat_n(1, x.dim().saturating_sub(1));
        let shape: Vec<i64> = std::iter::once(x.rows() as i64).chain(ones).collect();
        let column = times_like(x, &scales).view(shape.as_slice());
        halves[1].lerp_tensor(&halves[0], &column)
    }

    /// Before, within and after the interval.
    fn segment(&self, t: f64) -> usize {
        usize::from(t >= self.interval.0) + usize::from(t > self.interval.1)
    }

    fn check(&self, x: &Tensor) -> Result<(), Error> {
        let (expected, got) = (x.rows(), self.rows());
        let (from, to) = self.interval;
        let axes = if self.conditions.kind() == Kind::Int64 { 1 } else { 2 };
        if got != expected || self.conditions.dim() != axes {
            return Err(Error::Rows { what: "conditions of a guided field", expected, got });
        }
        match (self.model.condition_kind(), &self.conditions.size()[..]) {
            (Some(kind), [_, values]) => kind.check_vectors(*values as usize)?,
            (Some(kind), _) => kind.check_classes(&[])?,
            (None, _) => {}
        }
        if !self.scale.is_finite() {
            return Err(Error::Value { name: "the guidance scale", domain: "finite", value: self.scale });
        }
        if from.is_nan() || to.is_nan() || from > to {
            let (name, domain) = ("the start of the guidance interval", "at most its end");
            return Err(Error::Value { name, domain, value: from });
        }
        Ok(())
    }
}

/// A network as a field, with guidance if the rows have conditions.
#[derive(Debug)]
pub enum Field<'m> {
    /// For rows with classes or condition vectors.
    Conditional(Guided<'m>),
    /// For rows without conditions.
    Unconditional(Unconditional<'m>),
}

impl RowField<Tensor> for Field<'_> {
    fn velocities(&self, x: &Tensor, t: &[f64], rows: &[usize]) -> Tensor {
        match self {
            Field::Conditional(field) => field.velocities(x, t, rows),
            Field::Unconditional(field) => field.velocities(x, t, rows),
        }
    }

    fn check(&self, x: &Tensor) -> Result<(), Error> {
        match self {
            Field::Conditional(field) => field.check(x),
            Field::Unconditional(field) => field.check(x),
        }
    }

    fn segment(&self, t: f64) -> usize {
        match self {
            Field::Conditional(field) => field.segment(t),
            Field::Unconditional(field) => RowField::<Tensor>::segment(field, t),
        }
    }
}

/// Converts a velocity to the kind of the state: a network may compute in half precision.
fn in_kind_of(x: &Tensor, v: Tensor) -> Tensor {
    if x.kind() == Kind::Double { v.to_kind(Kind::Double) } else { v.to_kind(Kind::Float) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Predicts the class index, so that guidance can be checked by hand.
    #[derive(Debug)]
    struct ClassIndex;

    impl VelocityModel for ClassIndex {
        fn forward(&self, x: &Tensor, _t: &Tensor, condition: Option<&Tensor>) -> Tensor {
            x.zeros_like() + condition.expect("a class").to_kind(Kind::Float).view([-1, 1])
        }
    }

    fn guided(scale: f64, interval: (f64, f64)) -> Guided<'static> {
        Guided { model: &ClassIndex, conditions: Tensor::from_slice(&[1i64, 4]), null_class: 10, scale, interval }
    }

    fn values(field: &Guided<'_>, t: &[f64], rows: &[usize]) -> Vec<f32> {
        let x = Tensor::zeros([t.len() as i64, 1], (Kind::Float, tch::Device::Cpu));
        Vec::try_from(field.velocities(&x, t, rows).view(-1)).unwrap()
    }

    /// One solve with an interval has the steps of three solves, one for each piece.
    #[test]
    fn multistep_solvers_start_anew_where_guidance_starts_and_ends() {
        let field = fm_core::field::SharedTime(guided(3.0, (0.2, 0.55)));
        let grid = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
        let x0 = || Tensor::from_slice(&[0.5f32, -1.0]).view([2, 1]);
        let solve = |x, grid: &[f64]| {
            let (path, method) = (fm_core::path::PathKind::Linear, crate::multistep::MultistepMethod::Pec);
            crate::multistep::solve(&field, &path, x, grid, method, crate::SaveAt::End).unwrap().x
        };
        let whole = solve(x0(), &grid);
        let pieces = solve(solve(solve(x0(), &grid[..3]), &grid[2..7]), &grid[6..]);
        assert!(whole.equal(&pieces) && !whole.equal(&solve(x0(), &[0.0, 0.7])));
    }

    /// Predicts each row's time; the sign tells how many times the network received.
    #[derive(Debug)]
    struct Clock;

    impl VelocityModel for Clock {
        fn forward(&self, x: &Tensor, t: &Tensor, _: Option<&Tensor>) -> Tensor {
            let sign = if t.size() == [1] { -1.0 } else { 1.0 };
            x.zeros_like() + t.view([-1, 1]) * sign
        }
    }

    #[test]
    fn a_time_that_all_rows_share_is_given_once() {
        let x = Tensor::zeros([3, 1], (Kind::Float, tch::Device::Cpu));
        let of =
            |t: &[f64]| Vec::<f32>::try_from(Unconditional(&Clock).velocities(&x, t, &[0, 1, 2]).view(-1)).unwrap();
        assert_eq!(of(&[0.25, 0.25, 0.25]), [-0.25, -0.25, -0.25]);
        assert_eq!(of(&[0.25, 0.25, 0.5]), [0.25, 0.25, 0.5]);
        let guided = |t: &[f64]| {
            let conditions = Tensor::from_slice(&[0i64, 0, 0]);
            let field = Guided { model: &Clock, conditions, null_class: 1, scale: 2.0, interval: (0.0, 1.0) };
            Vec::<f32>::try_from(field.velocities(&x, t, &[0, 1, 2]).view(-1)).unwrap()
        };
        assert_eq!(guided(&[0.25, 0.25, 0.25]), [-0.25, -0.25, -0.25]);
        assert_eq!(guided(&[0.25, 0.5, 0.75]), [0.25, 0.5, 0.75]);
    }

    #[test]
    fn a_solver_refuses_other_classes_than_rows_and_settings_that_turn_guidance_off() {
        let good = guided(2.0, (0.0, 1.0));
        let x = |rows: i64| Tensor::zeros([rows, 1], (Kind::Float, tch::Device::Cpu));
        assert_eq!(good.check(&x(2)), Ok(()));
        assert!(matches!(good.check(&x(3)), Err(Error::Rows { expected: 3, got: 2, .. })));
        for bad in [guided(f64::NAN, (0.0, 1.0)), guided(2.0, (0.6, 0.2)), guided(2.0, (f64::NAN, 1.0))] {
            assert!(matches!(bad.check(&x(2)), Err(Error::Value { .. })), "{bad:?}");
        }
        let (options, grid) = (crate::AdaptiveOptions::default(), [0.0, 1.0]);
        let tableau = &crate::tableau::DOPRI5;
        let solved = crate::per_sample::solve(&good, x(3), (0.0, 1.0), tableau, &options, crate::SaveAt::End);
        assert!(matches!(solved, Err(crate::SolveError::Path(Error::Rows { .. }))));
        let together = fm_core::field::SharedTime(guided(2.0, (0.0, 1.0)));
        let solved = crate::fixed::solve(&together, x(3), &grid, tableau, crate::SaveAt::End);
        assert!(matches!(solved, Err(crate::SolveError::Path(Error::Rows { .. }))));
    }

    /// Predicts a fixed number of rows for any input.
    #[derive(Debug)]
    struct Rows(i64);

    impl VelocityModel for Rows {
        fn forward(&self, x: &Tensor, _: &Tensor, _: Option<&Tensor>) -> Tensor {
            Tensor::zeros([self.0, 1], (x.kind(), x.device()))
        }
    }

    #[test]
    fn predictions_for_another_number_of_rows_are_not_guided() {
        for rows in [0, 1, 2, 3, 5] {
            let (model, conditions) = (Rows(rows), Tensor::from_slice(&[1i64, 4]));
            let field = Guided { model: &model, conditions, null_class: 10, scale: 2.0, interval: (0.0, 1.0) };
            let x = Tensor::zeros([2, 1], (Kind::Float, tch::Device::Cpu));
            let options = crate::AdaptiveOptions::default();
            let tableau = &crate::tableau::DOPRI5;
            let solved = crate::per_sample::solve(&field, x, (0.0, 1.0), tableau, &options, crate::SaveAt::End);
            assert!(matches!(solved, Err(crate::SolveError::Shape { .. })), "{rows}");
        }
    }

    #[test]
    fn guidance_is_its_formula() {
        for (scale, want) in [(0.0, [10., 10.]), (1.0, [1., 4.]), (3.0, [-17., -8.]), (0.5, [5.5, 7.])] {
            assert_eq!(values(&guided(scale, (0.0, 1.0)), &[0.5, 0.5], &[0, 1]), want);
        }
    }

    #[test]
    fn rows_keep_their_classes_and_are_guided_in_the_interval_only() {
        assert_eq!(values(&guided(3.0, (0.0, 1.0)), &[0.5], &[1]), [-8.0]);
        assert_eq!(values(&guided(3.0, (0.2, 0.6)), &[0.6, 0.7], &[0, 1]), [-17.0, 4.0]);
        assert_eq!(values(&guided(3.0, (0.2, 0.6)), &[0.1, 0.7], &[0, 1]), [1.0, 4.0]);
    }
}
