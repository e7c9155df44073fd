//! From noise to images, in batches.

use anyhow::ensure;
use fm_app::sampler::Sampler;
use fm_core::objective::Objective;
use fm_core::rng::Stream;
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
    /// Evaluations of the field, one entry a batch.
    pub(crate) evaluations: Vec<usize>,
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
        let (x, evaluations) = batch(model, device, r, first, rows, (frames && first == 0).then_some(&mut out.frames))?;
        out.values.extend(to_host(&x));
        out.evaluations.push(evaluations);
    }
    out.seconds = started.elapsed().as_secs_f64();
    ensure!(
        out.values.iter().all(|v| v.is_finite()),
        "the model drew values that are not finite: its weights are broken"
    );
    Ok(out)
}

fn batch(
    model: &dyn VelocityModel,
    device: Device,
    r: &Request,
    first: usize,
    rows: usize,
    mut frames: Option<&mut Vec<Vec<f32>>>,
) -> anyhow::Result<(Tensor, usize)> {
    let dim: i64 = r.shape.iter().product();
    let noise = r.source.sample(r.seed, 0, Stream::Sample, first as u64, rows, dim as usize);
    let x0 = upload(&noise, &[&[rows as i64], r.shape.as_slice()].concat(), device);
    let observe = |_: f64, x: &Tensor| {
        if let Some(frames) = &mut frames {
            frames.push(to_host(x));
        }
    };
    let solution = match (r.classes.get(first..first + rows), r.null_class) {
        (Some(classes), null) if !classes.is_empty() => {
            let classes = Tensor::from_slice(classes).to_device(device);
            // Without a null class there is nothing to guide away from; the caller allows only scale 1 then.
            let field = Guided { model, classes, null_class: null.unwrap_or(0), scale: r.cfg_scale };
            r.sampler.run(&field, &r.objective, x0, observe)?
        }
        _ => r.sampler.run(&Unconditional(model), &r.objective, x0, observe)?,
    };
    Ok((solution.x, solution.stats.evaluations))
}

fn to_host(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.to_device(Device::Cpu).to_kind(Kind::Float).reshape([-1])).unwrap_or_default()
}
