//! A file of rows of equal length, little-endian. The length of the file gives the number of rows.
//! Each row is followed by the CRC-32 of its row number and its bytes. Rows are only appended.

use anyhow::{Context, ensure};
use fm_core::budget::{Budget, limits};
use fm_train::TrainError;
use fm_train::files::open_plain;
use ndarray::Array2;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// A file of rows.
#[derive(Debug)]
pub struct Rows {
    path: PathBuf,
    file: File,
    /// Bytes per row, without its checksum.
    width: usize,
    count: usize,
    /// What one reading may cost.
    budget: Budget,
}

/// Bytes of a row's checksum.
const CHECKSUM: usize = 4;

/// The checksum of a row and of its number, so that a moved row is detected too.
fn checksum(row: usize, bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&(row as u64).to_le_bytes());
    hash.update(bytes);
    hash.finalize().to_le_bytes()
}

impl Rows {
    /// Opens or creates a file, and drops the rows from the first damaged one on. Also returns the
    /// number of rows before that.
    ///
    /// # Errors
    /// A file that cannot be read, or that is too long.
    pub fn open(path: PathBuf, width: usize) -> anyhow::Result<(Self, usize)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = open_plain(&path, &mut options).map_err(TrainError::io("open", &path))?;
        let length = file.metadata()?.len();
        let whole = (length / (width + CHECKSUM) as u64) as usize;
        let budget = Budget::new(&limits::CACHE, length).and_then(|budget| budget.count(whole).map(|()| budget));
        let budget = budget.with_context(|| format!("cannot use {}", path.display()))?;
        let mut rows = Self { path, file, width, count: whole, budget };
        rows.count = rows.intact(whole)?;
        rows.file.set_len((rows.count * (width + CHECKSUM)) as u64)?;
        Ok((rows, whole))
    }

    /// The number of rows before the first damaged one.
    fn intact(&mut self, whole: usize) -> anyhow::Result<usize> {
        let mut record = vec![0; self.width + CHECKSUM];
        let mut reader = self.budget.metered(BufReader::with_capacity(1 << 20, &self.file));
        for row in 0..whole {
            reader.read_exact(&mut record).map_err(TrainError::io("read", &self.path))?;
            let (bytes, stored) = record.split_at(self.width);
            if checksum(row, bytes) != stored {
                return Ok(row);
            }
        }
        Ok(whole)
    }

    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Appends rows from index `first` on; rows that exist already are skipped.
    ///
    /// # Errors
    /// A gap before the first row, and a file that cannot be written.
    pub fn append(&mut self, first: usize, bytes: &[u8]) -> anyhow::Result<()> {
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
        self.budget = Budget::new(&limits::CACHE, (self.count * (self.width + CHECKSUM)) as u64)?;
        Ok(())
    }

    fn bytes(&mut self, first: usize, count: usize) -> anyhow::Result<Vec<u8>> {
        let record = self.width + CHECKSUM;
        self.budget.clone().take_bytes(count.saturating_mul(record))?;
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
    ///
    /// # Errors
    /// Fewer rows, and a file that cannot be read.
    pub fn floats(&mut self, first: usize, count: usize) -> anyhow::Result<Array2<f32>> {
        let bytes = self.bytes(first, count)?;
        let values = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Ok(Array2::from_shape_vec((count, self.width / 4), values)?)
    }

    /// The first `count` rows of f64.
    ///
    /// # Errors
    /// As [`floats`](Self::floats).
    pub fn doubles(&mut self, count: usize) -> anyhow::Result<Array2<f64>> {
        let bytes = self.bytes(0, count)?;
        let values = bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        Ok(Array2::from_shape_vec((count, self.width / 8), values)?)
    }
}

/// The bytes of f32 values.
#[must_use]
pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The bytes of f64 values.
#[must_use]
pub fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
