//! The metadata of a checkpoint, `meta.json`, with a checksum of its own.

use crate::ema::EmaConfig;
use crate::{TrainError, accumulator, files, loss_aware};
use fm_core::budget::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Metadata of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Version of this layout.
    pub format: u32,
    /// The program that wrote it.
    pub program: String,
    /// Steps done.
    pub step: u64,
    /// Passes over the data that are done, if they have a fixed number of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<f64>,
    /// Trainable values.
    pub parameters: i64,
    /// The probability path's name.
    pub path: String,
    /// What the network predicts.
    pub prediction: String,
    /// Direction of time: which end is source and which is data.
    pub time_direction: String,
    /// Shape and meaning of one data row.
    pub data: DataMeta,
    /// The moving averages.
    pub ema: EmaConfig,
    /// Updates of the moving averages.
    pub ema_updates: u64,
    /// Updates of the optimizer.
    pub optimizer_updates: u64,
    /// Metrics since the last line of the log.
    pub tally: accumulator::Saved,
    /// The state of loss-aware times, if they are used.
    pub adaptive: Option<loss_aware::Saved>,
    /// Number of libtorch threads; the last bits of CPU results depend on it.
    pub threads: i32,
    /// The run's whole configuration, including the model's.
    pub config: serde_json::Value,
    /// SHA-256 of `metrics.jsonl` up to this step; empty in files that were made before this field
    /// existed, and for runs without this log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
    /// The flow, a [`NamedFlow`](fm_core::NamedFlow), if the run stored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<serde_json::Value>,
    /// Size and hash of each file.
    pub files: BTreeMap<String, FileMeta>,
}

/// The data that a model was trained on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataMeta {
    /// Shape of one row.
    pub shape: Vec<i64>,
    /// Normalisation that maps raw values to the network's inputs.
    pub normalisation: String,
    /// The largest raw pixel value; 0 for data without pixels.
    pub levels: u8,
    /// Names of the classes; empty for an unconditional model.
    pub classes: Vec<String>,
    /// [Fingerprint](crate::fingerprint) of the data, of the teacher if there is one, and of further
    /// parts as `part=hash`; empty in files that were made before this field existed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
}

/// A file's size and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

impl DataMeta {
    /// Checks that a run continues on the data that it began with. The fingerprint has words of the
    /// form `part=hash`; parts that a run of an earlier version did not store pass.
    ///
    /// # Errors
    /// [`TrainError::DataChanged`].
    pub fn check_unchanged(&self, now: &Self) -> Result<(), TrainError> {
        let (before, now) = (parts(&self.fingerprint), parts(&now.fingerprint));
        let same = |(part, hash): (&String, &&str)| now.get(part).is_none_or(|found| found == hash);
        if before.iter().all(same) { Ok(()) } else { Err(TrainError::DataChanged) }
    }

    /// The hash of a part of the data, if it was stored.
    pub fn part(&self, name: &str) -> Option<&str> {
        parts(&self.fingerprint).get(name).copied()
    }
}

/// The hashes of a fingerprint by part. Words without a name are numbered.
fn parts(fingerprint: &str) -> BTreeMap<String, &str> {
    let words = fingerprint.split_whitespace().enumerate();
    words
        .map(|(k, word)| word.split_once('=').map_or((k.to_string(), word), |(name, hash)| (name.into(), hash)))
        .collect()
}

impl Meta {
    /// Checks that a network whose rows have this shape, with this many parameters and classes, can
    /// be the one of this checkpoint. Call it before the network is built, because only the sizes
    /// of files bound what the metadata claims.
    ///
    /// # Errors
    /// [`TrainError::Checkpoint`].
    pub fn check_network(&self, path: &Path, shape: &[i64], classes: i64, parameters: i64) -> Result<(), TrainError> {
        let stored = self.files.iter().filter(|(name, _)| name.ends_with(".safetensors"));
        let largest = stored.map(|(_, file)| file.bytes / 4).max().unwrap_or(0);
        let refuse = |problem: String| Err(broken(path, format!("{META} contradicts itself: {problem}")));
        if u64::try_from(parameters).map_or(true, |parameters| parameters > largest) {
            return refuse(format!("its network has {parameters} parameters, its files at most {largest}"));
        }
        if self.data.shape != shape {
            return refuse(format!("its data have the shape {:?}, its network {shape:?}", self.data.shape));
        }
        let named = self.data.classes.len() as i64;
        if named != 0 && named != classes {
            return refuse(format!("it names {named} classes, its network has {classes}"));
        }
        Ok(())
    }
}

/// Since version 6, the metadata has its own checksum.
pub(super) const FORMAT: u32 = 6;
const READABLE: [u32; 2] = [5, FORMAT];
pub(super) const META: &str = "meta.json";

/// Reads the metadata of a checkpoint without its weights.
///
/// # Errors
/// [`TrainError::Checkpoint`] if it is missing, not a checkpoint, or from a newer version.
pub fn read_meta(path: &Path) -> Result<Meta, TrainError> {
    let unreadable = |e: io::Error| broken(path, format!("{META} cannot be read ({e})"));
    let (bytes, mut budget) = files::read_plain(&path.join(META), &limits::META).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| broken(path, format!("{META} is not text")))?;
    let (text, checksum) = files::without_checksum(&text);
    let damaged = || broken(path, format!("{META} does not match its own checksum"));
    if checksum.is_some_and(|recorded| recorded != files::sha256(text.as_bytes())) {
        return Err(damaged());
    }
    let meta: Meta =
        files::json(text.as_bytes(), &mut budget).map_err(|e| broken(path, format!("{META} is not ours ({e})")))?;
    if !READABLE.contains(&meta.format) {
        return Err(broken(path, format!("its format is {}, this program knows {READABLE:?}", meta.format)));
    }
    if meta.format >= FORMAT && checksum.is_none() {
        return Err(damaged());
    }
    let outside = |name: &&String| !files::is_plain_name(name) || name.as_str() == META;
    if let Some(name) = meta.files.keys().find(outside) {
        let name = fm_core::message::name(name);
        return Err(broken(path, format!("{META} lists {name}, which is not a file of a checkpoint")));
    }
    Ok(meta)
}

pub(super) fn broken(path: &Path, problem: impl ToString) -> TrainError {
    TrainError::Checkpoint { path: path.into(), problem: problem.to_string() }
}
