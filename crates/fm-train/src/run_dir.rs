//! The directory of a run.
//!
//! | entry | content |
//! |---|---|
//! | `config.toml` | the resolved configuration |
//! | `metrics.jsonl` | one object per logged step; the same bytes whether or not the run was interrupted |
//! | `timing.jsonl` | values that depend on the clock and the machine |
//! | `samples/step-N.png` | sample images |
//! | `checkpoints/step-N/` | checkpoints |
//! | `run.lock` | held while a process trains here |

use crate::checkpoint::{self, Meta};
use crate::{TrainError, files};
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A run directory that is locked by this process, or by another process of its group.
#[derive(Debug)]
pub struct RunDir {
    root: PathBuf,
    _lock: Option<File>,
}

impl RunDir {
    /// Creates the directory if it does not exist, takes its lock, and removes incomplete files of
    /// a killed run.
    ///
    /// # Errors
    /// [`TrainError::Locked`] while another process trains there; [`TrainError::Io`] if it is not
    /// writable.
    pub fn open(root: &Path) -> Result<Self, TrainError> {
        for directory in [root.to_path_buf(), root.join("checkpoints"), root.join("samples")] {
            fs::create_dir_all(&directory).map_err(TrainError::io("create", &directory))?;
        }
        let lock = lock(root, "run.lock")?;
        for directory in [root.to_path_buf(), root.join("checkpoints"), root.join("samples"), root.join("best")] {
            files::clean(&directory);
        }
        Ok(Self { root: root.into(), _lock: Some(lock) })
    }

    /// A run directory that another process of the same group locks and writes.
    pub fn of_group(root: &Path) -> Self {
        Self { root: root.into(), _lock: None }
    }

    /// A path inside the directory.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// The directory of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Appends one JSON object as a line.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn append(&self, name: &str, record: &impl Serialize) -> Result<(), TrainError> {
        let path = self.root.join(name);
        let mut line = serde_json::to_string(record).unwrap_or_default();
        line.push('\n');
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut f| f.write_all(line.as_bytes())).map_err(TrainError::io("append to", &path))
    }

    /// Drops log lines of steps after `step`, and an incomplete last line.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn rewind(&self, name: &str, step: u64) -> Result<(), TrainError> {
        let path = self.root.join(name);
        let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
        let belongs = |line: &&str| {
            let value = serde_json::from_str::<serde_json::Value>(line);
            value.ok().and_then(|v| v["step"].as_u64()).is_some_and(|s| s <= step)
        };
        let kept: String = text.lines().filter(belongs).flat_map(|line| [line, "\n"]).collect();
        files::write(&path, kept.as_bytes())
    }

    /// Removes all checkpoints but the newest `keep`; 0 keeps them all.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn prune(&self, keep: usize) -> Result<(), TrainError> {
        let surplus = if keep == 0 { usize::MAX } else { keep };
        for (_, path) in checkpoint_steps(&self.checkpoints()).into_iter().skip(surplus) {
            fs::remove_dir_all(&path).map_err(TrainError::io("remove the old", &path))?;
        }
        Ok(())
    }
}

/// Takes a directory's lock, which is held until the returned file is dropped.
pub(crate) fn lock(directory: &Path, name: &str) -> Result<File, TrainError> {
    let path = directory.join(name);
    let lock = File::create(&path).map_err(TrainError::io("create", &path))?;
    lock.try_lock().map_err(|_| TrainError::Locked { path: directory.into() })?;
    Ok(lock)
}

/// Removes all checkpoints in a directory except this one.
pub(crate) fn keep_only(directory: &Path, kept: &Path) -> Result<(), TrainError> {
    for (_, path) in checkpoint_steps(directory).into_iter().filter(|(_, path)| path != kept) {
        fs::remove_dir_all(&path).map_err(TrainError::io("remove the old", &path))?;
    }
    Ok(())
}

/// The newest undamaged checkpoint at `path`, which is a checkpoint itself, a directory of
/// checkpoints, or a run directory. Newer damaged checkpoints are returned as errors.
///
/// # Errors
/// [`TrainError::NoCheckpoint`] if there is none; if all are damaged, the error of the newest.
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
    Err(damaged.into_iter().next().unwrap_or(TrainError::NoCheckpoint { path: path.into() }))
}

/// Whether a run directory contains checkpoints, damaged ones included.
pub fn holds_checkpoints(run: &Path) -> bool {
    !checkpoint_steps(&run.join("checkpoints")).is_empty()
}

/// The checkpoints in a directory, newest first.
fn checkpoint_steps(directory: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let step = |name: &str| name.strip_prefix("step-")?.parse::<u64>().ok();
    let mut steps: Vec<_> = entries.filter_map(|e| Some((step(e.file_name().to_str()?)?, e.path()))).collect();
    steps.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    steps
}
