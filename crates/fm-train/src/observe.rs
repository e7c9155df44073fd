//! Observers: what looks on while a run trains.
//!
//! An observer's state is a function of the log's lines, so a resumed run gives it the old lines again ([`Observer::replay`]) and goes on as if
//! it had never stopped.
//!
//! ```
//! use fm_train::observe::EarlyStopping;
//! use fm_train::record::Record;
//! let mut patient = EarlyStopping::new("loss", 2, 0.0);
//! let losses = [3.0, 2.0, 2.5, 2.1];
//! let line = |loss| Record { loss, ..serde_json::from_str(r#"{"step":1,"loss":0,"grad_norm":1,"lr":1}"#).unwrap() };
//! assert_eq!(losses.map(|loss| patient.is_over(&line(loss))), [false, false, false, true]);
//! ```

use crate::TrainError;
use crate::checkpoint::{self, RunInfo};
use crate::record::Record;
use crate::train::TrainState;
use std::path::PathBuf;

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Train on.
    Continue,
    /// Stop after this step.
    Stop,
}

/// Looks on while a run trains: progress, logs, checkpoints, pictures.
pub trait Observer {
    /// Called after every step, with a record on logging steps.
    ///
    /// # Errors
    /// Whatever the observer's files do; the run ends with it.
    fn after_step(&mut self, state: &mut TrainState, record: Option<&Record>) -> Result<Flow, TrainError>;

    /// Called once when the run is over or one of several observers has stopped it.
    ///
    /// # Errors
    /// As [`after_step`](Self::after_step).
    fn at_end(&mut self, state: &mut TrainState) -> Result<(), TrainError> {
        let _ = state;
        Ok(())
    }

    /// A line that was logged before this run was resumed.
    fn replay(&mut self, record: &Record) {
        let _ = record;
    }
}

/// Several observers in turn; any of them may stop the run.
impl Observer for Vec<Box<dyn Observer + '_>> {
    fn after_step(&mut self, state: &mut TrainState, record: Option<&Record>) -> Result<Flow, TrainError> {
        let mut flow = Flow::Continue;
        for observer in self.iter_mut() {
            if observer.after_step(state, record)? == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }

    fn at_end(&mut self, state: &mut TrainState) -> Result<(), TrainError> {
        self.iter_mut().try_for_each(|observer| observer.at_end(state))
    }

    fn replay(&mut self, record: &Record) {
        self.iter_mut().for_each(|observer| observer.replay(record));
    }
}

/// Stops when a value of the log has not fallen by more than `least` for so many lines.
#[derive(Debug)]
pub struct EarlyStopping {
    monitor: String,
    patience: u64,
    least: f64,
    best: f64,
    waited: u64,
}

impl EarlyStopping {
    /// Watches one of [`Record::NAMES`]; lines without the value do not count.
    pub fn new(monitor: &str, patience: u64, least: f64) -> Self {
        Self { monitor: monitor.into(), patience, least, best: f64::INFINITY, waited: 0 }
    }

    /// Takes in a line; whether patience is at its end.
    pub fn is_over(&mut self, record: &Record) -> bool {
        let Some(value) = record.value(&self.monitor) else { return false };
        if value < self.best - self.least {
            (self.best, self.waited) = (value, 0);
        } else {
            self.waited += 1;
        }
        self.waited >= self.patience
    }
}

impl Observer for EarlyStopping {
    fn after_step(&mut self, _: &mut TrainState, record: Option<&Record>) -> Result<Flow, TrainError> {
        let over = record.is_some_and(|r| self.is_over(r));
        Ok(if over { Flow::Stop } else { Flow::Continue })
    }

    fn replay(&mut self, record: &Record) {
        self.is_over(record);
    }
}

/// Saves the checkpoint of the line with the lowest value in a directory of its own, and removes the one before.
#[derive(Debug)]
pub struct KeepBest {
    directory: PathBuf,
    info: RunInfo,
    monitor: String,
    best: f64,
}

impl KeepBest {
    /// Watches one of [`Record::NAMES`].
    pub fn new(directory: PathBuf, info: RunInfo, monitor: &str) -> Self {
        Self { directory, info, monitor: monitor.into(), best: f64::INFINITY }
    }

    fn is_best(&mut self, record: &Record) -> bool {
        let value = record.value(&self.monitor).unwrap_or(f64::NAN);
        let better = value < self.best;
        self.best = if better { value } else { self.best };
        better
    }
}

impl Observer for KeepBest {
    fn after_step(&mut self, state: &mut TrainState, record: Option<&Record>) -> Result<Flow, TrainError> {
        if record.is_some_and(|r| self.is_best(r)) {
            std::fs::create_dir_all(&self.directory).map_err(TrainError::io("create", &self.directory))?;
            let best = checkpoint::save(&self.directory, state, &self.info)?;
            // Not the newest: a run that goes on from before a crash finds later ones there.
            crate::run_dir::keep_only(&self.directory, &best)?;
        }
        Ok(Flow::Continue)
    }

    fn replay(&mut self, record: &Record) {
        self.is_best(record);
    }
}
