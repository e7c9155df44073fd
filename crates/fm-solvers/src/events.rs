//! Events: times at which a function g(x, t) of the state is zero.
//!
//! After each step of a [`Fixed`](crate::Fixed) or [`Adaptive`](crate::Adaptive) solver, g is
//! evaluated at the step's end. If its sign has changed, the zero is located on the method's
//! interpolant to rounding error, and the state there has the error of the interpolant. With n
//! equal steps of a built-in method of order p, times and states of events have the error
//! O(n^(-p)). A zero at the start is not an event, nor is a zero that g touches without a change of
//! sign. Two zeros of the same event within one step cancel; steps below their distance
//! (`max_step`, or more fixed steps) separate them. g has any unit; rising and falling refer to the
//! direction of the solve, also backwards in time. A terminal event ends the solve at its first
//! zero.
//!
//! ```
//! use fm_solvers::{Adaptive, Event, Fixed, SaveAt, StopReason, events};
//! // A ball thrown upwards at 5 m/s: x = (height, speed).
//! let ball = |x: &Vec<f64>, _t: f64| vec![x[1], -10.0];
//! let top = Event::new(|x: &Vec<f64>, _| x[1]);
//! let ground = Event::new(|x: &Vec<f64>, _| x[0]).falling().terminal();
//! let found = events::solve(&ball, vec![0.0, 5.0], 0.0..10.0, &Adaptive::dopri5(), &[top, ground], SaveAt::End)?;
//! assert!((found.events[0].times[0] - 0.5).abs() < 1e-12 && (found.events[0].states[0][0] - 1.25).abs() < 1e-12);
//! assert!(matches!(found.solution.stats.reason, StopReason::Event { t } if (t - 1.0).abs() < 1e-12));
//! assert!((found.solution.x[1] + 5.0).abs() < 1e-12);
//! // The same on a fixed grid.
//! let ground = Event::new(|x: &Vec<f64>, _| x[0]).falling().terminal();
//! let found = events::solve(&ball, vec![0.0, 5.0], 0.0..10.0, &Fixed::midpoint(12), &[ground], SaveAt::End)?;
//! assert!((found.events[0].times[0] - 1.0).abs() < 1e-12);
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

mod event;
mod observer;
mod root;

pub use event::{Direction, Event, EventTimes};
pub(crate) use observer::EventObserver;

use crate::solver::RungeKutta;
use crate::{SaveAt, Solution, SolveError};
use fm_core::field::VelocityField;
use fm_core::state::OdeState;
use std::ops::Range;

/// A solution with its events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSolution<S> {
    /// The solution, up to the end of the span or to a terminal event
    /// ([`StopReason::Event`](crate::StopReason::Event)).
    pub solution: Solution<S>,
    /// The zeros of each event.
    pub events: Vec<EventTimes<S>>,
}

/// Integrates `x` from `span.start` to `span.end` or to the first terminal event. `solver` is a
/// [`&Fixed`](crate::Fixed) or an [`&Adaptive`](crate::Adaptive).
///
/// # Errors
/// As [`adaptive::solve`](crate::adaptive::solve) and [`fixed::solve`](crate::fixed::solve), and [`SolveError::Event`] for an event function
/// that is NaN.
#[doc(alias = "solve_ivp")]
#[doc(alias = "odeint_event")]
pub fn solve<'a, S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: S,
    span: Range<f64>,
    solver: impl Into<RungeKutta<'a>>,
    events: &[Event<'_, S>],
    output: SaveAt<'_>,
) -> Result<EventSolution<S>, SolveError> {
    let (x, stats, observer) = EventObserver::run(field, x, span, solver.into(), events, (output, false))?;
    Ok(EventSolution { solution: observer.record.finish(x, stats).into_result()?, events: observer.found })
}
