//! One Runge-Kutta step of a whole state.

use crate::SolveError;
use crate::tableau::{MAX_STAGES, Tableau};
use fm_core::field::{RowField, VelocityField};
use fm_core::state::{OdeState, Tolerance};

const VELOCITY: &str = "the velocity";

/// v(x, t), or an error if its shape differs from that of x.
#[inline]
pub(crate) fn velocity<S: OdeState>(field: &(impl VelocityField<S> + ?Sized), x: &S, t: f64) -> Result<S, SolveError> {
    fitting(VELOCITY, x, field.velocity(x, t), t)
}

/// The velocities of rows at their own times, with the same check.
pub(crate) fn velocities<S: OdeState>(
    field: &(impl RowField<S> + ?Sized),
    x: &S,
    t: &[f64],
    rows: &[usize],
) -> Result<S, SolveError> {
    fitting(VELOCITY, x, field.velocities(x, t, rows), t.first().copied().unwrap_or(f64::NAN))
}

/// The value, or an error if its shape differs from the state's.
#[inline]
pub(crate) fn fitting<S: OdeState>(what: &'static str, x: &S, value: S, t: f64) -> Result<S, SolveError> {
    if value.same_shape(x) {
        return Ok(value);
    }
    Err(misshapen(what, x, &value, t))
}

#[cold]
#[inline(never)]
fn misshapen<S: OdeState>(what: &'static str, x: &S, value: &S, t: f64) -> SolveError {
    SolveError::Shape { what, t, expected: x.shape(), got: value.shape() }
}

/// A tolerance under which the norm of any finite state is finite: the squared quotients do not
/// overflow.
pub(crate) fn finite() -> Tolerance {
    Tolerance::new(0.0, 1e300)
}

/// Whether every value of a state is finite.
pub(crate) fn is_finite<S: OdeState>(x: &S) -> bool {
    S::error_norm(x, x, x, &finite()).is_finite()
}

/// Terms of a linear combination, on the stack because each step builds many.
pub(crate) struct Weights<'a, S> {
    terms: [(f64, &'a S); MAX_STAGES + 1],
    count: usize,
}

impl<'a, S> Weights<'a, S> {
    /// h w_i k_i without the zero terms, unless all terms are zero.
    pub(crate) fn new(h: f64, w: &[f64], k: &'a [S]) -> Self {
        Self { terms: [(0.0, &k[0]); MAX_STAGES + 1], count: 0 }.and(h, w, k)
    }

    /// x + sum h w_i k_i.
    pub(crate) fn from(x: &'a S, h: f64, w: &[f64], k: &'a [S]) -> Self {
        Self { terms: [(1.0, x); MAX_STAGES + 1], count: 1 }.and(h, w, k)
    }

    fn and(mut self, h: f64, w: &[f64], k: &'a [S]) -> Self {
        for (w, k) in w.iter().zip(k).filter(|(w, _)| **w != 0.0) {
            self.terms[self.count] = (h * w, k);
            self.count += 1;
        }
        self
    }

    pub(crate) fn terms(&self) -> &[(f64, &'a S)] {
        &self.terms[..self.count.max(1)]
    }
}

/// Evaluates the missing stages in `k`, up to `count` stages, and writes the new state to `next`.
/// Returns the number of evaluations. `at_end`: the last stage is evaluated at the new state
/// itself.
///
/// # Errors
/// A velocity of another shape than x.
pub(crate) fn stages<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: &S,
    (t, h): (f64, f64),
    tableau: &Tableau,
    (count, at_end): (usize, bool),
    k: &mut Vec<S>,
    next: &mut S,
) -> Result<usize, SolveError> {
    let had = k.len();
    for i in had..count {
        if i == 0 {
            k.push(velocity(field, x, t)?);
            continue;
        }
        next.assign_combination(Weights::from(x, h, tableau.a[i], k).terms());
        let t = t + tableau.c[i] * h;
        // Not through `velocity`, which would move the result once more.
        let v = field.velocity(next, t);
        if !v.same_shape(next) {
            return Err(misshapen(VELOCITY, next, &v, t));
        }
        k.push(v);
    }
    if !at_end {
        next.assign_combination(Weights::from(x, h, tableau.b, k).terms());
    }
    Ok(count - had)
}
