//! Atomic writes: a file is either complete or absent.
//!
//! Every file is written to a temporary name in the same directory, flushed to disk, and then
//! renamed, which file systems do atomically. A process that is killed at any moment leaves the old
//! file, the new file, or a `.partial` file that the next run removes.
//!
//! ```
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("a.txt");
//! fm_train::files::write(&path, b"one").unwrap();
//! fm_train::files::write(&path, b"two").unwrap();
//! assert_eq!(std::fs::read(&path).unwrap(), b"two");
//! assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
//! ```

use crate::TrainError;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

const SUFFIX: &str = ".partial";

/// Writes a file atomically and durably.
///
/// # Errors
/// [`TrainError::Io`]; nothing is left behind.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    publish(path, |partial| write_plain(partial, bytes))
}

/// Calls `make` to create a file or a directory of files at a temporary path, then moves it to
/// `path`, which must not be a non-empty directory.
///
/// # Errors
/// The error of `make`, or [`TrainError::Io`]; the temporary path is removed.
pub fn publish(path: &Path, make: impl FnOnce(&Path) -> Result<(), TrainError>) -> Result<(), TrainError> {
    let partial = partial_path(path);
    let result = make(&partial).and_then(|()| {
        fs::rename(&partial, path).map_err(TrainError::io("move into place", path))?;
        sync(path.parent().unwrap_or(Path::new(".")))
    });
    if result.is_err() {
        remove(&partial);
    }
    result
}

/// Writes a file and flushes it, without the rename: for files inside a directory that is published
/// as a whole.
///
/// # Errors
/// [`TrainError::Io`].
pub fn write_plain(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let mut file = File::create(path).map_err(TrainError::io("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(TrainError::io("write", path))
}

/// Flushes a directory's entries, or a file, to the disk.
///
/// # Errors
/// [`TrainError::Io`].
pub fn sync(path: &Path) -> Result<(), TrainError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|f| f.sync_all()).map_err(TrainError::io("flush", path))
}

/// Removes temporary files that a killed process left in a directory: only names that [`publish`]
/// makes.
pub fn clean(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let ours = |name: &str| name.starts_with('.') && name.ends_with(SUFFIX);
    for entry in entries.filter(|e| ours(&e.file_name().to_string_lossy())) {
        remove(&entry.path());
    }
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(SUFFIX);
    path.with_file_name(name)
}

/// Best effort: a leftover file is harmless, and the caller already has a more important error to
/// report.
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}
