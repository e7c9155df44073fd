//! Dense output: a solution as a function of time.
//!
//! Each step of a [`Fixed`](crate::Fixed) or [`Adaptive`](crate::Adaptive) solver, from (t, x) of
//! size h, is stored as the polynomial x + h sum_j theta^j c_j
//! with theta = (time - t) / h, which is the method's interpolant. Memory is 1 + degree states per
//! step (Dopri5: 5, DOP853: 8). The error is that of the interpolant, of order
//! [`dense_order`](crate::tableau::Tableau::dense_order). The function is continuous and passes
//! through the states at the ends of steps.
//!
//! ```
//! use fm_solvers::{Adaptive, SolveError, dense};
//! let turn = |x: &Vec<f64>, _t: f64| vec![x[1], -x[0]];
//! let sine = dense::solve(&turn, vec![0.0, 1.0], 0.0..10.0, &Adaptive::dop853().tolerance(1e-10))?;
//! for t in [0.0, 0.1, 3.7, 10.0] {
//!     assert!((sine.at(t)?[0] - t.sin()).abs() < 1e-8);
//! }
//! assert_eq!(sine.at(10.5), Err(SolveError::Outside { t: 10.5, start: 0.0, end: 10.0 }));
//! # Ok::<(), SolveError>(())
//! ```

use crate::events::{Event, EventObserver, EventTimes};
use crate::piece::Piece;
use crate::solver::RungeKutta;
use crate::{SaveAt, SolveError, Stats, StopReason};
use fm_core::field::VelocityField;
use fm_core::state::OdeState;
use std::ops::Range;

/// A solution that can be evaluated at every time of its span.
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "OdeSolution")]
#[doc(alias = "DenseInterpolation")]
pub struct DenseSolution<S> {
    /// The final state.
    pub x: S,
    /// The cost, and whether a terminal event ended the solve.
    pub stats: Stats,
    /// The zeros of the events, if any were given.
    pub events: Vec<EventTimes<S>>,
    span: (f64, f64),
    pieces: Vec<Piece<S>>,
}

impl<S: OdeState> DenseSolution<S> {
    /// The state at `t`.
    ///
    /// # Errors
    /// [`SolveError::Outside`] unless `t` lies between the start of the solve and its end.
    pub fn at(&self, t: f64) -> Result<S, SolveError> {
        let (start, end) = self.span;
        let direction = (end - start).signum();
        let reached = |time: f64| (t - time) * direction >= 0.0;
        if !(reached(start) && (end - t) * direction >= 0.0) {
            return Err(SolveError::Outside { t, start, end });
        }
        let after = self.pieces.partition_point(|piece| reached(piece.t));
        let piece = self.pieces.get(after.wrapping_sub(1)).filter(|_| t != end);
        Ok(S::untracked(|| piece.map_or_else(|| S::linear_combination(&[(1.0, &self.x)]), |piece| piece.at(t))))
    }

    /// The times that the solution covers, from its start to the end of the span or a terminal
    /// event.
    pub fn span(&self) -> Range<f64> {
        self.span.0..self.span.1
    }
}

/// Integrates `x` from `span.start` to `span.end` and stores the solution at all times. `solver` is
/// a [`&Fixed`](crate::Fixed) or an [`&Adaptive`](crate::Adaptive).
///
/// # Errors
/// As [`adaptive::solve`](crate::adaptive::solve) and [`fixed::solve`](crate::fixed::solve).
#[doc(alias = "dense_output")]
pub fn solve<'a, S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: S,
    span: Range<f64>,
    solver: impl Into<RungeKutta<'a>>,
) -> Result<DenseSolution<S>, SolveError> {
    solve_with_events(field, x, span, solver, &[])
}

/// As [`solve`], with [events](crate::events); a terminal event ends the solve.
///
/// # Errors
/// As [`solve`], and [`SolveError::Event`] for an event function that is NaN.
pub fn solve_with_events<'a, S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: S,
    span: Range<f64>,
    solver: impl Into<RungeKutta<'a>>,
    events: &[Event<'_, S>],
) -> Result<DenseSolution<S>, SolveError> {
    let (x, stats, observer) = EventObserver::run(field, x, span, solver.into(), events, (SaveAt::End, true))?;
    let (start, end) = observer.ends;
    let end = match stats.reason {
        StopReason::ReachedEnd => end,
        StopReason::Event { t } => t,
        reason => return Err(SolveError::Stopped { row: None, reason }),
    };
    Ok(DenseSolution {
        x,
        stats,
        events: observer.found,
        span: (start, end),
        pieces: observer.pieces.unwrap_or_default(),
    })
}
