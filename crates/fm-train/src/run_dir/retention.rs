//! Which checkpoints of a directory are found, kept and removed.

use crate::checkpoint::{self, Meta};
use crate::{TrainError, files};
use std::fs;
use std::path::{Path, PathBuf};

/// The newest undamaged checkpoint at `path`, which is a checkpoint itself, a directory of
/// checkpoints, or a run directory. Newer damaged checkpoints are returned as errors.
///
/// # Errors
/// [`TrainError::NoCheckpoint`] if there is none, and [`TrainError::Unsaved`] in the directory of a
/// run; if all are damaged, the error of the newest.
pub fn latest_checkpoint(path: &Path) -> Result<(PathBuf, Meta, Vec<TrainError>), TrainError> {
    if path.join("meta.json").exists() {
        return checkpoint::verify(path).map(|meta| (path.into(), meta, Vec::new()));
    }
    let inner = path.join("checkpoints");
    let mut damaged = Vec::new();
    for (_, candidate) in checkpoint_steps(if inner.is_dir() { &inner } else { path }) {
        match checkpoint::verify(&candidate) {
            Ok(meta) => return Ok((candidate, meta, damaged)),
            Err(error) => damaged.push(error),
        }
    }
    let none = if path.join(files::RUN).is_file() {
        TrainError::Unsaved { path: path.into() }
    } else {
        TrainError::NoCheckpoint { path: path.into() }
    };
    Err(damaged.into_iter().next().unwrap_or(none))
}

/// Whether a path is a checkpoint, a run or a directory of checkpoints, damaged ones included.
pub fn is_run(path: &Path) -> bool {
    path.join("meta.json").exists() || holds_checkpoints(path) || !checkpoint_steps(path).is_empty()
}

/// Whether a run directory contains checkpoints, damaged ones included.
pub fn holds_checkpoints(run: &Path) -> bool {
    !checkpoint_steps(&run.join("checkpoints")).is_empty()
}

/// Whether a run directory contains checkpoints, the best one and damaged ones included.
pub(super) fn holds_any(run: &Path) -> bool {
    holds_checkpoints(run) || !checkpoint_steps(&run.join("best")).is_empty()
}

/// Removes the checkpoints that are older than the newest `keep` undamaged ones. Damaged ones do
/// not count, and if there are fewer undamaged ones, nothing is removed. Returns a warning for each
/// directory that was kept because of other files inside.
pub(super) fn retain(directory: &Path, keep: usize) -> Result<Vec<TrainError>, TrainError> {
    let steps = checkpoint_steps(directory);
    let (mut good, mut warnings) = (0, Vec::new());
    if keep == 0 || steps.len() <= keep {
        return Ok(warnings);
    }
    for (_, path) in steps {
        if good == keep {
            warnings.extend(checkpoint::remove(&path)?);
        } else if checkpoint::verify_changed(&path).is_ok() {
            good += 1;
        }
    }
    Ok(warnings)
}

/// Removes all checkpoints in a directory except those of `steps`, once `newest`, one of them, is
/// known to be undamaged. Returns warnings as [`retain`].
pub(crate) fn keep_only(directory: &Path, newest: &Path, steps: &[u64]) -> Result<Vec<TrainError>, TrainError> {
    checkpoint::verify_changed(newest)?;
    let others = checkpoint_steps(directory).into_iter().filter(|(step, _)| !steps.contains(step));
    let removed: Result<Vec<_>, _> = others.map(|(_, path)| checkpoint::remove(&path)).collect();
    Ok(removed?.into_iter().flatten().collect())
}

/// The checkpoints in a directory, newest first. A name that is not the one of its step is not of a
/// checkpoint.
fn checkpoint_steps(directory: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let step = checkpoint::step_of;
    let mut steps: Vec<_> = entries.filter_map(|e| Some((step(e.file_name().to_str()?)?, e.path()))).collect();
    steps.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    steps
}
