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

mod index;

pub use index::{PairsAbout, ShardMeta};

use crate::TrainError;
use crate::batch::{Batch, BatchSource};
use crate::collective::Shard;
use crate::files::{self, Lock};
use crate::run_dir;
use fm_core::data::{DataError, Order};
use index::{FORMAT, INDEX, Index, Layout, broken, name, read_shard};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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

/// Writes pairs, one shard at a time.
#[derive(Debug)]
pub struct PairWriter {
    directory: PathBuf,
    index: Index,
    layout: Layout,
    _lock: Lock,
}

const LOCK: &str = "pairs.lock";

impl PairWriter {
    /// Starts a set, or continues an existing one. Shards that do not match their hash are dropped
    /// and returned as errors.
    ///
    /// # Errors
    /// [`TrainError::Pairs`] if the directory has pairs of another description, or files of
    /// something else, or if the description has no size; [`TrainError::Locked`] while another
    /// process writes there. Then nothing changes but the lock file.
    pub fn open(directory: &Path, about: PairsAbout) -> Result<(Self, Vec<TrainError>), TrainError> {
        let layout = Layout::new(directory, &about)?;
        refuse_foreign(directory)?;
        refuse_run(directory)?;
        fs::create_dir_all(directory).map_err(TrainError::io("create", directory))?;
        let lock = files::lock(directory, LOCK)?;
        let mut index = Index { format: FORMAT, about, shards: Vec::new() };
        let mut damaged = Vec::new();
        if fs::symlink_metadata(directory.join(INDEX)).is_ok() {
            let found = Index::read(directory)?;
            if found.about != index.about {
                let problem = "it holds pairs of another teacher or made otherwise; choose another directory";
                return Err(broken(directory, problem.into()));
            }
            for shard in found.shards {
                match read_shard(directory, &layout, &shard) {
                    Ok(_) if index.shards.iter().any(|known| known.name == shard.name) => {}
                    Ok(_) => index.shards.push(shard),
                    Err(error) => damaged.push(error),
                }
            }
        }
        lock.clean(&[]);
        let writer = Self { directory: directory.into(), index, layout, _lock: lock };
        writer.publish()?;
        Ok((writer, damaged))
    }

    /// Indices of missing shards, with the range of their pairs.
    pub fn missing(&self) -> Vec<(usize, Range<usize>)> {
        let there: HashSet<_> = self.index.shards.iter().filter_map(|shard| self.layout.number(shard)).collect();
        let all = (0..self.layout.shards).filter(|shard| !there.contains(shard));
        let start = |shard: usize| shard * self.layout.shard_size;
        all.map(|shard| (shard, start(shard)..start(shard) + self.layout.rows(shard))).collect()
    }

    /// Adds a shard.
    ///
    /// # Errors
    /// [`TrainError::Io`], and [`TrainError::Pairs`] for another number of values than the shard
    /// has; shards that were written before stay untouched.
    pub fn write(&mut self, shard: usize, pairs: &TeacherPairs) -> Result<(), TrainError> {
        let (name, rows) = (name(shard), self.layout.rows(shard));
        let (values, labels) = (rows * self.layout.dim, if self.layout.conditional { rows } else { 0 });
        if shard >= self.layout.shards
            || [pairs.x0.len(), pairs.x1.len()] != [values; 2]
            || pairs.classes.len() != labels
        {
            let (x0, x1, classes) = (pairs.x0.len(), pairs.x1.len(), pairs.classes.len());
            let problem = format!(
                "{name} takes {values} values of x0 and of x1 and {labels} classes, not {x0}, {x1} and {classes}; give the pairs of missing()"
            );
            return Err(broken(&self.directory, problem));
        }
        let shape: Vec<usize> = [rows].into_iter().chain(self.layout.shape.iter().copied()).collect();
        let floats = |x: &[f32]| x.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let (x0, x1) = (floats(&pairs.x0), floats(&pairs.x1));
        let classes: Vec<u8> = pairs.classes.iter().flat_map(|c| c.to_le_bytes()).collect();
        let view = |dtype, shape: &[usize], bytes| {
            TensorView::new(dtype, shape.to_vec(), bytes).map_err(|e| broken(&self.directory, e.to_string()))
        };
        let mut views = vec![("x0", view(Dtype::F32, &shape, &x0)?), ("x1", view(Dtype::F32, &shape, &x1)?)];
        if self.layout.conditional {
            views.push(("classes", view(Dtype::I64, &shape[..1], &classes)?));
        }
        let bytes = safetensors::serialize(views, None)
            .map_err(|e| broken(&self.directory, format!("{name}: {e}; please report this")))?;
        files::write(&self.directory.join(&name), &bytes)?;
        let meta = ShardMeta { name, bytes: bytes.len() as u64, sha256: files::sha256(&bytes), nfe: pairs.nfe };
        self.index.shards.retain(|other| other.name != meta.name);
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
        files::write(&self.directory.join(INDEX), files::with_checksum(&text).as_bytes())
    }
}

/// Refuses a directory that has files and no description of pairs; a killed process may have left
/// its lock.
fn refuse_foreign(directory: &Path) -> Result<(), TrainError> {
    let entries = match fs::read_dir(directory) {
        // Creating the directory names the reason.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        entries => entries.map_err(TrainError::io("read", directory))?,
    };
    let names: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    let known = |name: &&String| name.starts_with('.') || [LOCK, "lost+found"].contains(&name.as_str());
    match names.iter().find(|name| !known(name)) {
        Some(name) if !names.iter().any(|name| name == INDEX) => {
            let name = fm_core::message::name(name);
            Err(broken(directory, format!("it holds {name} and no {INDEX}; choose a new directory")))
        }
        _ => Ok(()),
    }
}

/// Refuses a directory inside a run, which has no files but its own.
fn refuse_run(directory: &Path) -> Result<(), TrainError> {
    let whole = std::path::absolute(directory).map_err(TrainError::io("open", directory))?;
    match whole.ancestors().skip(1).find(|place| run_dir::is_marked(place)) {
        Some(run) => {
            let run = fm_core::message::name(&run.display().to_string());
            Err(broken(directory, format!("it is inside the run {run}; choose a directory outside of it")))
        }
        None => Ok(()),
    }
}

/// Pairs on disk, complete and checked.
#[derive(Debug)]
#[doc(alias = "reflow")]
pub struct PairSet {
    /// The description of the set.
    pub about: PairsAbout,
    directory: PathBuf,
    layout: Layout,
    shards: Vec<(File, [usize; 3])>,
}

impl PairSet {
    /// Opens a set and checks every shard.
    ///
    /// # Errors
    /// [`TrainError::Pairs`] when it is missing, incomplete or damaged.
    pub fn open(directory: &Path) -> Result<Self, TrainError> {
        let Index { about, shards, .. } = Index::read(directory)?;
        let layout = Layout::new(directory, &about)?;
        if shards.len() != layout.shards {
            let (found, wanted) = (shards.len(), layout.shards);
            let problem = format!("it has {found} of {wanted} shards; run the command that makes them again");
            return Err(broken(directory, problem));
        }
        let open = |(number, shard): (usize, &ShardMeta)| {
            if layout.number(shard) != Some(number) {
                let problem = format!("{INDEX} does not list {} once, in order; make the pairs again", name(number));
                return Err(broken(directory, problem));
            }
            let places = read_shard(directory, &layout, shard)?;
            let path = directory.join(&shard.name);
            let file =
                files::open_plain(&path, OpenOptions::new().read(true)).map_err(TrainError::io("open", &path))?;
            Ok((file, places))
        };
        let shards = shards.iter().enumerate().map(open).collect::<Result<_, TrainError>>()?;
        Ok(Self { about, directory: directory.into(), layout, shards })
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.layout.count
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values per row of x0 and of x1.
    pub fn dim(&self) -> usize {
        self.layout.dim
    }

    /// Adds pair i to the end of `pairs`.
    ///
    /// # Errors
    /// [`TrainError::Pairs`] for an index outside the set, or a class outside the named ones;
    /// [`TrainError::Io`]. Then `pairs` does not change.
    pub fn read(&self, i: usize, pairs: &mut TeacherPairs) -> Result<(), TrainError> {
        let (shard, place) = (i / self.layout.shard_size, i % self.layout.shard_size);
        let absent = || {
            broken(
                &self.directory,
                format!("it has {} pairs, numbered from 0, and no pair {i}; ask for one of these", self.len()),
            )
        };
        let (file, starts) = self.shards.get(shard).filter(|_| i < self.len()).ok_or_else(absent)?;
        let read = |start: usize, length: usize| {
            let mut bytes = vec![0; length];
            let at = (start + place * length) as u64;
            file.read_exact_at(&mut bytes, at).map_err(TrainError::io("read", &self.directory))?;
            Ok::<_, TrainError>(bytes)
        };
        let (x0, x1) = (read(starts[0], 4 * self.dim())?, read(starts[1], 4 * self.dim())?);
        let class = self.layout.conditional.then(|| read(starts[2], 8)).transpose()?.unwrap_or_default();
        let class: Vec<i64> = class.as_chunks::<8>().0.iter().map(|v| i64::from_le_bytes(*v)).collect();
        let named = self.about.data.classes.len();
        if let Some(class) = class.iter().find(|class| named > 0 && !(0..named as i64).contains(*class)) {
            let problem = format!("pair {i} has class {class} of {named}; make the pairs again");
            return Err(broken(&self.directory, problem));
        }
        for (to, bytes) in [(&mut pairs.x0, x0), (&mut pairs.x1, x1)] {
            to.extend(bytes.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)));
        }
        pairs.classes.extend(class);
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
        if self.conditional && !self.pairs.layout.conditional {
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
        let shape = self.pairs.layout.shape.iter().map(|n| *n as i64).collect();
        Ok(Batch { step, shape, x0: drawn.x0, x1: drawn.x1, classes, first, whole, ..Batch::default() })
    }
}
