//! The result of a solve with steps per row: the state, the cost and the stop reason of each row.

use crate::{SolveError, Stats, StopReason};

/// The result and cost of each row.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSolution<S> {
    /// The final states.
    pub x: S,
    /// Number of calls of the field.
    pub calls: usize,
    /// The cost and stop reason of each row. [`row_evaluations`](Self::row_evaluations) over
    /// `calls` is the mean number of rows per call.
    pub rows: Vec<Stats>,
    /// The requested times ([`SaveAt::At`](crate::SaveAt::At)).
    pub times: Vec<f64>,
    /// The states at these times; NaN for a row that did not reach the time.
    pub states: Vec<S>,
    /// Times and states of each row ([`SaveAt::Steps`](crate::SaveAt::Steps)).
    pub trajectories: Vec<Vec<(f64, S)>>,
}

impl<S> BatchSolution<S> {
    /// Evaluations summed over rows; divided by the number of rows, the mean NFE of a sample.
    pub fn row_evaluations(&self) -> usize {
        self.rows.iter().map(|r| r.evaluations).sum()
    }

    /// The solution, if every row reached the end.
    ///
    /// # Errors
    /// [`SolveError::Stopped`] with the first row that did not.
    pub fn into_result(self) -> Result<Self, SolveError> {
        match self.failure() {
            None => Ok(self),
            Some((row, reason)) => Err(SolveError::Stopped { row: Some(row), reason }),
        }
    }

    /// The first row that did not reach the end, and why.
    pub fn failure(&self) -> Option<(usize, StopReason)> {
        self.rows.iter().map(|r| r.reason).enumerate().find(|(_, reason)| *reason != StopReason::ReachedEnd)
    }
}
