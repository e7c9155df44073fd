//! What a solver returns. Running out of evaluations or meeting a NaN is a value, not a panic: the state reached comes back
//! with the reason.
//!
//! ```
//! use fm_solvers::{Reason, Stats};
//! let fresh = Stats::default();
//! assert_eq!((fresh.evaluations, fresh.accepted, fresh.reason), (0, 0, Reason::ReachedEnd));
//! ```

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
    /// The step became too small to change t: the problem is stiff or the tolerance beyond the arithmetic.
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
    /// Calls of the field, counted as they are made: the NFE.
    pub evaluations: usize,
    /// Steps taken.
    pub accepted: usize,
    /// Steps tried and thrown away.
    pub rejected: usize,
    /// Why the solver stopped.
    pub reason: Reason,
}

/// The state reached and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution<S> {
    /// The final state.
    pub x: S,
    /// The cost and the reason.
    pub stats: Stats,
}

/// A request that no solver can carry out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SolveError {
    /// The grid does not describe steps.
    #[error("a time grid needs at least two finite times that only rise or only fall; give at least one step")]
    Grid,
    /// A tolerance that no step can meet.
    #[error("tolerances must be finite, not negative and not both zero; got rtol {rtol} and atol {atol}")]
    Tolerance {
        /// Relative tolerance given.
        rtol: f64,
        /// Absolute tolerance given.
        atol: f64,
    },
    /// A tableau without an error estimate was asked to choose its own steps.
    #[error(
        "{method} has no embedded error estimate, so it cannot choose its steps; give a number of steps or use dopri5"
    )]
    NoErrorEstimate {
        /// Name of the method.
        method: &'static str,
    },
}
