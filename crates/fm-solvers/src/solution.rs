//! The result of a solver: the state, its cost, and why it stopped.
//!
//! `solve` returns a [`Solution`] that reached the end, or an error. `solve_partial` also returns a
//! solve that ran out of evaluations, could not make its step small enough, or met a NaN;
//! [`Stats::reason`] holds the reason.
//!
//! ```
//! use fm_solvers::{AdaptiveOptions, SaveAt, StopReason, SolveError, adaptive, tableau::DOPRI5};
//! let explode = |x: &f64, _: f64| x * x; // 1 / (1 - t): infinite at t = 1
//! let (span, options) = ((0.0, 2.0), AdaptiveOptions::default());
//! assert!(matches!(
//!     adaptive::solve(&explode, 1.0, span, &DOPRI5, &options, SaveAt::End),
//!     Err(SolveError::Stopped { row: None, .. })
//! ));
//! let partial = adaptive::solve_partial(&explode, 1.0, span, &DOPRI5, &options, SaveAt::End)?;
//! assert!(partial.stats.reason != StopReason::ReachedEnd && partial.x > 1e3);
//! assert!(partial.into_result().is_err());
//! # Ok::<(), SolveError>(())
//! ```

pub use crate::record::StepRecord;
pub use crate::save::SaveAt;
pub use crate::stop::StopReason;

use crate::SolveError;

/// The cost of a solve.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Number of evaluations, counted as they are made: the NFE.
    #[doc(alias = "nfev")]
    pub evaluations: usize,
    /// Accepted steps.
    pub accepted: usize,
    /// Rejected steps.
    pub rejected: usize,
    /// The smallest accepted step; infinite if there was none.
    pub smallest_step: f64,
    /// Why the solver stopped.
    pub reason: StopReason,
}

/// The state reached, saved states, and the cost.
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "OdeResult")]
pub struct Solution<S> {
    /// The final state.
    pub x: S,
    /// Times of the saved states, up to where the solve stopped.
    pub times: Vec<f64>,
    /// The states at these times.
    pub states: Vec<S>,
    /// The cost and the reason.
    pub stats: Stats,
}

impl<S> Solution<S> {
    /// The solution, if it reached the end or a terminal event.
    ///
    /// # Errors
    /// [`SolveError::Stopped`] if it did not.
    pub fn into_result(self) -> Result<Self, SolveError> {
        match self.stats.reason {
            StopReason::ReachedEnd | StopReason::Event { .. } => Ok(self),
            reason => Err(SolveError::Stopped { row: None, reason }),
        }
    }
}
