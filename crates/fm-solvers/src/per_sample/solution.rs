//! What a solve with steps per row returns: the state, the cost and the reason to stop of each row.

use crate::{SolveError, Stats, StopReason};

/// What came out for each row, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSolution<S> {
    /// The final states.
    pub x: S,
    /// Calls of the field.
    pub calls: usize,
    /// The cost of each row and why it stopped: rows over calls is how full the calls were.
    pub rows: Vec<Stats>,
    /// The requested times ([`SaveAt::At`](crate::SaveAt::At)).
    pub times: Vec<f64>,
    /// The states at these times; NaN for a row that did not come so far.
    pub states: Vec<S>,
    /// Times and states of each row ([`SaveAt::Steps`](crate::SaveAt::Steps)).
    pub trajectories: Vec<Vec<(f64, S)>>,
}

impl<S> BatchSolution<S> {
    /// Evaluations of all rows: over the number of rows, the mean NFE of a sample.
    pub fn row_evaluations(&self) -> usize {
        self.rows.iter().map(|r| r.evaluations).sum()
    }

    /// The solution if every row reached the end.
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
