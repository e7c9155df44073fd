//! Event definitions: a function of state and time, and the direction in which it crosses zero.

/// Which sign changes are events.
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

/// A function of state and time whose zeros are events.
pub struct Event<'a, S> {
    pub(super) function: Box<Function<'a, S>>,
    direction: Direction,
    pub(super) terminal: bool,
}

impl<S> std::fmt::Debug for Event<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { direction, terminal, .. } = self;
        f.debug_struct("Event").field("direction", direction).field("terminal", terminal).finish_non_exhaustive()
    }
}

impl<'a, S> Event<'a, S> {
    /// An event at all zeros of `function`, none of which ends the solve.
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

    /// Makes the first zero end the solve.
    pub fn terminal(self) -> Self {
        Self { terminal: true, ..self }
    }

    pub(super) fn happens(&self, before: f64, after: f64) -> bool {
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
    /// The times.
    pub times: Vec<f64>,
    /// The states at these times.
    pub states: Vec<S>,
}
