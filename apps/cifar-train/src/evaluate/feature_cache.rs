//! Cache of per-image results on disk: features of a data set are computed once, and an interrupted
//! evaluation resumes.
//!
//! A store is a folder named by a hash of the description of its images, which is in `about.json`.
//! Each file in it contains rows of one kind, little-endian and of equal length; the file's length
//! gives their number. Rows are only ever appended; an incomplete last row, left by a killed
//! process, is dropped.

use anyhow::{Context, bail, ensure};
use ndarray::Array2;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A folder of row files.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    /// Locked while the store is open.
    _lock: File,
}

/// A file of rows.
#[derive(Debug)]
pub(crate) struct Rows {
    path: PathBuf,
    file: File,
    /// Bytes per row.
    width: usize,
    count: usize,
}

impl Store {
    /// Opens the store for this description; only one process can use it at a time.
    pub(crate) fn open(cache: &Path, about: &Value) -> anyhow::Result<Self> {
        // Another version may compute other values for the same images.
        let text = format!("{:#}\n", json!({ "of": about, "program": env!("CARGO_PKG_VERSION") }));
        let folder = cache.join(&fm_train::files::sha256(text.as_bytes())[..16]);
        let place = || format!("cannot keep what is found in {}; choose another place with --cache", folder.display());
        std::fs::create_dir_all(&folder).with_context(place)?;
        let lock = File::create(folder.join("lock")).with_context(place)?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                bail!("another evaluation of the same images is under way in {}", folder.display())
            }
            other => other.with_context(place)?,
        }
        fm_train::files::write(&folder.join("about.json"), text.as_bytes())?;
        Ok(Self { folder, _lock: lock })
    }

    /// The file for rows of one kind, `width` bytes each.
    pub(crate) fn rows(&self, name: &str, width: usize) -> anyhow::Result<Rows> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let length = file.metadata()?.len();
        let count = length / width.max(1) as u64;
        file.set_len(count * width as u64)?;
        Ok(Rows { path, file, width, count: count as usize })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Rows {
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Appends rows from index `first` on; rows that exist already are skipped.
    pub(crate) fn append(&mut self, first: usize, bytes: &[u8]) -> anyhow::Result<()> {
        ensure!(
            bytes.len().is_multiple_of(self.width) && first <= self.count,
            "rows of {} are out of step",
            self.path.display()
        );
        let known = (self.count - first) * self.width;
        let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) else { return Ok(()) };
        let full = || format!("cannot write {}; is the disk full?", self.path.display());
        self.file.seek(SeekFrom::End(0)).and_then(|_| self.file.write_all(fresh)).with_context(full)?;
        self.file.sync_data().with_context(full)?;
        self.count += fresh.len() / self.width;
        Ok(())
    }

    fn bytes(&mut self, first: usize, count: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; count * self.width];
        self.file.seek(SeekFrom::Start((first * self.width) as u64))?;
        self.file
            .read_exact(&mut bytes)
            .with_context(|| format!("{} has fewer rows than it had", self.path.display()))?;
        Ok(bytes)
    }

    /// Rows `first..first + count` of f32.
    pub(crate) fn floats(&mut self, first: usize, count: usize) -> anyhow::Result<Array2<f32>> {
        let bytes = self.bytes(first, count)?;
        let values = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Ok(Array2::from_shape_vec((count, self.width / 4), values)?)
    }

    /// The first `count` rows of f64.
    pub(crate) fn doubles(&mut self, count: usize) -> anyhow::Result<Array2<f64>> {
        let bytes = self.bytes(0, count)?;
        let values = bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        Ok(Array2::from_shape_vec((count, self.width / 8), values)?)
    }
}

pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub(crate) fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(Store::open(dir.path(), &json!({ "of": "that" })).unwrap().rows("a.f32", 8).unwrap().count(), 0);
    }
}
