//! The directory of a run.
//!
//! | entry | content |
//! |---|---|
//! | `config.toml` | the resolved configuration |
//! | `metrics.jsonl` | one object per logged step; the same bytes whether or not the run was interrupted |
//! | `timing.jsonl` | values that depend on the clock and the machine |
//! | `samples/step-N.png` | sample images |
//! | `checkpoints/step-N/` | checkpoints |
//! | `averages/step-N/` | snapshots of averages of relative widths; a resumed run removes those of later steps |
//! | `run.lock` | held while a process trains here |
//! | `.flow-matching-run` | shows that the directory is a run's |
//!
//! ```
//! use fm_train::run_dir::RunDir;
//! let dir = tempfile::tempdir()?;
//! std::fs::write(dir.path().join("config.toml"), "mine")?;
//! assert!(RunDir::create(dir.path()).is_err()); // a directory of something else
//! let run = RunDir::create(&dir.path().join("run"))?;
//! run.append("metrics.jsonl", &serde_json::json!({ "step": 1 }))?;
//! assert!(RunDir::open(&dir.path().join("run")).is_err()); // locked
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod log;
mod retention;

pub use log::Rewound;
pub(crate) use retention::keep_only;
pub use retention::{holds_checkpoints, is_run, latest_checkpoint};

use crate::files::{self, Lock, RUN as MARKER};
use crate::{TrainError, checkpoint};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const LOCK: &str = "run.lock";
const NEW: &str = "A training run of flow-matching.\n";
const SAVED: &str = "A training run of flow-matching, which has saved checkpoints.\n";

/// A run directory that is locked by this process, or by another process of its group.
#[derive(Debug)]
pub struct RunDir {
    root: PathBuf,
    lock: Option<Lock>,
}

impl RunDir {
    /// Makes the directory of a new run, which must be absent or empty, or that of a run without
    /// any checkpoint, and locks it.
    ///
    /// # Errors
    /// As [`refuse_used`](Self::refuse_used) and [`open`](Self::open).
    pub fn create(root: &Path) -> Result<Self, TrainError> {
        Self::refuse_used(root)?;
        let run = Self::open(root)?;
        // Another process may have trained here before this one got the lock.
        Self::refuse_used(root)?;
        run.begin()?;
        Ok(run)
    }

    /// Creates the directory if it does not exist, and takes its lock. Nothing that is there
    /// changes before [`begin`](Self::begin).
    ///
    /// # Errors
    /// As [`refuse_foreign`](Self::refuse_foreign); [`TrainError::Locked`] while another process
    /// trains there; [`TrainError::NotPlain`] if `run.lock` is something else; [`TrainError::Io`]
    /// if it is not writable.
    pub fn open(root: &Path) -> Result<Self, TrainError> {
        Self::refuse_foreign(root)?;
        files::create_directory(root).map_err(TrainError::io("create", root))?;
        Ok(Self { root: root.into(), lock: Some(files::lock(root, LOCK)?) })
    }

    /// A run directory that another process of the same group locks and writes.
    pub fn of_group(root: &Path) -> Self {
        Self { root: root.into(), lock: None }
    }

    /// Marks the directory as a run's, makes its inner directories, and removes incomplete files of
    /// a killed run: call it once it is certain that this process trains here.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn begin(&self) -> Result<(), TrainError> {
        let Some(lock) = &self.lock else { return Ok(()) };
        if marker(&self.root).is_none() {
            files::write(&self.root.join(MARKER), NEW.as_bytes())?;
        }
        for directory in [self.checkpoints(), self.root.join("samples")] {
            fs::create_dir_all(&directory).map_err(TrainError::io("create", &directory))?;
        }
        lock.clean(&["checkpoints", "samples", "best", "averages"]);
        Ok(())
    }

    /// Refuses a directory with files of something else. A run's directory has the marker of
    /// [`begin`](Self::begin), or a checkpoint of an earlier version. Hidden entries are ignored.
    ///
    /// # Errors
    /// [`TrainError::Run`]; [`TrainError::Io`] if it cannot be read.
    pub fn refuse_foreign(root: &Path) -> Result<(), TrainError> {
        let entries = match fs::read_dir(root) {
            // Creating the directory names the reason.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
            entries => entries.map_err(TrainError::io("read", root))?,
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> =
            names.filter(|n| !n.starts_with('.') && ![LOCK, "lost+found"].contains(&n.as_str())).collect();
        let saved = || latest_checkpoint(root).is_ok_and(|(path, ..)| path.starts_with(root.join("checkpoints")));
        if names.is_empty() || marker(root).is_some() || saved() {
            return Ok(());
        }
        names.sort();
        let named: Vec<String> = names.iter().take(3).map(|name| fm_core::message::name(name)).collect();
        let problem = if retention::holds_any(root) {
            "none of its checkpoints is usable, and nothing else shows that it is a run of this program; choose a new directory".into()
        } else {
            format!("{} are files of something else; choose a new directory", named.join(", "))
        };
        Err(TrainError::Run { path: root.into(), problem })
    }

    /// Refuses a directory in which a new run would overwrite anything: files of something else,
    /// or a run that has saved checkpoints, damaged and removed ones included.
    ///
    /// # Errors
    /// [`TrainError::Run`]; [`TrainError::Io`] if it cannot be read.
    pub fn refuse_used(root: &Path) -> Result<(), TrainError> {
        Self::refuse_foreign(root)?;
        if !retention::holds_any(root) && marker(root) != Some(SAVED) {
            return Ok(());
        }
        let remedy = match latest_checkpoint(root) {
            Ok(_) => "resume it, or choose a new directory",
            Err(_) => "none of its checkpoints is usable; choose a new directory",
        };
        Err(TrainError::Run { path: root.into(), problem: format!("it already holds a run; {remedy}") })
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
    /// [`TrainError::Io`], and [`TrainError::NotPlain`] for a link, a pipe or a device.
    pub fn append(&self, name: &str, record: &impl Serialize) -> Result<(), TrainError> {
        let path = self.root.join(name);
        let mut line = serde_json::to_string(record).map_err(|e| TrainError::io("append to", &path)(e.into()))?;
        line.push('\n');
        let file = files::open_plain(&path, OpenOptions::new().create(true).append(true));
        file.and_then(|mut f| f.write_all(line.as_bytes())).map_err(TrainError::io("append to", &path))
    }

    /// Flushes logs and their directory entries to the disk; absent logs are skipped. Call it
    /// before each checkpoint is saved, so that a checkpoint implies its lines.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn sync(&self, names: &[&str]) -> Result<(), TrainError> {
        for path in names.iter().map(|name| self.root.join(name)) {
            match files::open_plain(&path, OpenOptions::new().read(true)).and_then(|file| file.sync_all()) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                flushed => flushed.map_err(TrainError::io("flush", &path))?,
            }
        }
        files::sync(&self.root)
    }

    /// The SHA-256 of a log, in hexadecimal; of an absent one that of nothing.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn digest(&self, name: &str) -> Result<String, TrainError> {
        let path = self.root.join(name);
        match files::open_plain(&path, OpenOptions::new().read(true)).and_then(files::sha256_of) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(files::sha256(b"")),
            digest => digest.map_err(TrainError::io("read", &path)),
        }
    }

    /// The [digest](Self::digest) that a log will have after [`rewind`](Self::rewind). Nothing is
    /// written.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn digest_at(&self, name: &str, step: u64) -> Result<String, TrainError> {
        let path = self.root.join(name);
        let lines = log::read::<serde::de::IgnoredAny>(&path, step).map_err(TrainError::io("read", &path))?;
        lines.changed.map_or_else(|| self.digest(name), |kept| Ok(files::sha256(&kept)))
    }

    /// [Begins](Self::begin), and cuts a log to the lines up to `step`: later lines, lines that are
    /// damaged or have no step, and repeated ones are removed and counted. Snapshots of averages of
    /// later steps are removed too.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn rewind(&self, name: &str, step: u64) -> Result<Rewound, TrainError> {
        self.rewind_as::<serde::de::IgnoredAny>(name, step).map(|(_, found)| found)
    }

    /// As [`rewind`](Self::rewind), for a log of `T`, which is returned; lines of something else
    /// are removed.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn rewind_as<T: DeserializeOwned>(&self, name: &str, step: u64) -> Result<(Vec<T>, Rewound), TrainError> {
        self.begin()?;
        if self.lock.is_some() {
            checkpoint::forget_after(&self.root, step)?;
        }
        let path = self.root.join(name);
        let lines = log::read(&path, step).map_err(TrainError::io("read", &path))?;
        if let (Some(kept), Some(_)) = (lines.changed, &self.lock) {
            files::write(&path, &kept)?;
        }
        Ok((lines.records, lines.found))
    }

    /// As [`retain`](Self::retain), without its warnings.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn prune(&self, keep: usize) -> Result<(), TrainError> {
        self.retain(keep).map(|_| ())
    }

    /// Removes the checkpoints that are older than the newest `keep` undamaged ones; 0 keeps all.
    /// Damaged checkpoints do not count, so the last undamaged ones are never removed. Returns a
    /// [`TrainError::Kept`] for each directory that was not removed because of what it holds.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn retain(&self, keep: usize) -> Result<Vec<TrainError>, TrainError> {
        if self.lock.is_some() && holds_checkpoints(&self.root) && marker(&self.root) != Some(SAVED) {
            files::write(&self.root.join(MARKER), SAVED.as_bytes())?;
        }
        retention::retain(&self.checkpoints(), keep)
    }
}

/// Whether a directory has the marker of a run.
pub(crate) fn is_marked(root: &Path) -> bool {
    marker(root).is_some()
}

/// The text of a run's marker, if there is one.
fn marker(root: &Path) -> Option<&'static str> {
    let bytes = files::read_known(&root.join(MARKER), SAVED.len() as u64).ok()?;
    [NEW, SAVED].into_iter().find(|text| text.as_bytes() == bytes)
}
