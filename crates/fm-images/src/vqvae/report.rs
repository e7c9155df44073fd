//! The reconstruction error of an autoencoder, as images and compared with a palette of sixteen
//! colours.

use super::config::Config;
use crate::latent::Autoencoder;
use fm_core::tensor::upload;
use fm_data::ImageSet;
use fm_metrics::palette::palette_error;
use fm_models::vqvae::VqVae;
use fm_terminal::println;
use ndarray::Array2;
use serde_json::json;
use std::path::Path;
use tch::{Device, no_grad};

/// A row of images above a row of their reconstructions, repeated four times.
pub(super) fn side_by_side(model: &VqVae, set: &ImageSet, device: Device) -> anyhow::Result<(Vec<u8>, usize)> {
    let (columns, dim) = (set.len().min(12), set.dim());
    let mut pixels = Vec::new();
    for first in (0..4).map(|k| k * columns).filter(|first| first + columns <= set.len()) {
        let mut x = vec![0.0; columns * dim];
        for (i, row) in x.chunks_exact_mut(dim).enumerate() {
            set.write_normalised(first + i, false, row);
        }
        let shape = [&[columns as i64], model.config().image_shape().as_slice()].concat();
        let decoded = no_grad(|| model.reconstruct(&upload(&x, &shape, device), false).images);
        pixels.extend(&set.pixels[first * dim..(first + columns) * dim]);
        pixels.extend(set.denormalise(&Vec::<f32>::try_from(decoded.to_device(Device::Cpu).reshape([-1]))?));
    }
    Ok((pixels, columns))
}

/// Number of pixels that the palette is fitted to.
const PALETTE_PIXELS: usize = 200_000;

/// Reconstruction error, used codes, and the error and rate of a palette of sixteen colours.
pub(super) fn report(
    out: &Path,
    config: &Config,
    set: &ImageSet,
    test: Option<(&str, &ImageSet)>,
) -> anyhow::Result<serde_json::Value> {
    let autoencoder = Autoencoder::open(out, fm_run::device::select(&config.device)?)?;
    let mut all = Vec::new();
    for (name, set) in [Some((config.data.as_str(), set)), test].into_iter().flatten() {
        let (error, share, perplexity) = autoencoder.measure(set)?;
        let (palette, palette_bits) = (sixteen_colours(set)?, 4.0 * (set.dim() / set.shape[0]) as f64);
        println!(
            "error     {error:.5} on {} images of {name} (mean square, values in [-1, 1]) at {:.0} bits an image; a palette of 16 colours: \
             {palette:.5} at {palette_bits:.0} bits",
            set.len(),
            config.model.bits()
        );
        println!(
            "codes     {:.1} % of {} in use, perplexity {perplexity:.1}",
            100.0 * share,
            config.model.codebook.codes
        );
        all.push(json!({
            "data": name, "images": set.len(), "error": error, "bits": config.model.bits(), "palette_error": palette,
            "palette_bits": palette_bits, "codes": config.model.codebook.codes, "used": share, "perplexity": perplexity,
        }));
    }
    Ok(all.into())
}

/// The error of the best sixteen colours for the whole set, in the units of the autoencoder's
/// error.
fn sixteen_colours(set: &ImageSet) -> anyhow::Result<f64> {
    let [channels, height, width] = set.shape;
    let (area, scale) = (height * width, 2.0 / f32::from(set.levels.max(1)));
    let every = (set.len() * area).div_ceil(PALETTE_PIXELS).max(1);
    let chosen: Vec<usize> = (0..set.len() * area).step_by(every).collect();
    let value = |i: usize, c: usize| f32::from(set.image(i / area)[c * area + i % area]) * scale - 1.0;
    let pixels = Array2::from_shape_fn((chosen.len(), channels), |(row, c)| value(chosen[row], c));
    Ok(palette_error(pixels.view(), 16)?)
}

impl Autoencoder {
    /// Mean squared error of all images, fraction of codes in use, and their perplexity.
    fn measure(&self, set: &ImageSet) -> anyhow::Result<(f64, f64, f64)> {
        let latents = self.encode(set, false)?;
        let decoded = self.decode(latents.as_slice().unwrap_or_default())?;
        let (dim, mut row) = (set.dim(), vec![0.0; set.dim()]);
        let mut total = 0.0;
        for (i, image) in decoded.chunks_exact(dim).enumerate() {
            set.write_normalised(i, false, &mut row);
            total += row.iter().zip(image).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        }
        let (share, perplexity) = self.usage(latents.as_slice().unwrap_or_default());
        Ok((total / decoded.len().max(1) as f64, share, perplexity))
    }
}
