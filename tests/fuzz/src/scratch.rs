//! Files for readers that take a path: in memory where the system has such a folder.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

thread_local! {
    /// The folder of this thread, removed when it ends.
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// A folder of this thread, by name; it may not exist yet.
pub(crate) fn folder(name: &str) -> PathBuf {
    FOLDER.with(|folder| folder.get_or_init(temporary).path().join(name))
}

#[allow(clippy::expect_used, reason = "a test that cannot go on should stop")]
fn temporary() -> TempDir {
    let memory = Path::new("/dev/shm");
    let place = std::env::var_os("FUZZ_SCRATCH")
        .map_or_else(|| if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() }, PathBuf::from);
    tempfile::Builder::new().prefix("fuzz-").tempdir_in(place).expect("a temporary folder")
}

/// Writes a file of this thread and returns its path; the name may have a folder.
#[allow(clippy::expect_used, reason = "a test that cannot go on should stop")]
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder(name);
    let written = put(&path, bytes).or_else(|error| match (error.kind(), path.parent()) {
        (ErrorKind::NotFound, Some(parent)) => fs::create_dir_all(parent).and_then(|()| put(&path, bytes)),
        _ => Err(error),
    });
    written.expect("room for a small file");
    path
}

/// Replaces the content of a file without emptying it first, which some file systems follow by a
/// flush to the disk.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}
