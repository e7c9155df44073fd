//! What a solver returns. Running out of evaluations or meeting a NaN is a value, not a panic: the state reached comes back
//! with the reason.
//!
//! ```
//! use fm_solvers::{Reason, Stats};
//! let fresh = Stats::default();
//! assert_eq!((fresh.evaluations, fresh.accepted, fresh.reason), (0, 0, Reason::ReachedEnd));
//! ```

use crate::SolveError;

/// Why a solver stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Reason {
    /// The end of the time span was reached.
    #[default]
    ReachedEnd,
    /// The allowance of evaluations was used up at this time.
    MaxEvaluations {
        /// The time reached.
        t: f64,
    },
    /// The step became smaller than allowed, or too small to change t: the problem is stiff or the tolerance beyond the arithmetic.
    StepUnderflow {
        /// The time reached.
        t: f64,
    },
    /// The velocity or the state was not finite.
    NonFinite {
        /// The last time at which the state was good.
        t: f64,
    },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::ReachedEnd => write!(f, "reached the end"),
            Reason::MaxEvaluations { t } => {
                write!(f, "used up the allowed evaluations at t = {t:.6}; allow more, or loosen the tolerance")
            }
            Reason::StepUnderflow { t } => write!(f, "step size underflow at t = {t:.6}; loosen the tolerance"),
            Reason::NonFinite { t } => {
                write!(f, "velocity not finite after t = {t:.6}; the model or its input is broken")
            }
        }
    }
}

/// What a solve cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Evaluations, counted as they are made: the NFE.
    pub evaluations: usize,
    /// Steps taken.
    pub accepted: usize,
    /// Steps tried and thrown away.
    pub rejected: usize,
    /// The smallest step taken; infinite when there was none.
    pub smallest_step: f64,
    /// Why the solver stopped.
    pub reason: Reason,
}

/// Which states to keep on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Output<'a> {
    /// None: only the final one.
    #[default]
    Final,
    /// Those at these times, in the direction of the solve, by the method's own interpolant.
    At(&'a [f64]),
    /// Those at the start and after every step.
    Steps,
}

impl Output<'_> {
    pub(crate) fn check(&self, (start, end): (f64, f64)) -> Result<(), SolveError> {
        let Output::At(times) = self else { return Ok(()) };
        let direction = (end - start).signum();
        let inside = |t: &f64| (t - start) * direction >= 0.0 && (end - t) * direction >= 0.0;
        let good = times.iter().all(inside) && times.windows(2).all(|p| (p[1] - p[0]) * direction > 0.0);
        if good { Ok(()) } else { Err(SolveError::Times { start, end }) }
    }
}

/// The state reached, states on the way, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution<S> {
    /// The final state.
    pub x: S,
    /// Times of the states that were asked for, as far as the solve came.
    pub times: Vec<f64>,
    /// The states at these times.
    pub states: Vec<S>,
    /// The cost and the reason.
    pub stats: Stats,
}
