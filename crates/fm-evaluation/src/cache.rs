//! Cache of per-image results on disk: features of a data set are computed once, and an interrupted
//! evaluation resumes.
//!
//! A store is a folder named by a hash of the description of its images, which is in `about.json`.
//! Each file in it has the [rows](crate::rows) of one kind. Opening a file checks all rows; the
//! first incomplete or damaged row and those after it are dropped, and computed again.

use crate::rows::Rows;
use anyhow::{Context, bail};
use fm_terminal::eprintln;
use fm_train::TrainError;
use fm_train::files::open_plain;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// A folder of row files.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Locked while the store is open.
    _lock: File,
}

impl Store {
    /// Opens the store for this description; only one process can use it at a time.
    ///
    /// # Errors
    /// A folder that cannot be written, and another evaluation of the same images under way.
    pub fn open(cache: &Path, about: &Value) -> anyhow::Result<Self> {
        // Another version may compute other values for the same images.
        let text = format!("{:#}\n", json!({ "of": about, "program": env!("CARGO_PKG_VERSION"), "format": FORMAT }));
        let folder = cache.join(&fm_train::files::sha256(text.as_bytes())[..16]);
        let place = || format!("cannot keep features in {}; choose another place with --cache", folder.display());
        std::fs::create_dir_all(&folder).map_err(TrainError::io("create", &folder)).with_context(place)?;
        let mut options = OpenOptions::new();
        let path = folder.join("lock");
        let lock = open_plain(&path, options.write(true).create(true))
            .map_err(TrainError::io("open", &path))
            .with_context(place)?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another evaluation of the same images is under way in {}; wait for it to end, or give another --cache",
                    folder.display()
                )
            }
            Err(TryLockError::Error(error)) => return Err(TrainError::io("lock", &path)(error)).with_context(place),
            Ok(()) => {}
        }
        fm_train::files::write(&folder.join("about.json"), text.as_bytes())?;
        Ok(Self { folder, _lock: lock })
    }

    /// The file for rows of one kind, `width` bytes each.
    ///
    /// # Errors
    /// A file that cannot be opened, or that is too long.
    pub fn rows(&self, name: &str, width: usize) -> anyhow::Result<Rows> {
        let (rows, found) = Rows::open(self.path(name), width)?;
        if rows.count() < found {
            eprintln!(
                "warning: row {} of {} is damaged; it is computed again",
                rows.count(),
                self.path(name).display()
            );
        }
        Ok(rows)
    }

    /// The path of a file of the store.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Version of the layout of a file of rows.
const FORMAT: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::floats;

    #[test]
    fn rows_survive_and_half_a_row_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Store::open(dir.path(), &json!({ "of": "this" })).unwrap();
        let path = {
            let store = open();
            let mut rows = store.rows("a.f32", 8).unwrap();
            rows.append(0, &floats(&[1.0, 2.0, 3.0, 4.0])).unwrap();
            assert!(Store::open(dir.path(), &json!({ "of": "this" })).unwrap_err().to_string().contains("under way"));
            assert!(rows.append(3, &floats(&[0.0, 0.0])).is_err());
            store.path("a.f32")
        };
        std::fs::write(&path, [std::fs::read(&path).unwrap(), vec![7; 5]].concat()).unwrap();
        let mut rows = open().rows("a.f32", 8).unwrap();
        assert_eq!(rows.count(), 2);
        rows.append(1, &floats(&[9.0, 9.0, 5.0, 6.0])).unwrap();
        assert_eq!(rows.floats(0, 3).unwrap(), ndarray::array![[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
        drop(rows);
        // One bit of the second row flips; then the second row is a copy of the first.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[12 + 3] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(open().rows("a.f32", 8).unwrap().count(), 1);
        bytes.truncate(12);
        std::fs::write(&path, bytes.repeat(2)).unwrap();
        assert_eq!(open().rows("a.f32", 8).unwrap().count(), 1);
        assert_eq!(Store::open(dir.path(), &json!({ "of": "that" })).unwrap().rows("a.f32", 8).unwrap().count(), 0);
    }

    /// A sparse file would be read for hours.
    #[test]
    fn files_that_are_too_long_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &json!({ "of": "this" })).unwrap();
        let length = fm_core::budget::limits::CACHE.longest + 1;
        File::create(store.path("long.f32")).and_then(|file| file.set_len(length)).unwrap();
        let text = format!("{:#}", store.rows("long.f32", 8).unwrap_err());
        assert!(text.contains("more than 1099511627776; remove it"), "{text}");
        assert_eq!(std::fs::metadata(store.path("long.f32")).unwrap().len(), length);
    }
}
