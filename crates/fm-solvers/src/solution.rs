//! What a solver returns: the state, its cost, and why it stopped.
//!
//! `solve` returns a [`Solution`] that reached the end, or an error. `solve_partial` also returns a solve that ran out of evaluations, could
//! not make its step small enough or met a NaN; [`Stats::reason`] says which.
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

use crate::SolveError;
use crate::record::Record;
use crate::step::is_finite;
use fm_core::state::OdeState;
use std::ops::Range;

/// Why a solver stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub enum StopReason {
    /// The end of the time span was reached.
    #[default]
    ReachedEnd,
    /// A terminal event happened at this time.
    Event {
        /// The time reached.
        t: f64,
    },
    /// The allowance of evaluations was used up at this time.
    MaxEvaluations {
        /// The time reached.
        t: f64,
    },
    /// The step became smaller than allowed, or too small beside t or the span: the problem is stiff or the tolerance beyond the precision.
    StepUnderflow {
        /// The time reached.
        t: f64,
    },
    /// The velocity or the state was not finite.
    NonFinite {
        /// The last time at which the state was known to be finite.
        t: f64,
    },
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = |t: &f64| if t.abs() < 1e6 { format!("{t:.6}") } else { format!("{t:.6e}") };
        match self {
            StopReason::ReachedEnd => write!(f, "reached the end"),
            StopReason::Event { t } => write!(f, "met a terminal event at t = {}", time(t)),
            StopReason::MaxEvaluations { t } => {
                let t = time(t);
                write!(f, "used up the allowed evaluations at t = {t}; allow more, or loosen the tolerance")
            }
            StopReason::StepUnderflow { t } => {
                let t = time(t);
                write!(
                    f,
                    "needs a step too small for the precision or min_step at t = {t}; loosen the tolerance or lower min_step"
                )
            }
            StopReason::NonFinite { t } => {
                let t = time(t);
                write!(f, "met a state or velocity that is not finite after t = {t}; check the model and its input")
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
    pub reason: StopReason,
}

/// Refuses a span without a finite length.
pub(crate) fn check_span((start, end): (f64, f64)) -> Result<(), SolveError> {
    if (end - start).is_finite() && start != end { Ok(()) } else { Err(SolveError::Span { start, end }) }
}

/// Which states to keep on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[doc(alias = "t_eval")]
pub enum SaveAt<'a> {
    /// None: only the final one.
    #[default]
    End,
    /// Those at these times, in the direction of the solve, by the method's own interpolant.
    At(&'a [f64]),
    /// Those at the start and after every step.
    Steps,
}

impl<'a> SaveAt<'a> {
    /// A record for a [`Solver`](crate::Solver) outside this crate that has only the states at the
    /// ends of its steps.
    ///
    /// # Errors
    /// [`SolveError::Span`] for a span without a finite length; [`SolveError::NoInterpolant`] for
    /// output at given times.
    pub fn record<S: OdeState>(self, span: &Range<f64>, x: &S) -> Result<StepRecord<'a, S>, SolveError> {
        check_span((span.start, span.end))?;
        if matches!(self, SaveAt::At(_)) {
            return Err(SolveError::NoInterpolant);
        }
        Ok(StepRecord { record: Record::new(self, span.start, x), end: span.end })
    }

    pub(crate) fn check(&self, (start, end): (f64, f64)) -> Result<(), SolveError> {
        let SaveAt::At(times) = self else { return Ok(()) };
        let direction = (end - start).signum();
        let inside = |t: &f64| (t - start) * direction >= 0.0 && (end - t) * direction >= 0.0;
        let good = times.iter().all(inside) && times.windows(2).all(|p| (p[1] - p[0]) * direction > 0.0);
        if good { Ok(()) } else { Err(SolveError::Times { start, end }) }
    }
}

/// The states at the ends of steps, where they are wanted.
pub struct StepRecord<'a, S> {
    record: Record<'a, S>,
    end: f64,
}

impl<S: OdeState> StepRecord<'_, S> {
    /// The state `x` after a step that ends at `t`.
    pub fn step(&mut self, t: f64, x: &S) {
        self.record.push_step(t, x);
    }

    /// The solution with its final state; one that is not finite is reported as such.
    pub fn finish(self, x: S, mut stats: Stats) -> Solution<S> {
        if stats.reason == StopReason::ReachedEnd && !is_finite(&x) {
            stats.reason = StopReason::NonFinite { t: self.end };
        }
        self.record.finish(x, stats)
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

impl<S> Solution<S> {
    /// The solution if it reached the end or a terminal event.
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
