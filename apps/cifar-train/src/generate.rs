//! Generates images in batches, which are distributed over processes.

use crate::config::Config;
use anyhow::ensure;
use fm_core::field::RowField;
use fm_core::objective::Objective;
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use fm_core::tensor::{VelocityModel, upload};
use fm_run::guidance::Guide;
use fm_run::host::{ensure_finite, to_host};
use fm_run::process_group::{GeneratedShard, Group};
use fm_solvers::sampler::{Sampler, Samples};
use fm_solvers::sde::{Noise, SeededNoise};
use std::time::Instant;
use tch::{Device, Tensor};

/// Default number of images per batch.
const BATCH: usize = 250;

/// The samples to draw.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) sampler: Sampler,
    /// The objective that the network was trained with.
    pub(crate) objective: Objective,
    pub(crate) source: Source,
    pub(crate) guide: Guide,
    pub(crate) seed: u64,
    pub(crate) shape: Vec<i64>,
    /// Number of samples.
    pub(crate) count: usize,
    /// The class of each sample; empty for an unconditional model.
    pub(crate) classes: Vec<i64>,
    pub(crate) null_class: Option<i64>,
    pub(crate) batch_size: usize,
}

impl Request {
    /// Samples with the settings of a network's configuration, class `i % classes` for sample i.
    pub(crate) fn of(config: &Config, source: &Source, shape: &[i64], count: usize, seed: u64) -> Self {
        let (classes, null_class) = (config.model.classes(), config.model.null_class());
        Self {
            sampler: Sampler::fixed(config.sampling.solver, config.sampling.num_steps),
            objective: config.flow.objective.clone(),
            source: source.clone(),
            guide: if null_class.is_some() { config.sampling.guide() } else { Guide::of_scale(1.0) },
            seed,
            shape: shape.to_vec(),
            count,
            classes: if classes > 0 { (0..count).map(|i| i as i64 % classes).collect() } else { Vec::new() },
            null_class,
            batch_size: BATCH,
        }
    }

    /// Source rows `first..first + rows`.
    pub(crate) fn noise(&self, first: usize, rows: usize) -> Result<Vec<f32>, fm_core::Error> {
        let dim = self.shape.iter().product::<i64>() as usize;
        self.source.sample(Key::new(self.seed, 0, Stream::Sample).from_row(first as u64), rows, dim)
    }

    /// The field of the network for rows `first..first + rows`.
    pub(crate) fn field<'m>(
        &'m self,
        model: &'m dyn VelocityModel,
        device: Device,
        first: usize,
        rows: usize,
    ) -> anyhow::Result<Box<dyn RowField<Tensor> + 'm>> {
        let classes = self.classes.get(first..first + rows).filter(|classes| !classes.is_empty());
        // Without a null class there is no guidance without a class; the scale is 1 then.
        let null_class = self.null_class.unwrap_or(0);
        let conditions = classes.map(|classes| (Tensor::from_slice(classes).to_device(device), null_class));
        self.guide.field(model, conditions, &self.sampler, &self.objective)
    }

    /// Fails if the steps do not suit the model, or the rule of guidance does not suit the steps or
    /// the prediction.
    pub(crate) fn check(&self, model: &dyn VelocityModel) -> anyhow::Result<()> {
        self.guide.ensure_jumps(&self.sampler, model)?;
        self.guide.options(&self.sampler, &self.objective).map(drop)
    }
}

/// The samples and the cost of drawing them.
#[derive(Debug, Default)]
pub(crate) struct Generated {
    /// Values of the images, one after the other, nominally in [-1, 1].
    pub(crate) values: Vec<f32>,
    /// The values of the first batch after each step or at given times, if frames were requested.
    pub(crate) frames: Vec<Vec<f32>>,
    /// Mean number of evaluations per sample, one entry per batch.
    pub(crate) nfe: Vec<f64>,
    /// Number of calls of the network.
    pub(crate) calls: usize,
    pub(crate) seconds: f64,
}

/// The samples of one round of all processes.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Index of the first sample.
    pub(crate) first: usize,
    /// As in [`Generated`].
    pub(crate) values: Vec<f32>,
    pub(crate) frames: Vec<Vec<f32>>,
    pub(crate) nfe: Vec<f64>,
    pub(crate) calls: usize,
}

/// Draws the requested samples. Every process of the group gets them; frames are those of the first
/// process.
pub(crate) fn generate(
    model: &dyn VelocityModel,
    device: Device,
    r: &Request,
    frames: bool,
    group: &Group,
) -> anyhow::Result<Generated> {
    let started = Instant::now();
    let mut out = Generated::default();
    sample_batches(model, device, r, 0, frames, group, |turn| {
        out.values.extend(turn.values);
        out.frames.extend(turn.frames);
        out.nfe.extend(turn.nfe);
        out.calls += turn.calls;
        Ok(())
    })?;
    out.seconds = started.elapsed().as_secs_f64();
    Ok(out)
}

/// Draws the samples from index `start` on, and passes on each round as it completes, so that
/// memory holds at most one batch per process.
pub(crate) fn sample_batches(
    model: &dyn VelocityModel,
    device: Device,
    r: &Request,
    start: usize,
    frames: bool,
    group: &Group,
    mut take: impl FnMut(Turn) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    ensure!(r.count > 0, "there is nothing to draw; ask for at least one sample");
    ensure!(r.batch_size > 0, "--batch-size is 0; give at least one");
    let (dim, shard) = (r.shape.iter().product::<i64>() as usize, group.shard());
    for turn in (start..r.count).step_by(r.batch_size * shard.count) {
        let first = turn + shard.rank * r.batch_size;
        let mut out = Turn { first: turn, ..Turn::default() };
        let mut made = GeneratedShard::default();
        if first < r.count {
            let rows = r.batch_size.min(r.count - first);
            let saved = if frames && first == 0 { Frames::Steps } else { Frames::None };
            let drawn = batch(model, device, r, first, &r.noise(first, rows)?, saved)?;
            out.frames = drawn.frames.iter().map(to_host).collect::<Result<_, _>>()?;
            made = GeneratedShard { values: to_host(&drawn.x)?, about: [drawn.nfe, drawn.calls as f64] };
        }
        let drawn = |first: usize| r.count.min(first + r.batch_size).saturating_sub(first) * dim;
        let mut expected = (turn..).step_by(r.batch_size.max(1)).map(drawn);
        for GeneratedShard { values, about: [nfe, calls] } in group.gather(made, r.batch_size * dim)? {
            ensure!(
                Some(values.len()) == expected.next(),
                "cannot sample: a process returned {} values of its batch; start the same program in all processes",
                values.len()
            );
            if !values.is_empty() {
                out.values.extend(values);
                out.nfe.push(nfe);
                out.calls += calls as usize;
            }
        }
        ensure_finite(&out.values)?;
        take(out)?;
    }
    Ok(())
}

impl Generated {
    /// Mean number of evaluations per sample, over all batches.
    pub(crate) fn mean_nfe(&self, count: usize, batch_size: usize) -> f64 {
        let rows = |i: usize| batch_size.min(count - i * batch_size) as f64;
        self.nfe.iter().enumerate().map(|(i, nfe)| nfe * rows(i)).sum::<f64>() / count as f64
    }
}

/// The states that a batch saves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Frames<'a> {
    None,
    /// After each step.
    Steps,
    /// At times from 0 to 1.
    At(&'a [f64]),
}

/// Integrates rows of noise to samples, from sample `first` on.
pub(crate) fn batch(
    model: &dyn VelocityModel,
    device: Device,
    r: &Request,
    first: usize,
    noise: &[f32],
    frames: Frames<'_>,
) -> anyhow::Result<Samples<Tensor>> {
    let dim = r.shape.iter().product::<i64>() as usize;
    let rows = noise.len() / dim.max(1);
    let shape = [&[rows as i64], r.shape.as_slice()].concat();
    let field = r.field(model, device, first, rows)?;
    let x0 = upload(noise, &shape, device);
    let noise = SeededNoise::of(&x0, r.seed, first as u64);
    Ok(match frames {
        Frames::At(times) => r.sampler.trajectory(&field, &r.objective, x0, |step| noise.batch(step), times)?,
        Frames::Steps => r.sampler.run_by(&field, &r.objective, x0, &noise, true)?,
        Frames::None => r.sampler.run_by(&field, &r.objective, x0, &noise, false)?,
    })
}

/// The values of the requested samples.
///
/// # Errors
/// A sample that is not finite, and errors of the model and of the device.
pub(crate) fn rows_of(model: &dyn VelocityModel, device: Device, r: &Request) -> anyhow::Result<Vec<f32>> {
    let mut values = Vec::new();
    for first in (0..r.count).step_by(r.batch_size.max(1)) {
        let rows = r.batch_size.min(r.count - first);
        values.extend(to_host(&batch(model, device, r, first, &r.noise(first, rows)?, Frames::None)?.x)?);
    }
    Ok(values)
}
