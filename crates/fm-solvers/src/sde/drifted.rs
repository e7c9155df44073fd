//! The drift of an SDE whose field has a score, as a field.

use super::Diffusion;
use fm_core::Error;
use fm_core::field::{RowField, VelocityField};
use fm_core::path::{Coefficients, ProbPath};
use fm_core::state::{OdeState, RowState};

/// v + d g^2 / 2 s, with d = 1 toward the data and -1 toward the source. A velocity or a score of
/// another shape than x is returned unchanged, so that a solver rejects it.
pub(super) struct Drifted<'a, F: ?Sized, P> {
    pub(super) field: &'a F,
    pub(super) path: &'a P,
    pub(super) diffusion: Diffusion,
    pub(super) direction: f64,
}

impl<F: ?Sized, P: ProbPath> Drifted<'_, F, P> {
    /// d g^2 / 2 at t.
    fn weight(&self, t: f64) -> f64 {
        0.5 * self.direction * self.diffusion.variance(&self.path.coefficients(t))
    }
}

/// g at t.
///
/// # Errors
/// A time outside [0, 1], and a path whose weight of the source is not finite there.
pub(super) fn deviation(path: &impl ProbPath, diffusion: Diffusion, t: f64) -> Result<f64, Error> {
    if !(0.0..=1.0).contains(&t) {
        return Err(Error::TimeOutside { t });
    }
    // The derivatives of a bridge are infinite at its ends, and the weight of the source is not.
    let g = diffusion.variance(&path.coefficients(t)).sqrt();
    if g.is_finite() { Ok(g) } else { Err(Error::PathNotFinite { path: path.name(), t }) }
}

impl<S: OdeState, F: VelocityField<S> + ?Sized, P: ProbPath> VelocityField<S> for Drifted<'_, F, P> {
    fn velocity(&self, x: &S, t: f64) -> S {
        match self.field.velocity_and_score(x, t) {
            Some([v, s]) if v.same_shape(x) && s.same_shape(x) => {
                S::linear_combination(&[(1.0, &v), (self.weight(t), &s)])
            }
            Some([v, s]) => {
                if v.same_shape(x) {
                    s
                } else {
                    v
                }
            }
            None => S::linear_combination(&[(f64::NAN, x)]),
        }
    }

    fn check(&self, x: &S) -> Result<(), Error> {
        self.field.check(x)
    }

    fn segment(&self, t: f64) -> usize {
        self.field.segment(t)
    }

    fn path_at(&self, t: f64) -> Option<Coefficients> {
        self.field.path_at(t)
    }
}

impl<S: RowState, F: RowField<S> + ?Sized, P: ProbPath> RowField<S> for Drifted<'_, F, P> {
    fn velocities(&self, x: &S, t: &[f64], rows: &[usize]) -> S {
        match self.field.velocities_and_scores(x, t, rows) {
            Some([v, s]) if v.same_shape(x) && s.same_shape(x) => {
                let weights: Vec<f64> = t.iter().map(|t| self.weight(*t)).collect();
                S::row_combination(&[(&vec![1.0; t.len()], &v), (&weights, &s)])
            }
            Some([v, s]) => {
                if v.same_shape(x) {
                    s
                } else {
                    v
                }
            }
            None => S::row_combination(&[(&vec![f64::NAN; t.len()], x)]),
        }
    }

    fn check(&self, x: &S) -> Result<(), Error> {
        self.field.check(x)
    }
}
