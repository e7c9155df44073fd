//! From noise to images, in batches.

use anyhow::ensure;
use fm_app::sampler::{Drawn, Sampler};
use fm_core::objective::Objective;
use fm_core::rng::{Stream, normal_rows};
use fm_core::source::Source;
use fm_core::tensor::{VelocityModel, upload};
use fm_solvers::guidance::{Guided, Unconditional};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

/// What to draw.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) sampler: Sampler,
    /// What the network was trained for.
    pub(crate) objective: Objective,
    pub(crate) source: Source,
    pub(crate) cfg_scale: f64,
    pub(crate) cfg_interval: (f64, f64),
    pub(crate) seed: u64,
    pub(crate) shape: Vec<i64>,
    /// How many.
    pub(crate) count: usize,
    /// The class of each; empty when unconditional.
    pub(crate) classes: Vec<i64>,
    pub(crate) null_class: Option<i64>,
    pub(crate) batch_size: usize,
}

/// What was drawn and what it cost.
#[derive(Debug, Default)]
pub(crate) struct Generated {
    /// Values of the images, one after the other, nominally in [-1, 1].
    pub(crate) values: Vec<f32>,
    /// The same for each step of the first batch, if frames were asked for.
    pub(crate) frames: Vec<Vec<f32>>,
    /// Evaluations of a sample (their mean), one entry a batch.
    pub(crate) nfe: Vec<f64>,
    /// Calls of the network.
    pub(crate) calls: usize,
    pub(crate) seconds: f64,
}

pub(crate) fn generate(
    model: &dyn VelocityModel,
    device: Device,
    r: &Request,
    frames: bool,
) -> anyhow::Result<Generated> {
    ensure!(r.count > 0, "there is nothing to draw: ask for at least one sample");
    ensure!(r.batch_size > 0, "--batch-size is 0: give at least one");
    let started = Instant::now();
    let mut out = Generated::default();
    for first in (0..r.count).step_by(r.batch_size) {
        let rows = r.batch_size.min(r.count - first);
        let drawn = batch(model, device, r, first, rows, frames && first == 0)?;
        out.values.extend(to_host(&drawn.x));
        out.frames.extend(drawn.frames.iter().map(to_host));
        out.nfe.push(drawn.nfe);
        out.calls += drawn.calls;
    }
    out.seconds = started.elapsed().as_secs_f64();
    ensure!(
        out.values.iter().all(|v| v.is_finite()),
        "the model drew values that are not finite: its weights are broken"
    );
    Ok(out)
}

impl Generated {
    /// Evaluations of a sample, over all batches.
    pub(crate) fn mean_nfe(&self, count: usize, batch_size: usize) -> f64 {
        let rows = |i: usize| batch_size.min(count - i * batch_size) as f64;
        self.nfe.iter().enumerate().map(|(i, nfe)| nfe * rows(i)).sum::<f64>() / count as f64
    }
}

fn batch(
    model: &dyn VelocityModel,
    device: Device,
    r: &Request,
    first: usize,
    rows: usize,
    frames: bool,
) -> anyhow::Result<Drawn<Tensor>> {
    let dim: i64 = r.shape.iter().product();
    let noise = r.source.sample(r.seed, 0, Stream::Sample, first as u64, rows, dim as usize);
    let shape = [&[rows as i64], r.shape.as_slice()].concat();
    let x0 = upload(&noise, &shape, device);
    let increments =
        |step| upload(&normal_rows(r.seed, step, Stream::Increment, first as u64, rows, dim as usize), &shape, device);
    match (r.classes.get(first..first + rows), r.null_class) {
        (Some(classes), null) if !classes.is_empty() => {
            let classes = Tensor::from_slice(classes).to_device(device);
            // Without a null class there is nothing to guide away from; the caller allows only scale 1 then.
            let (null_class, scale, interval) = (null.unwrap_or(0), r.cfg_scale, r.cfg_interval);
            let field = Guided { model, classes, null_class, scale, interval };
            r.sampler.run(&field, &r.objective, x0, increments, frames)
        }
        _ => r.sampler.run(&Unconditional(model), &r.objective, x0, increments, frames),
    }
}

fn to_host(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1])).unwrap_or_default()
}
