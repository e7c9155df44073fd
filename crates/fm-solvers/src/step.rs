//! One Runge-Kutta step of a whole state, and the record of states on the way.

use crate::tableau::{MAX_STAGES, Tableau};
use crate::{SaveAt, Solution, SolveError, Stats};
use fm_core::field::{RowField, VelocityField};
use fm_core::state::{OdeState, Tolerance};

const VELOCITY: &str = "the velocity";

/// v(x, t), refused if it has another shape than x.
#[inline]
pub(crate) fn velocity<S: OdeState>(field: &(impl VelocityField<S> + ?Sized), x: &S, t: f64) -> Result<S, SolveError> {
    fitting(VELOCITY, x, field.velocity(x, t), t)
}

/// The same of rows at their own times.
pub(crate) fn velocities<S: OdeState>(
    field: &(impl RowField<S> + ?Sized),
    x: &S,
    t: &[f64],
    rows: &[usize],
) -> Result<S, SolveError> {
    fitting(VELOCITY, x, field.velocities(x, t, rows), t.first().copied().unwrap_or(f64::NAN))
}

/// A value, unless its shape differs from the state's.
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

/// Under this tolerance the norm of any finite state is finite: squares of its quotients do not overflow.
pub(crate) fn finite() -> Tolerance {
    Tolerance::new(0.0, 1e300)
}

/// Whether every value of a state is finite.
pub(crate) fn is_finite<S: OdeState>(x: &S) -> bool {
    S::error_norm(x, x, x, &finite()).is_finite()
}

/// Terms of a linear combination, on the stack: a step makes many.
pub(crate) struct Weights<'a, S> {
    terms: [(f64, &'a S); MAX_STAGES + 1],
    count: usize,
}

impl<'a, S> Weights<'a, S> {
    /// h w_i k_i, without what is zero, unless all are.
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

/// Evaluates the stages that `k` lacks, of the first `count`, and leaves the new state in `next`. Returns the evaluations.
///
/// # Errors
/// A velocity of another shape than x.
pub(crate) fn stages<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: &S,
    (t, h): (f64, f64),
    tableau: &Tableau,
    count: usize,
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
        // Not through `velocity`, whose result would be moved once more.
        let v = field.velocity(next, t);
        if !v.same_shape(next) {
            return Err(misshapen(VELOCITY, next, &v, t));
        }
        k.push(v);
    }
    // With FSAL the last stage was evaluated at the new state itself.
    if !(tableau.fsal() && count == tableau.stages()) {
        next.assign_combination(Weights::from(x, h, tableau.b, k).terms());
    }
    Ok(count - had)
}

/// States as they are passed.
pub(crate) struct Record<'a, S> {
    output: SaveAt<'a>,
    times: Vec<f64>,
    states: Vec<S>,
}

impl<'a, S: OdeState> Record<'a, S> {
    pub(crate) fn new(output: SaveAt<'a>, start: f64, x: &S) -> Self {
        let mut record = Self { output, times: Vec::new(), states: Vec::new() };
        let wanted = match output {
            SaveAt::End => false,
            SaveAt::At(times) => times.first() == Some(&start),
            SaveAt::Steps => true,
        };
        if wanted {
            record.push(start, x);
        }
        record
    }

    /// An accepted step from (t, x) of size h, which ends at (end, next).
    pub(crate) fn step(&mut self, (t, h, end): (f64, f64, f64), x: &S, next: &S, k: &[S], tableau: &Tableau) {
        match self.output {
            SaveAt::End => {}
            SaveAt::Steps => self.push(end, next),
            SaveAt::At(times) => {
                while let Some(&time) = times.get(self.times.len()).filter(|time| (end - **time) * h >= 0.0) {
                    if time == end {
                        self.push(time, next);
                        continue;
                    }
                    let weights = tableau.interpolate((time - t) / h);
                    self.times.push(time);
                    self.states.push(S::linear_combination(Weights::from(x, h, &weights, k).terms()));
                }
            }
        }
    }

    /// A step that has no interpolant.
    pub(crate) fn push_step(&mut self, end: f64, next: &S) {
        if self.output == SaveAt::Steps {
            self.push(end, next);
        }
    }

    fn push(&mut self, t: f64, x: &S) {
        self.times.push(t);
        self.states.push(S::linear_combination(&[(1.0, x)]));
    }

    pub(crate) fn finish(self, x: S, stats: Stats) -> Solution<S> {
        Solution { x, times: self.times, states: self.states, stats }
    }
}
