//! `sample --trajectory`: the states of all samples at equal times from noise to images.

use crate::args::SampleArgs;
use crate::generate::{Frames, Generated, Request, batch};
use crate::model::Loaded;
use anyhow::ensure;
use fm_cli::memory::ensure_fits;
use fm_cli::outputs::save_array;
use fm_run::host::{ensure_finite, to_host};
use fm_run::process_group::Group;
use ndarray::Array5;
use std::path::Path;
use std::time::Instant;

/// The times of the trajectory, if there is one. Requests that do not fit are refused before
/// anything is drawn.
pub(crate) fn times(args: &SampleArgs, request: &Request) -> anyhow::Result<Option<Vec<f64>>> {
    if args.trajectory.is_none() {
        return Ok(None);
    }
    let count = args.trajectory_times;
    ensure!((2..=10_000).contains(&count), "--trajectory-times is {count}; choose 2 to 10000");
    ensure!(request.count > 0 && request.batch_size > 0, "--num-samples or --batch-size is 0; both must be at least 1");
    ensure!(request.sampler.stochastic.is_none(), "a stochastic path has no states between its steps; drop --sde");
    Group::refuse("sample --trajectory")?;
    let dim = request.shape.iter().product::<i64>() as usize;
    // On the device, here and in the file.
    let flag = "number of samples or --trajectory-times";
    ensure_fits("the trajectory", &[count, request.count, dim], 3 * size_of::<f32>(), flag)?;
    Ok(Some((0..count).map(|k| k as f64 / (count - 1) as f64).collect()))
}

/// Draws the samples, and their states ordered by time, then sample. `frames` are those of the
/// first batch.
pub(crate) fn draw(loaded: &Loaded, r: &Request, times: &[f64], frames: bool) -> anyhow::Result<(Generated, Vec<f32>)> {
    let (started, dim) = (Instant::now(), r.shape.iter().product::<i64>() as usize);
    let mut states = vec![0.0; times.len() * r.count * dim];
    let mut out = Generated::default();
    for first in (0..r.count).step_by(r.batch_size) {
        let rows = r.batch_size.min(r.count - first);
        let noise = r.noise(first, rows)?;
        let drawn = batch(loaded.model.as_ref(), loaded.device, r, first, &noise, Frames::At(times))?;
        for (k, frame) in drawn.frames.iter().enumerate() {
            let place = (k * r.count + first) * dim;
            let frame = to_host(frame)?;
            states[place..place + rows * dim].copy_from_slice(&frame);
            if frames && first == 0 {
                out.frames.push(frame);
            }
        }
        out.values.extend(to_host(&drawn.x)?);
        out.nfe.push(drawn.nfe);
        out.calls += drawn.calls;
    }
    ensure_finite(&states)?;
    out.seconds = started.elapsed().as_secs_f64();
    Ok((out, states))
}

/// Writes the states; those of a latent space are decoded.
pub(crate) fn write(path: &Path, loaded: &Loaded, times: usize, states: Vec<f32>) -> anyhow::Result<()> {
    let decoded = if loaded.autoencoder.is_some() {
        let each = states.len() / times;
        let images: Result<Vec<_>, _> = states.chunks(each.max(1)).map(|now| loaded.to_pixels(now.to_vec())).collect();
        images?.concat()
    } else {
        states
    };
    let shape = loaded.image_shape();
    let side = |i: usize| shape[i] as usize;
    let rows = decoded.len() / times / shape.iter().product::<i64>() as usize;
    let array = Array5::from_shape_vec((times, rows, side(0), side(1), side(2)), decoded)?;
    save_array(path, &array)
}
