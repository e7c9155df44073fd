//! A teacher's pairs: noise x0, and the sample x1 that its ODE maps x0 to. Reflow and distillation
//! train on them.
//!
//! | file | content |
//! |---|---|
//! | `pairs.json` | the teacher, the solver of its ODE, and size and SHA-256 of each shard |
//! | `shard-00000.safetensors`, ... | `x0` and `x1`, (n, shape), f32, and `classes`, (n), int64, for a conditional teacher |
//!
//! A shard is either complete or absent, so a run that was killed continues with the first missing
//! shard. A [`PairSet`] reads rows from the files as needed: its memory does not grow with the
//! number of pairs.

use crate::batch::{Batch, BatchSource};
use crate::checkpoint::DataMeta;
use crate::collective::Shard;
use crate::{TrainError, files, run_dir};
use fm_core::data::{DataError, Order};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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

/// Pairs in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TeacherPairs {
    /// Noise x0, row after row.
    pub x0: Vec<f32>,
    /// Samples x1, row after row.
    pub x1: Vec<f32>,
    /// The class of each pair, for a conditional teacher.
    pub classes: Vec<i64>,
    /// Mean number of function evaluations per pair.
    pub nfe: f64,
}

/// Version of this layout.
const FORMAT: u32 = 1;
const INDEX: &str = "pairs.json";

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    format: u32,
    #[serde(flatten)]
    about: PairsAbout,
    shards: Vec<ShardMeta>,
}

impl Index {
    fn read(directory: &Path) -> Result<Self, TrainError> {
        let path = directory.join(INDEX);
        let text = fs::read_to_string(&path)
            .map_err(|e| broken(directory, format!("{INDEX} cannot be read ({e}); give a directory of pairs")))?;
        let index: Self = serde_json::from_str(&text)
            .map_err(|e| broken(directory, format!("{INDEX} is not ours ({e}); make the pairs again")))?;
        if index.format != FORMAT {
            return Err(broken(directory, format!("its format is {}, this program knows {FORMAT}", index.format)));
        }
        Ok(index)
    }
}

/// Writes pairs, one shard at a time.
#[derive(Debug)]
pub struct PairWriter {
    directory: PathBuf,
    index: Index,
    _lock: File,
}

impl PairWriter {
    /// Starts a set, or continues an existing one. Shards that do not match their hash are dropped
    /// and returned as errors.
    ///
    /// # Errors
    /// [`TrainError::Pairs`] if the directory has pairs of another description,
    /// [`TrainError::Locked`] while another process writes there.
    pub fn open(directory: &Path, about: PairsAbout) -> Result<(Self, Vec<TrainError>), TrainError> {
        fs::create_dir_all(directory).map_err(TrainError::io("create", directory))?;
        let lock = run_dir::lock(directory, "pairs.lock")?;
        files::clean(directory);
        let mut index = Index { format: FORMAT, about, shards: Vec::new() };
        let mut damaged = Vec::new();
        if directory.join(INDEX).exists() {
            let found = Index::read(directory)?;
            if found.about != index.about {
                let problem = "it holds pairs of another teacher or made otherwise; choose another directory";
                return Err(broken(directory, problem.into()));
            }
            for shard in found.shards {
                match read_shard(directory, &shard) {
                    Ok(_) => index.shards.push(shard),
                    Err(error) => damaged.push(error),
                }
            }
        }
        let writer = Self { directory: directory.into(), index, _lock: lock };
        writer.publish()?;
        Ok((writer, damaged))
    }

    /// Indices of missing shards, with the range of their pairs.
    pub fn missing(&self) -> Vec<(usize, Range<usize>)> {
        let (count, size) = (self.index.about.count, self.index.about.shard_size.max(1));
        let there = |k: &usize| self.index.shards.iter().any(|s| s.name == name(*k));
        let all = (0..count.div_ceil(size)).filter(|k| !there(k));
        all.map(|k| (k, k * size..count.min((k + 1).saturating_mul(size)))).collect()
    }

    /// Adds a shard.
    ///
    /// # Errors
    /// [`TrainError::Io`]; shards that were written before stay untouched.
    pub fn write(&mut self, shard: usize, pairs: &TeacherPairs) -> Result<(), TrainError> {
        let (name, about) = (name(shard), &self.index.about);
        let dim = about.data.shape.iter().product::<i64>().max(1) as usize;
        let shape: Vec<usize> =
            [pairs.x0.len() / dim].into_iter().chain(about.data.shape.iter().map(|n| *n as usize)).collect();
        let floats = |x: &[f32]| x.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let (x0, x1) = (floats(&pairs.x0), floats(&pairs.x1));
        let classes: Vec<u8> = pairs.classes.iter().flat_map(|c| c.to_le_bytes()).collect();
        let view = |dtype, shape: &[usize], bytes| {
            TensorView::new(dtype, shape.to_vec(), bytes).map_err(|e| broken(&self.directory, e.to_string()))
        };
        let mut views = vec![("x0", view(Dtype::F32, &shape, &x0)?), ("x1", view(Dtype::F32, &shape, &x1)?)];
        if about.conditional {
            views.push(("classes", view(Dtype::I64, &shape[..1], &classes)?));
        }
        let bytes = safetensors::serialize(views, None).map_err(|e| broken(&self.directory, format!("{name}: {e}")))?;
        files::write(&self.directory.join(&name), &bytes)?;
        let meta = ShardMeta { name, bytes: bytes.len() as u64, sha256: files::sha256(&bytes), nfe: pairs.nfe };
        self.index.shards.push(meta);
        self.index.shards.sort_by(|a, b| a.name.cmp(&b.name));
        self.publish()
    }

    /// Mean number of function evaluations per pair, over all shards.
    pub fn mean_nfe(&self) -> f64 {
        self.index.shards.iter().map(|s| s.nfe).sum::<f64>() / self.index.shards.len().max(1) as f64
    }

    fn publish(&self) -> Result<(), TrainError> {
        let text = serde_json::to_string_pretty(&self.index).map_err(|e| broken(&self.directory, e.to_string()))?;
        files::write(&self.directory.join(INDEX), text.as_bytes())
    }
}

fn name(shard: usize) -> String {
    format!("shard-{shard:05}.safetensors")
}

/// Checks a shard's size and hash, and returns the offsets of its tensors.
fn read_shard(directory: &Path, shard: &ShardMeta) -> Result<[usize; 3], TrainError> {
    let path = directory.join(&shard.name);
    let problem = |what: &str| broken(directory, format!("{} {what}; make the pairs again", shard.name));
    let bytes = fs::read(&path).map_err(|e| problem(&format!("cannot be read ({e})")))?;
    if bytes.len() as u64 != shard.bytes || files::sha256(&bytes) != shard.sha256 {
        return Err(problem("does not match its recorded size and hash"));
    }
    let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| problem(&e.to_string()))?;
    let start = |name: &str| metadata.info(name).map(|info| 8 + header + info.data_offsets.0);
    let missing = || problem("lacks a tensor");
    Ok([start("x0").ok_or_else(missing)?, start("x1").ok_or_else(missing)?, start("classes").unwrap_or(0)])
}

/// Pairs on disk, complete and checked.
#[derive(Debug)]
#[doc(alias = "reflow")]
pub struct PairSet {
    /// The description of the set.
    pub about: PairsAbout,
    directory: PathBuf,
    shards: Vec<(File, [usize; 3])>,
}

impl PairSet {
    /// Opens a set and checks every shard.
    ///
    /// # Errors
    /// [`TrainError::Pairs`] when it is missing, incomplete or damaged.
    pub fn open(directory: &Path) -> Result<Self, TrainError> {
        let Index { about, shards, .. } = Index::read(directory)?;
        let wanted = about.count.div_ceil(about.shard_size.max(1));
        if shards.len() != wanted || wanted == 0 {
            let problem = format!("it has {} of {wanted} shards; run the command that makes them again", shards.len());
            return Err(broken(directory, problem));
        }
        let open = |shard: &ShardMeta| {
            let places = read_shard(directory, shard)?;
            let path = directory.join(&shard.name);
            Ok((File::open(&path).map_err(TrainError::io("open", &path))?, places))
        };
        let shards = shards.iter().map(open).collect::<Result<_, TrainError>>()?;
        Ok(Self { about, directory: directory.into(), shards })
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.about.count
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values per row of x0 and of x1.
    pub fn dim(&self) -> usize {
        self.about.data.shape.iter().product::<i64>() as usize
    }

    /// Adds pair i to the end of `pairs`.
    ///
    /// # Errors
    /// [`TrainError::Pairs`] for an index outside the set, and [`TrainError::Io`].
    pub fn read(&self, i: usize, pairs: &mut TeacherPairs) -> Result<(), TrainError> {
        let size = self.about.shard_size.max(1);
        let (shard, place) = (i / size, i % size);
        let absent =
            || broken(&self.directory, format!("it has {} pairs, numbered from 0, and no pair {i}", self.len()));
        let (file, starts) = self.shards.get(shard).filter(|_| i < self.len()).ok_or_else(absent)?;
        let read = |start: usize, length: usize| {
            let mut bytes = vec![0; length];
            let at = (start + place * length) as u64;
            file.read_exact_at(&mut bytes, at).map_err(TrainError::io("read", &self.directory))?;
            Ok::<_, TrainError>(bytes)
        };
        for (to, start) in [(&mut pairs.x0, starts[0]), (&mut pairs.x1, starts[1])] {
            let bytes = read(start, 4 * self.dim())?;
            to.extend(bytes.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)));
        }
        if self.about.conditional {
            let bytes = read(starts[2], 8)?;
            pairs.classes.extend(bytes.as_chunks::<8>().0.iter().map(|v| i64::from_le_bytes(*v)));
        }
        Ok(())
    }
}

/// Batches of pairs: every pair once per epoch, noise and sample together.
#[derive(Debug)]
pub struct PairBatches<'a> {
    pairs: &'a PairSet,
    order: Order,
    rows: usize,
    conditional: bool,
    shard: Shard,
}

impl<'a> PairBatches<'a> {
    /// Batches of `rows` rows, shuffled by the seed, with classes for a conditional model.
    pub fn new(pairs: &'a PairSet, seed: u64, rows: usize, conditional: bool) -> Self {
        Self { pairs, order: Order::new(seed, pairs.len()), rows, conditional, shard: Shard::default() }
    }

    /// Restricts each batch to the rows of one process.
    pub fn shared(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }
}

impl BatchSource for PairBatches<'_> {
    fn validate(&self) -> Result<(), TrainError> {
        if self.rows == 0 {
            return Err(TrainError::setting("batch size", 0, "give at least 1"));
        }
        if self.pairs.is_empty() {
            return Err(TrainError::setting("number of pairs", 0, "make pairs first"));
        }
        if self.conditional && !self.pairs.about.conditional {
            return Err(TrainError::setting(
                "conditional",
                true,
                "make pairs of a conditional teacher, or train without classes",
            ));
        }
        Ok(())
    }

    fn batch(&self, step: u64) -> Result<Batch, DataError> {
        let mut drawn = TeacherPairs::default();
        let (order, wanted) = (self.order.batch(step, self.rows), self.shard.rows(self.rows));
        for row in &order[wanted.clone()] {
            self.pairs.read(*row, &mut drawn)?;
        }
        let classes = if self.conditional { drawn.classes } else { Vec::new() };
        let (first, whole) = (wanted.start, self.rows);
        let shape = self.pairs.about.data.shape.clone();
        Ok(Batch { step, shape, x0: drawn.x0, x1: drawn.x1, classes, first, whole, ..Batch::default() })
    }
}

fn broken(directory: &Path, problem: String) -> TrainError {
    TrainError::Pairs { path: directory.into(), problem }
}
