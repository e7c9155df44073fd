//! The states of samples at given times from noise to images.

use crate::latent::{Autoencoder, to_pixels};
use crate::sampling::{Frames, Generated, Request, batch};
use fm_cli::outputs::save_array;
use fm_core::tensor::VelocityModel;
use fm_run::host::{ensure_finite, to_host};
use ndarray::Array5;
use std::path::Path;
use std::time::Instant;
use tch::Device;

/// Draws the samples, and their states ordered by time, then sample. `frames` are those of the
/// first batch.
///
/// # Errors
/// A solve that fails, and values that are not finite.
pub fn draw(
    model: &dyn VelocityModel,
    device: Device,
    r: &Request,
    times: &[f64],
    frames: bool,
) -> anyhow::Result<(Generated, Vec<f32>)> {
    let (started, dim) = (Instant::now(), r.shape.iter().product::<i64>() as usize);
    let mut states = vec![0.0; times.len() * r.count * dim];
    let mut out = Generated::default();
    for first in (0..r.count).step_by(r.batch_size) {
        let rows = r.batch_size.min(r.count - first);
        let noise = r.noise(first, rows)?;
        let drawn = batch(model, device, r, first, &noise, Frames::At(times))?;
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

/// Writes the states as an array (T, N, C, H, W) of images of this shape; those of a latent space
/// are decoded.
///
/// # Errors
/// A file that cannot be written, and errors of the autoencoder.
pub fn write(
    path: &Path,
    (autoencoder, scale): (Option<&Autoencoder>, f64),
    shape: &[i64],
    times: usize,
    states: Vec<f32>,
) -> anyhow::Result<()> {
    let decoded = if autoencoder.is_some() {
        let each = states.len() / times;
        let decode = |now: &[f32]| to_pixels(autoencoder, scale, now.to_vec());
        let images: Result<Vec<_>, _> = states.chunks(each.max(1)).map(decode).collect();
        images?.concat()
    } else {
        states
    };
    let side = |i: usize| shape[i] as usize;
    let rows = decoded.len() / times / shape.iter().product::<i64>() as usize;
    let array = Array5::from_shape_vec((times, rows, side(0), side(1), side(2)), decoded)?;
    save_array(path, &array)
}
