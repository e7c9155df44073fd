//! The running average of projected guidance.

use fm_core::state::RowCombination;
use std::sync::{Mutex, PoisonError};

/// Averages that are kept: the stages of a step may return to earlier times, but not further than
/// its start.
const KEPT: usize = 16;

/// Averages of the differences at earlier times.
///
/// A solver may evaluate a time twice or start over, so averages are stored by time: the one at t
/// is computed from the latest one before t.
#[derive(Debug)]
pub(super) struct Momentum<S> {
    history: Mutex<Vec<(f64, S)>>,
}

impl<S> Default for Momentum<S> {
    fn default() -> Self {
        Self { history: Mutex::new(Vec::new()) }
    }
}

impl<S: RowCombination> Momentum<S> {
    /// The difference, plus `weight` times the average before t. NaN for rows at different times,
    /// and for other rows than before, which a solver reports.
    pub(super) fn average(&self, difference: S, t: &[f64], weight: f64) -> S {
        let Some((time, others)) = t.split_first().filter(|_| weight != 0.0) else { return difference };
        let filled = |value: f64| vec![value; difference.rows()];
        if others.iter().any(|other| other != time) {
            return S::row_combination(&[(&filled(f64::NAN), &difference)]);
        }
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        while history.last().is_some_and(|(last, _)| last >= time) {
            history.pop();
        }
        let average = match history.last() {
            Some((_, before)) if !before.same_shape(&difference) => {
                return S::row_combination(&[(&filled(f64::NAN), &difference)]);
            }
            Some((_, before)) => S::row_combination(&[(&filled(1.0), &difference), (&filled(weight), before)]),
            None => difference,
        };
        if history.len() == KEPT {
            history.remove(0);
        }
        history.push((*time, S::row_combination(&[(&vec![1.0; average.rows()], &average)])));
        average
    }
}
