//! Errors of this crate.

use fm_core::message::{io_remedy, path as shown};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// An error of code outside this crate.
pub type Outside = Box<dyn std::error::Error + Send + Sync>;

/// The most characters of what is wrong with a checkpoint.
const LONGEST_PROBLEM: usize = 150;

/// The most characters of a reason with its remedy.
const LONGEST_REASON: usize = 240;

/// The longest number that is printed in full, in characters.
const LONGEST_NUMBER: usize = 30;

/// Errors of training, checkpoints and run directories.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}; {}", shown(path), io_remedy(source))]
    Io {
        /// The attempted operation, such as "write".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Something else under the name of a file of ours.
    #[error("cannot {action} {}: it is {kind}, not a plain file; move it away", shown(path))]
    NotPlain {
        /// The attempted operation, such as "open".
        action: &'static str,
        /// Its path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// An output that would replace a file of a checkpoint or a run.
    #[error("cannot write {}: it would replace a file that a run needs; choose another path", shown(path))]
    Taken {
        /// The path of the output.
        path: PathBuf,
    },
    /// A warning: a directory was kept, because what it holds cannot be shown to be ours.
    #[error("{} was not removed: {problem}; move what you need, then remove it", shown(path))]
    Kept {
        /// The directory.
        path: PathBuf,
        /// Why it was kept.
        problem: String,
    },
    /// A warning: a log that does not have one line per logged step.
    #[error("{} {problem}; curves and callbacks use the lines that are left", shown(path))]
    Log {
        /// The log.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A checkpoint that fails its checks.
    #[error(
        "{} is not a usable checkpoint: {}; use another one, or train it again",
        shown(path),
        fm_core::message::brief(problem, LONGEST_PROBLEM)
    )]
    Checkpoint {
        /// The checkpoint's directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A snapshot of averages that fails its checks.
    #[error(
        "{} is a damaged snapshot of averages: {}; remove it, and the others are used",
        shown(path),
        fm_core::message::brief(problem, LONGEST_PROBLEM)
    )]
    Snapshot {
        /// The snapshot's directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No checkpoint to load.
    #[error("no checkpoint found in {}; give a run directory or a checkpoints/step-N directory", shown(path))]
    NoCheckpoint {
        /// The path that was searched.
        path: PathBuf,
    },
    /// A run without a checkpoint.
    #[error(
        "no checkpoint found in {}: the run was stopped before its first one; start it again in the same directory, instead of resuming it",
        shown(path)
    )]
    Unsaved {
        /// The directory of the run.
        path: PathBuf,
    },
    /// Weights that do not fit the network.
    #[error("the weights do not fit the network: {problems}; load them with the configuration they were trained with")]
    Weights {
        /// Names of missing, surplus and mis-shaped tensors.
        problems: String,
    },
    /// Teacher pairs that cannot be used.
    #[error("{} is not a usable set of pairs: {problem}", shown(path))]
    Pairs {
        /// The directory of the pairs.
        path: PathBuf,
        /// The problem and its remedy.
        problem: String,
    },
    /// Another process uses the run directory.
    #[error("{} is in use by another run; wait for it to end, or choose another directory", shown(path))]
    Locked {
        /// The run directory.
        path: PathBuf,
    },
    /// A resumed run whose data are not those that it began with.
    #[error("the data or the teacher changed since the run began; restore them, or allow the change")]
    DataChanged,
    /// A directory in which no run can be opened.
    #[error("cannot train in {}: {problem}", shown(path))]
    Run {
        /// The directory.
        path: PathBuf,
        /// The problem and its remedy.
        problem: String,
    },
    /// An invalid setting.
    #[error("cannot train: {setting} is {value}; {remedy}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// A valid setting to use instead.
        remedy: String,
    },
    /// An average of the weights that cannot be tracked or computed afterwards.
    #[error("cannot average the weights: {what} is {value}; {remedy}")]
    Average {
        /// What is wrong.
        what: &'static str,
        /// Its value.
        value: String,
        /// A valid value to use instead.
        remedy: String,
    },
    /// The loss stayed non-finite for too many steps; they did not change the weights.
    #[error(
        "loss or gradient was not finite in {in_a_row} consecutive steps before step {step} (seed {seed}); start a new run with a lower learning rate or a longer warm-up"
    )]
    NonFinite {
        /// The step at which it was detected.
        step: u64,
        /// Number of consecutive steps.
        in_a_row: u64,
        /// The seed of the batches.
        seed: u64,
    },
    /// An exception of libtorch.
    #[error(transparent)]
    Torch(#[from] fm_torch::TorchError),
    /// An objective that cannot be trained.
    #[error(transparent)]
    Objective(#[from] fm_core::Error),
    /// An error of the collective, such as the loss of another process.
    #[error(transparent)]
    Collective(Outside),
    /// An error of a callback.
    #[error(transparent)]
    Callback(Outside),
    /// A batch could not be made.
    #[error("cannot make the batch of step {step}: {}", fm_core::message::brief(problem, LONGEST_REASON))]
    Batch {
        /// The step.
        step: u64,
        /// The reason and its remedy.
        problem: String,
    },
}

/// The message of a panic.
fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let text = fm_core::message::brief(text.unwrap_or("no text"), LONGEST_PROBLEM);
    format!("the code that makes it panicked ({text}); correct the data set or the coupling")
}

impl TrainError {
    /// An error for an invalid setting.
    pub(crate) fn setting(setting: &'static str, value: impl ToString, remedy: impl Into<String>) -> Self {
        let text = value.to_string();
        // Large numbers have 300 digits.
        let number = text.parse().ok().filter(|_| text.len() > LONGEST_NUMBER);
        let value = number.map_or(text, |number| fm_core::message::number(&number));
        Self::Setting { setting, value, remedy: remedy.into() }
    }

    /// An error for an average that cannot be computed.
    pub(crate) fn average(what: &'static str, value: impl ToString, remedy: impl Into<String>) -> Self {
        Self::Average { what, value: value.to_string(), remedy: remedy.into() }
    }

    /// Makes the batch of a step; a panic in a user's data set, coupling or path becomes an error.
    pub(crate) fn caught<T>(step: u64, make: impl FnOnce() -> Result<T, Self>) -> Result<T, Self> {
        let made = catch_unwind(AssertUnwindSafe(make));
        made.unwrap_or_else(|panic| Err(Self::Batch { step, problem: panicked(panic.as_ref()) }))
    }

    /// Adds an action and a path to an I/O error.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
        let path = path.to_path_buf();
        move |source| match source.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(NotPlain { kind }) => TrainError::NotPlain { action, path, kind },
            None => TrainError::Io { action, path, source },
        }
    }
}

/// Why a path cannot be used as a plain file.
#[derive(Debug, thiserror::Error)]
#[error("it is {kind}, not a plain file; move it away")]
pub(crate) struct NotPlain {
    /// What it is.
    pub(crate) kind: &'static str,
}
