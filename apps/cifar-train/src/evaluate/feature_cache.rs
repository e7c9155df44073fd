//! Cache of per-image results on disk: features of a data set are computed once, and an interrupted
//! evaluation resumes.
//!
//! A store is a folder named by a hash of the description of its images, which is in `about.json`.
//! Each file in it contains rows of one kind, little-endian and of equal length; the file's length
//! gives their number. The CRC-32 of its number and its bytes follows each row. Rows are only ever
//! appended. Opening a file checks all rows; the first incomplete or damaged one and those after it
//! are dropped, and computed again.

use anyhow::{Context, bail, ensure};
use fm_terminal::eprintln;
use fm_train::TrainError;
use fm_train::files::open_plain;
use ndarray::Array2;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
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
    /// Bytes per row, without its checksum.
    width: usize,
    count: usize,
}

impl Store {
    /// Opens the store for this description; only one process can use it at a time.
    pub(crate) fn open(cache: &Path, about: &Value) -> anyhow::Result<Self> {
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
    pub(crate) fn rows(&self, name: &str, width: usize) -> anyhow::Result<Rows> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = open_plain(&path, &mut options).map_err(TrainError::io("open", &path))?;
        let whole = (file.metadata()?.len() / (width + CHECKSUM) as u64) as usize;
        let mut rows = Rows { path, file, width, count: whole };
        rows.count = rows.intact(whole)?;
        if rows.count < whole {
            eprintln!("warning: row {} of {} is damaged; it is computed again", rows.count, rows.path.display());
        }
        rows.file.set_len((rows.count * (width + CHECKSUM)) as u64)?;
        Ok(rows)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Version of the layout of a file of rows.
const FORMAT: u32 = 2;
/// Bytes of a row's checksum.
const CHECKSUM: usize = 4;

/// The checksum of a row and of its number, so that a moved row is found too.
fn checksum(row: usize, bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&(row as u64).to_le_bytes());
    hash.update(bytes);
    hash.finalize().to_le_bytes()
}

impl Rows {
    /// The number of rows before the first damaged one.
    fn intact(&mut self, whole: usize) -> anyhow::Result<usize> {
        let mut record = vec![0; self.width + CHECKSUM];
        let mut reader = BufReader::with_capacity(1 << 20, &self.file);
        for row in 0..whole {
            reader.read_exact(&mut record).map_err(TrainError::io("read", &self.path))?;
            let (bytes, stored) = record.split_at(self.width);
            if checksum(row, bytes) != stored {
                return Ok(row);
            }
        }
        Ok(whole)
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Appends rows from index `first` on; rows that exist already are skipped.
    pub(crate) fn append(&mut self, first: usize, bytes: &[u8]) -> anyhow::Result<()> {
        ensure!(
            bytes.len().is_multiple_of(self.width) && first <= self.count,
            "rows of {} are out of step; remove the folder and run again",
            self.path.display()
        );
        let known = (self.count - first) * self.width;
        let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) else { return Ok(()) };
        let rows = fresh.chunks_exact(self.width).enumerate();
        let records: Vec<u8> =
            rows.flat_map(|(k, row)| row.iter().copied().chain(checksum(self.count + k, row))).collect();
        self.file
            .seek(SeekFrom::End(0))
            .and_then(|_| self.file.write_all(&records))
            .and_then(|()| self.file.sync_data())
            .map_err(TrainError::io("write", &self.path))?;
        self.count += fresh.len() / self.width;
        Ok(())
    }

    fn bytes(&mut self, first: usize, count: usize) -> anyhow::Result<Vec<u8>> {
        let record = self.width + CHECKSUM;
        let mut records = vec![0; count * record];
        self.file.seek(SeekFrom::Start((first * record) as u64))?;
        self.file.read_exact(&mut records).with_context(|| {
            format!(
                "{} has fewer rows than it had; run again, with no other program in the folder",
                self.path.display()
            )
        })?;
        Ok(records.chunks_exact(record).flat_map(|record| &record[..self.width]).copied().collect())
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
}
