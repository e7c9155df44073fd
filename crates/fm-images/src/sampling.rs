//! Samples of images in batches, which are distributed over processes. Sample i depends on the seed
//! and on i alone, whatever the batches and processes are.
//!
//! ```
//! use fm_core::{objective::Objective, source::Source};
//! use fm_images::sampling::{BATCH, Request};
//! use fm_run::guidance::Guide;
//! use fm_solvers::Sampler;
//! let request = Request {
//!     sampler: Sampler::euler(4),
//!     objective: Objective::default(),
//!     source: Source::default(),
//!     guide: Guide::of_scale(1.0),
//!     seed: 7,
//!     shape: vec![1, 2, 2],
//!     count: 3,
//!     classes: Vec::new(),
//!     null_class: None,
//!     batch_size: BATCH,
//! };
//! assert_eq!(request.noise(0, 3)?[8..], request.noise(2, 1)?);
//! # Ok::<(), anyhow::Error>(())
//! ```

use crate::latent::{Autoencoder, to_pixels};
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
pub const BATCH: usize = 250;

/// The samples to draw.
#[derive(Debug, Clone)]
pub struct Request {
    /// Solver and steps.
    pub sampler: Sampler,
    /// The objective that the network was trained with.
    pub objective: Objective,
    /// Its source.
    pub source: Source,
    /// Guidance.
    pub guide: Guide,
    /// The seed of the noise.
    pub seed: u64,
    /// Shape of each sample, (C, H, W).
    pub shape: Vec<i64>,
    /// Number of samples.
    pub count: usize,
    /// The class of each sample; empty for an unconditional model.
    pub classes: Vec<i64>,
    /// The class that stands for none.
    pub null_class: Option<i64>,
    /// Number of samples per batch.
    pub batch_size: usize,
}

impl Request {
    /// Source rows `first..first + rows`.
    ///
    /// # Errors
    /// A source that cannot be drawn from.
    pub fn noise(&self, first: usize, rows: usize) -> Result<Vec<f32>, fm_core::Error> {
        let dim = self.shape.iter().product::<i64>() as usize;
        self.source.sample(Key::new(self.seed, 0, Stream::Sample).from_row(first as u64), rows, dim)
    }

    /// The field of the network for rows `first..first + rows`.
    ///
    /// # Errors
    /// Guidance that suits neither the steps nor the prediction.
    pub fn field<'m>(
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
    ///
    /// # Errors
    /// Both.
    pub fn check(&self, model: &dyn VelocityModel) -> anyhow::Result<()> {
        self.guide.ensure_jumps(&self.sampler, model)?;
        self.guide.options(&self.sampler, &self.objective).map(drop)
    }
}

/// The samples and the cost of drawing them.
#[derive(Debug, Default)]
pub struct Generated {
    /// Values of the images, one after the other, nominally in [-1, 1].
    pub values: Vec<f32>,
    /// The values of the first batch after each step or at given times, if frames were requested.
    pub frames: Vec<Vec<f32>>,
    /// Mean number of evaluations per sample, one entry per batch.
    pub nfe: Vec<f64>,
    /// Number of calls of the network.
    pub calls: usize,
    /// The time that it took.
    pub seconds: f64,
}

/// The samples of one round of all processes.
#[derive(Debug, Default)]
pub struct Turn {
    /// Index of the first sample.
    pub first: usize,
    /// As in [`Generated`].
    pub values: Vec<f32>,
    /// As in [`Generated`].
    pub frames: Vec<Vec<f32>>,
    /// As in [`Generated`].
    pub nfe: Vec<f64>,
    /// As in [`Generated`].
    pub calls: usize,
}

/// Draws the requested samples. Every process of the group gets them; frames are those of the first
/// process.
///
/// # Errors
/// As [`sample_batches`].
pub fn generate(
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
///
/// # Errors
/// Nothing to draw, a solve that fails, values that are not finite, and errors of `take`.
pub fn sample_batches(
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
    /// Decodes samples of a latent space to images.
    ///
    /// # Errors
    /// As [`to_pixels`].
    pub fn decode(&mut self, autoencoder: Option<&Autoencoder>, scale: f64) -> anyhow::Result<()> {
        self.values = to_pixels(autoencoder, scale, std::mem::take(&mut self.values))?;
        let frames = self.frames.drain(..).map(|frame| to_pixels(autoencoder, scale, frame));
        self.frames = frames.collect::<anyhow::Result<_>>()?;
        Ok(())
    }

    /// Mean number of evaluations per sample, over all batches.
    pub fn mean_nfe(&self, count: usize, batch_size: usize) -> f64 {
        let rows = |i: usize| batch_size.min(count - i * batch_size) as f64;
        self.nfe.iter().enumerate().map(|(i, nfe)| nfe * rows(i)).sum::<f64>() / count as f64
    }
}

/// The states that a batch saves.
#[derive(Debug, Clone, Copy)]
pub enum Frames<'a> {
    /// None.
    None,
    /// After each step.
    Steps,
    /// At times from 0 to 1.
    At(&'a [f64]),
}

/// Integrates rows of noise to samples, from sample `first` on.
///
/// # Errors
/// A solve that fails.
pub fn batch(
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
pub fn rows_of(model: &dyn VelocityModel, device: Device, r: &Request) -> anyhow::Result<Vec<f32>> {
    let mut values = Vec::new();
    for first in (0..r.count).step_by(r.batch_size.max(1)) {
        let rows = r.batch_size.min(r.count - first);
        values.extend(to_host(&batch(model, device, r, first, &r.noise(first, rows)?, Frames::None)?.x)?);
    }
    Ok(values)
}
