//! Batches: what a step consumes, made ahead of time.
//!
//! A batch is a pure function of its step, so worker threads need no coordination: worker w of n makes steps w, w + n, ... and
//! the loop takes them in turn. The result is the same with any number of workers, and a resumed run starts where it likes.
//!
//! ```
//! use fm_train::batch::{Batch, BatchSource, Prefetch};
//! struct Steps;
//! impl BatchSource for Steps {
//!     fn batch(&self, step: u64) -> Result<Batch, String> {
//!         Ok(Batch { x1: vec![step as f32], ..Batch::default() })
//!     }
//! }
//! std::thread::scope(|scope| {
//!     let mut batches = Prefetch::start(scope, &Steps, 5..9, 2);
//!     let rows: Vec<f32> = (5..9).map(|step| batches.take(step).unwrap().x1[0]).collect();
//!     assert_eq!(rows, [5.0, 6.0, 7.0, 8.0]);
//! });
//! ```

use crate::TrainError;
use fm_core::data::Pick;
use fm_core::time::Drawn;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

/// One training batch on the host, or some rows of it: source and data, already paired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Source rows x0, B x dim.
    pub x0: Vec<f32>,
    /// Data rows x1, B x dim, normalised; empty where the device holds them.
    pub x1: Vec<f32>,
    /// Which rows of the data set these are, where the device holds it ([`crate::resident`]).
    pub picks: Vec<Pick>,
    /// The class of each row, dropped ones as the null class; empty when unconditional.
    pub classes: Vec<i64>,
    /// Standard normal draws for a path with noise of its own, B x dim.
    pub noise: Option<Vec<f32>>,
    /// The times of all rows of the whole batch, where whoever made it has drawn them; the loop does otherwise.
    pub drawn: Option<Drawn>,
    /// What pairing gained: the cost of these pairs over that of the pairs as drawn.
    pub coupling_gain: Option<f64>,
    /// Where these rows begin in the batch that other processes have other rows of.
    pub first: usize,
    /// How many rows that one has; 0 where these are all.
    pub whole: usize,
}

impl Batch {
    /// How many rows of this shape there are here.
    pub fn rows(&self, shape: &[i64]) -> usize {
        self.picks.len().max(self.x1.len() / shape.iter().product::<i64>().max(1) as usize)
    }

    /// Which rows of the whole batch these are, and how many that one has.
    pub fn span(&self, shape: &[i64]) -> (Range<usize>, usize) {
        let rows = self.rows(shape);
        (self.first..self.first + rows, self.whole.max(rows))
    }

    /// Some of the `whole` rows that are here.
    pub fn part(&self, rows: Range<usize>, whole: usize) -> Self {
        fn of<T: Clone>(values: &[T], rows: &Range<usize>, whole: usize) -> Vec<T> {
            let each = values.len() / whole.max(1);
            values.get(rows.start * each..rows.end * each).unwrap_or_default().to_vec()
        }
        Self {
            x0: of(&self.x0, &rows, whole),
            x1: of(&self.x1, &rows, whole),
            picks: of(&self.picks, &rows, whole),
            classes: of(&self.classes, &rows, whole),
            noise: self.noise.as_deref().map(|noise| of(noise, &rows, whole)),
            drawn: None,
            coupling_gain: self.coupling_gain,
            first: self.first + rows.start,
            whole: self.whole.max(whole),
        }
    }
}

/// Where batches come from.
pub trait BatchSource: Sync {
    /// The batch of one step, the same whenever it is asked for.
    ///
    /// # Errors
    /// A text that names the cause and the remedy.
    fn batch(&self, step: u64) -> Result<Batch, String>;
}

/// Batches of consecutive steps, made by worker threads.
pub struct Prefetch<'a> {
    source: &'a dyn BatchSource,
    queues: Vec<Receiver<Result<Batch, String>>>,
    first: u64,
}

impl std::fmt::Debug for Prefetch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefetch").field("workers", &self.queues.len()).field("first", &self.first).finish()
    }
}

impl<'a> Prefetch<'a> {
    /// Starts `workers` threads on these steps; 0 makes each batch when it is taken. A thread keeps at most two batches ready.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, 'a>,
        source: &'a dyn BatchSource,
        steps: Range<u64>,
        workers: usize,
    ) -> Self {
        let start = |worker: usize| {
            let (sender, receiver) = sync_channel(1);
            let steps = steps.clone().skip(worker).step_by(workers);
            // Sending fails when the loop has gone, which is this thread's sign to go too.
            scope.spawn(move || steps.map(|s| source.batch(s)).all(|batch| sender.send(batch).is_ok()));
            receiver
        };
        Self { source, queues: (0..workers).map(start).collect(), first: steps.start }
    }

    /// The batch of `step`; steps must be taken in order.
    ///
    /// # Errors
    /// [`TrainError::Batch`] with the source's reason.
    pub fn take(&mut self, step: u64) -> Result<Batch, TrainError> {
        let failed = |problem| TrainError::Batch { step, problem };
        if self.queues.is_empty() {
            return self.source.batch(step).map_err(failed);
        }
        let worker = ((step - self.first) % self.queues.len() as u64) as usize;
        let received = self.queues[worker].recv();
        received
            .map_err(|_| failed("its worker thread stopped; run with --num-workers 0 to see why".into()))?
            .map_err(failed)
    }
}
