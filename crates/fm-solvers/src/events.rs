//! Events: times at which a function g(x, t) of the state is zero.
//!
//! After each accepted step g is evaluated at its end; where the sign has changed, the zero is
//! found on the method's interpolant to rounding, and the state there has the error of the
//! interpolant. A zero at the start is not an event, nor is a zero that g touches without a change
//! of sign; two zeros of one event in a single step cancel (a `max_step` below their distance
//! separates them). g has any unit; rising and falling are along the solve, also backwards in time.
//! A terminal event ends the solve at its first zero.
//!
//! ```
//! use fm_solvers::{Adaptive, Event, SaveAt, StopReason, events};
//! // A ball thrown upwards at 5 m/s: x = (height, speed).
//! let ball = |x: &Vec<f64>, _t: f64| vec![x[1], -10.0];
//! let top = Event::new(|x: &Vec<f64>, _| x[1]);
//! let ground = Event::new(|x: &Vec<f64>, _| x[0]).falling().terminal();
//! let found = events::solve(&ball, vec![0.0, 5.0], 0.0..10.0, &Adaptive::dopri5(), &[top, ground], SaveAt::End)?;
//! assert!((found.events[0].times[0] - 0.5).abs() < 1e-12 && (found.events[0].states[0][0] - 1.25).abs() < 1e-12);
//! assert!(matches!(found.solution.stats.reason, StopReason::Event { t } if (t - 1.0).abs() < 1e-12));
//! assert!((found.solution.x[1] + 5.0).abs() < 1e-12);
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

mod root;
mod watch;

use crate::{Adaptive, SaveAt, Solution, SolveError};
use fm_core::field::VelocityField;
use fm_core::state::OdeState;
use std::ops::Range;
pub(crate) use watch::Watch;

/// Which changes of sign are events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    #[default]
    Either,
    /// From negative to positive.
    Rising,
    /// From positive to negative.
    Falling,
}

type Function<'a, S> = dyn Fn(&S, f64) -> f64 + 'a;

/// A function of state and time whose zeros are wanted.
pub struct Event<'a, S> {
    function: Box<Function<'a, S>>,
    direction: Direction,
    terminal: bool,
}

impl<S> std::fmt::Debug for Event<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { direction, terminal, .. } = self;
        f.debug_struct("Event").field("direction", direction).field("terminal", terminal).finish_non_exhaustive()
    }
}

impl<'a, S> Event<'a, S> {
    /// All zeros of `function`, which do not end the solve.
    pub fn new(function: impl Fn(&S, f64) -> f64 + 'a) -> Self {
        Self { function: Box::new(function), direction: Direction::Either, terminal: false }
    }

    /// Only zeros in this direction.
    pub fn direction(self, direction: Direction) -> Self {
        Self { direction, ..self }
    }

    /// Only zeros from negative to positive.
    pub fn rising(self) -> Self {
        self.direction(Direction::Rising)
    }

    /// Only zeros from positive to negative.
    pub fn falling(self) -> Self {
        self.direction(Direction::Falling)
    }

    /// The first zero ends the solve.
    pub fn terminal(self) -> Self {
        Self { terminal: true, ..self }
    }

    fn happens(&self, before: f64, after: f64) -> bool {
        let (rises, falls) = (before < 0.0 && after >= 0.0, before > 0.0 && after <= 0.0);
        match self.direction {
            Direction::Either => rises || falls,
            Direction::Rising => rises,
            Direction::Falling => falls,
        }
    }
}

/// The zeros of one event, in the order of the solve.
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "t_events")]
#[doc(alias = "y_events")]
pub struct EventTimes<S> {
    /// When.
    pub times: Vec<f64>,
    /// The states at these times.
    pub states: Vec<S>,
}

/// A solution with what happened on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSolution<S> {
    /// The solution, up to the end of the span or to a terminal event
    /// ([`StopReason::Event`](crate::StopReason::Event)).
    pub solution: Solution<S>,
    /// For each event its zeros.
    pub events: Vec<EventTimes<S>>,
}

/// Carries `x` from `span.start` to `span.end` or to the first terminal event.
///
/// # Errors
/// As [`adaptive::solve`](crate::adaptive::solve), and [`SolveError::Event`] for an event function
/// that is NaN.
#[doc(alias = "solve_ivp")]
pub fn solve<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: S,
    span: Range<f64>,
    solver: &Adaptive,
    events: &[Event<'_, S>],
    output: SaveAt<'_>,
) -> Result<EventSolution<S>, SolveError> {
    let (x, stats, watch) = Watch::run(field, x, span, solver, events, (output, false))?;
    Ok(EventSolution { solution: watch.record.finish(x, stats).into_result()?, events: watch.found })
}
