//! The two fields that guidance combines.

use fm_core::Error;
use fm_core::field::RowField;
use fm_core::path::Coefficients;

/// Two fields over the same batch: the one to guide, and the one to guide away from.
pub trait FieldPair<S> {
    /// v_c alone; arguments and result as in [`RowField::velocities`].
    fn main(&self, x: &S, t: &[f64], rows: &[usize]) -> S;

    /// v_c and v_u, which one pass may compute.
    fn both(&self, x: &S, t: &[f64], rows: &[usize]) -> (S, S);

    /// As [`RowField::check`].
    ///
    /// # Errors
    /// The reason that a field does not accept the batch.
    fn check(&self, x: &S) -> Result<(), Error> {
        let _ = x;
        Ok(())
    }

    /// As [`RowField::segment`].
    fn segment(&self, t: f64) -> usize {
        let _ = t;
        0
    }

    /// As [`RowField::path_at`].
    fn path_at(&self, t: f64) -> Option<Coefficients> {
        let _ = t;
        None
    }
}

/// Two fields, evaluated one after the other.
///
/// Autoguidance has the same conditions in both, and a smaller network or an earlier checkpoint as
/// the weak one; classifier-free guidance has the same network in both.
#[derive(Debug, Clone, Copy)]
#[doc(alias = "AutoGuidance")]
pub struct Pair<F, G> {
    /// The field to guide, v_c.
    pub main: F,
    /// The field to guide away from, v_u.
    pub weak: G,
}

impl<S, F: RowField<S>, G: RowField<S>> FieldPair<S> for Pair<F, G> {
    fn main(&self, x: &S, t: &[f64], rows: &[usize]) -> S {
        self.main.velocities(x, t, rows)
    }

    fn both(&self, x: &S, t: &[f64], rows: &[usize]) -> (S, S) {
        (self.main.velocities(x, t, rows), self.weak.velocities(x, t, rows))
    }

    fn check(&self, x: &S) -> Result<(), Error> {
        self.main.check(x)?;
        self.weak.check(x)
    }

    fn segment(&self, t: f64) -> usize {
        number_of(self.main.segment(t), self.weak.segment(t))
    }

    fn path_at(&self, t: f64) -> Option<Coefficients> {
        self.main.path_at(t)
    }
}

/// One number for a pair of segments, different for different pairs (Cantor's).
pub(super) fn number_of(a: usize, b: usize) -> usize {
    let sum = a.wrapping_add(b);
    (sum.wrapping_mul(sum.wrapping_add(1)) / 2).wrapping_add(b)
}
