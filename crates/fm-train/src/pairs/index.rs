//! The description of a set of pairs, and the sizes that follow from it.

use crate::checkpoint::DataMeta;
use crate::{TrainError, files};
use fm_core::budget::{Budget, limits};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Description of a set of pairs; two sets with equal descriptions are equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairsAbout {
    /// The program that made them.
    pub program: String,
    /// The teacher's checkpoint or file.
    pub teacher: String,
    /// SHA-256 of its weights.
    pub teacher_sha256: String,
    /// Total number of pairs.
    pub count: usize,
    /// Pairs per shard; the last shard may have fewer.
    pub shard_size: usize,
    /// Pair i is a function of the seed and i.
    pub seed: u64,
    /// The solver of the teacher's ODE, as text for people.
    pub solver: String,
    /// All values of the solver that pairs depend on; empty in sets that were made before this
    /// field existed.
    #[serde(default)]
    pub sampler: String,
    /// Scale of classifier-free guidance.
    pub cfg_scale: f64,
    /// All values of guidance except its scale; empty for classifier-free guidance at all times,
    /// and in sets of earlier versions.
    #[serde(default)]
    pub guidance: String,
    /// Whether pairs have classes.
    pub conditional: bool,
    /// The data that the teacher was trained on; its shape is that of x0 and x1.
    pub data: DataMeta,
    /// The teacher's configuration.
    pub config: serde_json::Value,
}

impl PairsAbout {
    /// Reads the description of the pairs in a directory, complete or not.
    ///
    /// # Errors
    /// [`TrainError::Pairs`].
    pub fn read(directory: &Path) -> Result<Self, TrainError> {
        Ok(Index::read(directory)?.about)
    }
}

/// Description of a shard's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardMeta {
    /// Its name.
    pub name: String,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Mean number of function evaluations per pair.
    pub nfe: f64,
}

/// Version of this layout. Since version 2, the description has its own checksum.
pub(super) const FORMAT: u32 = 2;
const READABLE: [u32; 2] = [1, FORMAT];
pub(super) const INDEX: &str = "pairs.json";
/// Names of shards have five digits.
const MOST_SHARDS: usize = 100_000;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Index {
    pub(super) format: u32,
    #[serde(flatten)]
    pub(super) about: PairsAbout,
    pub(super) shards: Vec<ShardMeta>,
}

impl Index {
    pub(super) fn read(directory: &Path) -> Result<Self, TrainError> {
        let (text, mut budget) = files::read_plain(&directory.join(INDEX), &limits::META)
            .map_err(|e| broken(directory, format!("{INDEX} cannot be read ({e}); give a directory of pairs")))?;
        let text = String::from_utf8(text).unwrap_or_default();
        let (text, checksum) = files::without_checksum(&text);
        let damaged =
            || broken(directory, format!("{INDEX} does not match its own checksum; make the pairs in a new directory"));
        if checksum.is_some_and(|recorded| recorded != files::sha256(text.as_bytes())) {
            return Err(damaged());
        }
        let index: Self = files::json(text.as_bytes(), &mut budget)
            .map_err(|e| broken(directory, format!("{INDEX} is not ours ({e}); make the pairs in a new directory")))?;
        if !READABLE.contains(&index.format) {
            let (found, known) = (index.format, READABLE);
            let problem = format!("its format is {found}, this program knows {known:?}; make the pairs again");
            return Err(broken(directory, problem));
        }
        if index.format == FORMAT && checksum.is_none() {
            return Err(damaged());
        }
        Ok(index)
    }
}

/// The sizes of a set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// Total number of pairs.
    pub(super) count: usize,
    /// Pairs per shard.
    pub(super) shard_size: usize,
    /// Number of shards.
    pub(super) shards: usize,
    /// Values per row.
    pub(super) dim: usize,
    /// Shape of one row.
    pub(super) shape: Vec<usize>,
    /// Whether there are classes.
    pub(super) conditional: bool,
}

impl Layout {
    /// The sizes of a described set.
    ///
    /// # Errors
    /// [`TrainError::Pairs`] for counts and shapes that are empty, or too large to address.
    pub(super) fn new(directory: &Path, about: &PairsAbout) -> Result<Self, TrainError> {
        let (count, shard_size, conditional) = (about.count, about.shard_size, about.conditional);
        if count == 0 || shard_size == 0 {
            let problem = format!("it has {count} pairs, {shard_size} per shard; both must be at least 1");
            return Err(broken(directory, problem));
        }
        let axis = |n: &i64| usize::try_from(*n).ok().filter(|n| *n > 0);
        let shape: Option<Vec<usize>> = about.data.shape.iter().map(axis).collect();
        let dim = shape.as_ref().and_then(|shape| shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n)));
        let bytes = dim.and_then(|dim| dim.checked_mul(8)?.checked_add(8)?.checked_mul(count));
        let (Some(shape), Some(dim), Some(_)) = (shape.filter(|shape| !shape.is_empty()), dim, bytes) else {
            let axes: Vec<String> = about.data.shape.iter().take(6).map(i64::to_string).collect();
            let problem = format!("{count} pairs of shape [{}] have no size; make the pairs again", axes.join(", "));
            return Err(broken(directory, problem));
        };
        let shards = count.div_ceil(shard_size);
        if shards > MOST_SHARDS {
            let problem = format!("it has {shards} shards, more than {MOST_SHARDS}; put more pairs into each");
            return Err(broken(directory, problem));
        }
        Ok(Self { count, shard_size, shards, dim, shape, conditional })
    }

    /// Number of pairs in a shard.
    pub(super) fn rows(&self, shard: usize) -> usize {
        self.count.saturating_sub(shard.saturating_mul(self.shard_size)).min(self.shard_size)
    }

    /// The tensors of a shard, with their types and shapes.
    fn tensors(&self, shard: usize) -> Vec<(&'static str, Dtype, Vec<usize>)> {
        let rows = self.rows(shard);
        let shape: Vec<usize> = [rows].into_iter().chain(self.shape.iter().copied()).collect();
        let mut tensors = vec![("x0", Dtype::F32, shape.clone()), ("x1", Dtype::F32, shape)];
        if self.conditional {
            tensors.push(("classes", Dtype::I64, vec![rows]));
        }
        tensors
    }

    /// Bytes of a shard's values.
    fn bytes(&self, shard: usize) -> u64 {
        (self.rows(shard) * (8 * self.dim + if self.conditional { 8 } else { 0 })) as u64
    }

    /// The number of a shard, by its name.
    pub(super) fn number(&self, shard: &ShardMeta) -> Option<usize> {
        let number = shard.name.strip_prefix("shard-")?.strip_suffix(".safetensors")?.parse().ok()?;
        (number < self.shards && shard.name == name(number)).then_some(number)
    }
}

pub(super) fn name(shard: usize) -> String {
    format!("shard-{shard:05}.safetensors")
}

/// Checks a shard's size, hash and tensors, and returns the offsets of the tensors.
pub(super) fn read_shard(directory: &Path, layout: &Layout, shard: &ShardMeta) -> Result<[usize; 3], TrainError> {
    let named = fm_core::message::name(&shard.name);
    let problem = |what: &str| broken(directory, format!("{named} {what}; make the pairs again"));
    let number = layout.number(shard).ok_or_else(|| problem("is not a shard of this set"))?;
    let values = layout.bytes(number);
    let header = shard.bytes.checked_sub(values);
    if header.is_none_or(|header| Budget::admit(&limits::PAIRS_HEADER, header).is_err()) {
        let rows = layout.rows(number);
        return Err(problem(&format!("has {} bytes, which do not fit its {rows} pairs", shard.bytes)));
    }
    let path = directory.join(&shard.name);
    let bytes = files::read_known(&path, shard.bytes).map_err(|e| problem(&format!("cannot be read ({e})")))?;
    if bytes.len() as u64 != shard.bytes || files::sha256(&bytes) != shard.sha256 {
        return Err(problem("does not match its recorded size and hash"));
    }
    let (header, metadata) = SafeTensors::read_metadata(&bytes)
        .map_err(|e| problem(&format!("is damaged ({})", fm_core::message::brief(&e.to_string(), 90))))?;
    let (mut starts, tensors) = ([0; 3], layout.tensors(number));
    if metadata.tensors().len() != tensors.len() {
        return Err(problem("has other tensors than its description"));
    }
    for (start, (name, dtype, shape)) in starts.iter_mut().zip(tensors) {
        let found = metadata.info(name).filter(|found| found.dtype == dtype && found.shape == shape);
        let wrong = || problem(&format!("has no {name} of {dtype:?} {}", fm_core::message::shape(&shape)));
        *start = 8 + header + found.ok_or_else(wrong)?.data_offsets.0;
    }
    Ok(starts)
}

pub(super) fn broken(directory: &Path, problem: String) -> TrainError {
    TrainError::Pairs { path: directory.into(), problem }
}
