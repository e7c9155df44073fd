//! Values of consecutive steps, made ahead of time by worker threads.
//!
//! A value is a pure function of its step, so workers need no coordination: worker w of n computes
//! steps w, w + n, ..., and the loop takes from the workers in turn.
//!
//! ```
//! use fm_train::prefetch::Prefetch;
//! let square = |step: u64| Ok(step * step);
//! std::thread::scope(|scope| {
//!     let mut squares = Prefetch::start(scope, &square, 5..9, 2);
//!     let taken: Vec<u64> = (5..9).map(|step| squares.take(step).unwrap()).collect();
//!     assert_eq!(taken, [25, 36, 49, 64]);
//! });
//! ```

use crate::TrainError;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

/// Computes the value for one step.
pub type Make<'a, T> = dyn Fn(u64) -> Result<T, TrainError> + Sync + 'a;

/// The largest number of threads.
const MOST_WORKERS: usize = 1024;

/// Values of consecutive steps.
pub struct Prefetch<'a, T> {
    make: &'a Make<'a, T>,
    queues: Vec<Receiver<Result<T, TrainError>>>,
    first: u64,
}

impl<T> std::fmt::Debug for Prefetch<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefetch").field("workers", &self.queues.len()).field("first", &self.first).finish()
    }
}

impl<'a, T: Send + 'a> Prefetch<'a, T> {
    /// Starts `workers` threads for these steps, at most one per step and 1024; with 0, each value
    /// is computed when it is taken. A thread keeps at most two values ready.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, 'a>,
        make: &'a Make<'a, T>,
        steps: Range<u64>,
        workers: usize,
    ) -> Self {
        let count = usize::try_from(steps.end.saturating_sub(steps.start)).unwrap_or(usize::MAX);
        let workers = workers.min(count).min(MOST_WORKERS);
        let start = |worker: usize| {
            let (sender, receiver) = sync_channel(1);
            let steps = steps.clone().skip(worker).step_by(workers);
            // Sending fails after the loop has ended; then the thread ends too.
            scope.spawn(move || steps.map(make).all(|value| sender.send(value).is_ok()));
            receiver
        };
        Self { make, queues: (0..workers).map(start).collect(), first: steps.start }
    }

    /// The value of `step`; steps must be taken in order.
    ///
    /// # Errors
    /// The error of computing the value; [`TrainError::Batch`] if a worker thread has died or the
    /// step is before the first.
    pub fn take(&mut self, step: u64) -> Result<T, TrainError> {
        if self.queues.is_empty() {
            return (self.make)(step);
        }
        let first = self.first;
        let since = step.checked_sub(first).ok_or_else(|| TrainError::Batch {
            step,
            problem: format!("the first step is {first}; take steps in order"),
        })?;
        let worker = (since % self.queues.len() as u64) as usize;
        let died = || TrainError::Batch {
            step,
            problem: "its worker thread stopped; run without worker threads to see why".into(),
        };
        self.queues[worker].recv().map_err(|_| died())?
    }
}
