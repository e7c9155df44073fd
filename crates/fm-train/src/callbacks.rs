//! Callbacks of a training run.
//!
//! The state of a callback must be a function of the log. A resumed run first passes the lines of
//! the log to [`Callback::replay`], so the callback continues exactly.
//!
//! ```
//! use fm_train::callbacks::EarlyStopping;
//! use fm_train::record::LogRecord;
//! let mut patient = EarlyStopping::new("loss", 2, 0.0)?;
//! let losses = [3.0, 2.0, 2.5, 2.1];
//! let line = |loss| LogRecord { loss, ..serde_json::from_str(r#"{"step":1,"loss":0,"grad_norm":1,"lr":1}"#).unwrap() };
//! assert_eq!(losses.map(|loss| patient.is_over(&line(loss))), [false, false, false, true]);
//! assert!(EarlyStopping::new("los", 2, 0.0).is_err());
//! # Ok::<(), fm_train::TrainError>(())
//! ```

use crate::TrainError;
use crate::checkpoint::{self, RunInfo};
use crate::monitor::Monitor;
use crate::record::LogRecord;
use crate::state::TrainState;
use std::io::{Stderr, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// A callback of a training run: progress, logs, checkpoints, sample images.
#[doc(alias = "TrainerCallback")]
pub trait Callback {
    /// Called after every step, with a record on logging steps.
    ///
    /// # Errors
    /// Any error of the callback; it ends the run.
    fn after_step(&mut self, state: &mut TrainState, record: Option<&LogRecord>)
    -> Result<ControlFlow<()>, TrainError>;

    /// Adds values to a line of the log before [`after_step`](Self::after_step) receives it, such as
    /// the loss on held-out rows. In a data-parallel run every process must add the same values.
    ///
    /// # Errors
    /// As [`after_step`](Self::after_step).
    fn measure(&mut self, state: &mut TrainState, record: &mut LogRecord) -> Result<(), TrainError> {
        let _ = (state, record);
        Ok(())
    }

    /// Called once at the end of the run, also when one of several callbacks has stopped it.
    ///
    /// # Errors
    /// As [`after_step`](Self::after_step).
    fn at_end(&mut self, state: &mut TrainState) -> Result<(), TrainError> {
        let _ = state;
        Ok(())
    }

    /// Receives a line that was logged before the run was resumed. The result for the last line
    /// decides whether training continues: `Break` if the callback had stopped the run there.
    fn replay(&mut self, record: &LogRecord) -> ControlFlow<()> {
        let _ = record;
        ControlFlow::Continue(())
    }

    /// Receives a problem that does not end the run, such as a damaged checkpoint.
    fn warn(&mut self, warning: &TrainError) {
        let _ = warning;
    }
}

/// Passes the lines of a log, up to `step`, to a callback. Returns whether the callback had stopped
/// the run at `step`; such a run must not train on.
pub fn replay(log: &[LogRecord], step: u64, callback: &mut dyn Callback) -> bool {
    let flows = log.iter().map(|line| (line.step, callback.replay(line)));
    flows.last().is_some_and(|(last, flow)| last == step && flow.is_break())
}

/// Whether a measurement is due at a step: at multiples of `every`, 0 for never, and at the `last`
/// step of a run.
pub fn is_due(step: u64, every: u64, last: u64) -> bool {
    every > 0 && (step.is_multiple_of(every) || step == last)
}

/// No callback.
impl Callback for () {
    fn after_step(&mut self, _: &mut TrainState, _: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Several callbacks, called in order; any of them may stop the run.
impl Callback for Vec<Box<dyn Callback + '_>> {
    fn after_step(
        &mut self,
        state: &mut TrainState,
        record: Option<&LogRecord>,
    ) -> Result<ControlFlow<()>, TrainError> {
        let flows: Result<Vec<_>, _> = self.iter_mut().map(|observer| observer.after_step(state, record)).collect();
        Ok(any_break(flows?))
    }

    fn measure(&mut self, state: &mut TrainState, record: &mut LogRecord) -> Result<(), TrainError> {
        self.iter_mut().try_for_each(|observer| observer.measure(state, record))
    }

    fn at_end(&mut self, state: &mut TrainState) -> Result<(), TrainError> {
        self.iter_mut().try_for_each(|observer| observer.at_end(state))
    }

    fn replay(&mut self, record: &LogRecord) -> ControlFlow<()> {
        // All of them receive the line.
        any_break(self.iter_mut().map(|observer| observer.replay(record)).collect())
    }

    fn warn(&mut self, warning: &TrainError) {
        self.iter_mut().for_each(|observer| observer.warn(warning));
    }
}

fn any_break(flows: Vec<ControlFlow<()>>) -> ControlFlow<()> {
    if flows.iter().any(ControlFlow::is_break) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Writes a line per line of the log, to standard error by default. A failed write does not end the
/// run.
///
/// ```
/// use fm_train::callbacks::{Callback, Progress};
/// let line = serde_json::from_str(r#"{"step":100,"loss":0.5,"grad_norm":1,"lr":0.001}"#).unwrap();
/// let mut text = Vec::new();
/// Progress::to(&mut text).write(&line);
/// assert_eq!(String::from_utf8(text).unwrap(), "step 100: loss 0.50000, gradient norm 1.000, lr 1.00e-3\n");
/// let mut callbacks: Vec<Box<dyn Callback>> = vec![Box::new(Progress::default())];
/// ```
#[derive(Debug)]
#[doc(alias = "tqdm")]
pub struct Progress<W = Stderr> {
    out: W,
}

impl Default for Progress {
    fn default() -> Self {
        Self::to(std::io::stderr())
    }
}

impl<W: Write> Progress<W> {
    /// Writes to a stream.
    pub fn to(out: W) -> Self {
        Self { out }
    }

    /// Writes one line.
    pub fn write(&mut self, record: &LogRecord) {
        let LogRecord { step, loss, grad_norm, lr, .. } = record;
        let held_out = record.val_loss.map_or(String::new(), |loss| format!(", held-out loss {loss:.5}"));
        // The reader may have closed the stream, which does not end the run.
        let _ = writeln!(self.out, "step {step}: loss {loss:.5}{held_out}, gradient norm {grad_norm:.3}, lr {lr:.2e}");
    }
}

impl<W: Write> Callback for Progress<W> {
    fn after_step(&mut self, _: &mut TrainState, record: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        if let Some(record) = record {
            self.write(record);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn warn(&mut self, warning: &TrainError) {
        let _ = writeln!(self.out, "warning: {warning}");
    }
}

/// Stops when a logged value has not improved by more than `least` for `patience` lines.
#[derive(Debug)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: u64,
    least: f64,
    best: f64,
    waited: u64,
}

impl EarlyStopping {
    /// Monitors a value of the log, written as a [`Monitor`] is; lines without the value do not
    /// count.
    ///
    /// # Errors
    /// [`TrainError::Setting`]: an unknown name, a `patience` of 0, a `least` that is negative or
    /// not finite.
    pub fn new(monitor: &str, patience: u64, least: f64) -> Result<Self, TrainError> {
        let monitor = monitor.parse()?;
        if patience == 0 {
            return Err(TrainError::setting("patience of early stopping", 0, "give at least 1 line of the log"));
        }
        if !(least >= 0.0 && least.is_finite()) {
            return Err(TrainError::setting("least improvement", least, "give a finite number, 0 or more"));
        }
        Ok(Self { monitor, patience, least, best: f64::INFINITY, waited: 0 })
    }

    /// Adds a line and returns whether patience has run out.
    pub fn is_over(&mut self, record: &LogRecord) -> bool {
        if record.value(self.monitor.name()).is_none() {
            return false;
        }
        // A value that is not finite is no improvement.
        match self.monitor.score(record) {
            Some(score) if score < self.best - self.least => (self.best, self.waited) = (score, 0),
            _ => self.waited += 1,
        }
        self.waited >= self.patience
    }
}

impl Callback for EarlyStopping {
    fn after_step(&mut self, _: &mut TrainState, record: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        Ok(record.map_or(ControlFlow::Continue(()), |record| self.replay(record)))
    }

    fn replay(&mut self, record: &LogRecord) -> ControlFlow<()> {
        if self.is_over(record) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Keeps the checkpoints of the lines with the best values in a separate directory, and removes the
/// others there.
#[derive(Debug)]
#[doc(alias = "ModelCheckpoint")]
pub struct KeepBest {
    directory: PathBuf,
    info: RunInfo,
    monitor: Monitor,
    count: usize,
    /// Scores and steps, the best first.
    best: Vec<(f64, u64)>,
    warnings: Vec<TrainError>,
}

impl KeepBest {
    /// Keeps the `count` best checkpoints by a value of the log, written as a [`Monitor`] is. Of
    /// equal values the earlier is better.
    ///
    /// # Errors
    /// [`TrainError::Setting`]: an unknown name, a `count` of 0.
    pub fn new(directory: PathBuf, info: RunInfo, monitor: &str, count: usize) -> Result<Self, TrainError> {
        if count == 0 {
            return Err(TrainError::setting("number of best checkpoints", 0, "keep at least 1"));
        }
        Ok(Self { directory, info, monitor: monitor.parse()?, count, best: Vec::new(), warnings: Vec::new() })
    }

    /// Checkpoints that were not removed, because they hold other files.
    pub fn warnings(&self) -> &[TrainError] {
        &self.warnings
    }

    /// Adds a line; returns whether it is among the best.
    fn adopt(&mut self, record: &LogRecord) -> bool {
        let Some(score) = self.monitor.score(record) else { return false };
        let place = self.best.partition_point(|(best, _)| *best <= score);
        if place == self.count {
            return false;
        }
        self.best.insert(place, (score, record.step));
        self.best.truncate(self.count);
        true
    }
}

impl Callback for KeepBest {
    fn after_step(
        &mut self,
        state: &mut TrainState,
        record: Option<&LogRecord>,
    ) -> Result<ControlFlow<()>, TrainError> {
        if record.is_some_and(|r| self.adopt(r)) {
            let newest = checkpoint::save_over(&self.directory, state, &self.info)?;
            // The best are not always the newest: a run resumed after a crash finds later
            // checkpoints in the directory.
            let steps: Vec<u64> = self.best.iter().map(|(_, step)| *step).collect();
            self.warnings = crate::run_dir::keep_only(&self.directory, &newest, &steps)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn replay(&mut self, record: &LogRecord) -> ControlFlow<()> {
        self.adopt(record);
        ControlFlow::Continue(())
    }
}
