//! `tabular-train reflow`: a student learns the pairs of noise and sample that its teacher's ODE makes. The straight lines between them hardly cross,
//! so that the student's paths are nearly straight, and one or two Euler steps will do.

use crate::args::ReflowArgs;
use crate::config::Config;
use crate::draw::{Drawer, values};
use crate::model::{Loaded, load};
use anyhow::{Context, ensure};
use fm_app::couplings::CouplingKind;
use fm_app::objective_args::FlowConfig;
use fm_app::weights::FileArgs;
use fm_core::data::DataError;
use fm_core::objective::Objective;
use fm_core::path::PathKind;
use fm_core::rng::{Key, Stream};
use fm_core::tensor::upload;
use fm_core::time::{TimeKind, Times};
use fm_solvers::sampler::Sampler;
use fm_solvers::sampler::SolverName;
use fm_train::batch::{Batch, BatchSource};
use fm_train::batches::FlowBatches;
use fm_train::collective::Shard;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

pub(crate) fn run(args: &ReflowArgs) -> anyhow::Result<ExitCode> {
    ensure!(args.teacher_steps > 0, "--teacher-steps is 0: give at least one");
    crate::train::start(&args.train, || student(args).map(Some))
}

/// The teacher's configuration with what pairs decide.
fn student(args: &ReflowArgs) -> anyhow::Result<Config> {
    let teacher = open(&args.teacher, &args.train.device)?.config;
    let times = Times { distribution: TimeKind::Warp { s: 0.5 }, ..Times::default() };
    let objective = Objective { path: PathKind::Linear, times, loss_aware_bins: 0, ..teacher.flow.objective };
    let flow = FlowConfig { coupling: CouplingKind::Independent, excess_loss: false, objective, ..teacher.flow };
    Ok(Config {
        teacher: args.teacher.display().to_string(),
        teacher_steps: args.teacher_steps,
        fresh: args.fresh,
        steps: 1000,
        trainable_source: false,
        flow,
        ..teacher
    })
}

/// Loads a teacher, which is a run of this program, onto its student's device.
pub(crate) fn open(path: &Path, device: &str) -> anyhow::Result<Loaded> {
    let opened = load(path, &FileArgs::default(), device);
    opened.with_context(|| format!("{} cannot teach", path.display()))
}

/// Batches of a teacher's pairs: rows of the source and what its ODE makes of them. Classes are those of the data's own batches.
pub(crate) struct Lessons<'a> {
    pub(crate) batches: FlowBatches<'a>,
    /// Behind a lock, because networks do not work for several threads at once.
    pub(crate) teacher: Mutex<Loaded>,
    pub(crate) sampler: Sampler,
    pub(crate) config: &'a Config,
    pub(crate) shard: Shard,
}

impl<'a> Lessons<'a> {
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

impl BatchSource for Lessons<'_> {
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
        let carried = || -> anyhow::Result<Vec<f32>> {
            let drawer = Drawer::of(&teacher, 1.0)?;
            let start = drawer.scaled(&upload(&x0, &[rows as i64, dim as i64], teacher.device));
            let none = |_| start.shallow_clone();
            let drawn =
                self.sampler.run(&drawer.field(&classes), drawer.objective, start.shallow_clone(), none, false)?;
            values(&drawn.x)
        };
        let x1 = tch::no_grad(carried).map_err(|error| format!("{error:#}"))?;
        let shape = vec![dim as i64];
        Ok(Batch { step, shape, x0, x1, classes, first, whole, ..Batch::default() })
    }
}
