//! Batches of the pairs of noise and sample that a teacher's ODE makes, for its student.

use crate::args::ModelFileArgs;
use crate::config::Config;
use crate::model::{Loaded, load};
use anyhow::Context;
use fm_core::data::DataError;
use fm_core::rng::{Key, Stream};
use fm_core::tensor::upload;
use fm_run::host::to_host;
use fm_solvers::sampler::{Sampler, SolverName};
use fm_train::batch::{Batch, BatchSource};
use fm_train::batches::FlowBatches;
use fm_train::collective::Shard;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Loads a teacher, which is a run of this program, onto the student's device.
pub(crate) fn open(path: &Path, device: &str) -> anyhow::Result<Loaded> {
    let opened = load(path, &ModelFileArgs::default(), device);
    opened.with_context(|| format!("{} cannot teach", path.display()))
}

/// Batches of a teacher's pairs: source rows and the samples that its ODE maps them to. Their
/// classes are those of the data's batches.
pub(crate) struct TeacherBatches<'a> {
    pub(crate) batches: FlowBatches<'a>,
    /// Behind a lock, because a network cannot be used by several threads at once.
    pub(crate) teacher: Mutex<Loaded>,
    pub(crate) sampler: Sampler,
    pub(crate) config: &'a Config,
    pub(crate) shard: Shard,
}

impl<'a> TeacherBatches<'a> {
    pub(crate) fn new(
        batches: FlowBatches<'a>,
        config: &'a Config,
        shard: Shard,
        device: &str,
    ) -> anyhow::Result<Self> {
        let teacher = Mutex::new(open(Path::new(&config.teacher), device)?);
        let sampler = Sampler::fixed(SolverName::Rk4, config.teacher_steps);
        Ok(Self { batches, teacher, sampler, config, shard })
    }
}

impl BatchSource for TeacherBatches<'_> {
    fn batch(&self, step: u64) -> Result<Batch, DataError> {
        let teacher = self.teacher.lock().unwrap_or_else(PoisonError::into_inner);
        let told = !teacher.columns.classes.is_empty();
        let classes = if told { self.batches.batch(step)?.classes } else { Vec::new() };
        let (dim, whole) = (teacher.dim(), self.config.batch_size);
        let wanted = self.shard.rows(whole);
        let (first, rows) = (wanted.start, wanted.len());
        let x0 =
            teacher.source.sample(Key::new(self.config.seed, step, Stream::Noise).from_row(first as u64), rows, dim);
        let x0 = x0?;
        let carried = || -> anyhow::Result<[Vec<f32>; 2]> {
            let drawer = teacher.drawer();
            let start = drawer.start_of(&upload(&x0, &[rows as i64, dim as i64], teacher.device));
            let none = |_| start.shallow_clone();
            let field = drawer.field(&classes, &self.sampler)?;
            let drawn = self.sampler.run(&field, drawer.objective, start.shallow_clone(), none, false)?;
            Ok([to_host(&start)?, to_host(&drawn.x)?])
        };
        let [start, x1] = tch::no_grad(carried).map_err(|error| format!("{error:#}"))?;
        // A student of a trained source keeps it: its pairs start there.
        let x0 = if self.config.trainable_source { start } else { x0 };
        let shape = vec![dim as i64];
        Ok(Batch { step, shape, x0, x1, classes, first, whole, ..Batch::default() })
    }
}
