//! Bits per dimension of images under a model of pixels.
//!
//! Levels u = 0, 1, ... are dequantised as x = (u + U(-1/2, 1/2)) / scale - 1, with scale half the
//! largest level. The mean over the noise is then the value that the model was trained on; see
//! [`bits_per_dim`].

use anyhow::ensure;
use fm_core::objective::Objective;
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use fm_core::tensor::{VelocityModel, upload};
use fm_data::ImageSet;
use fm_run::likelihood::{Densities, LikelihoodArgs};
use fm_solvers::guidance::{Guided, Unconditional};
use fm_solvers::likelihood::bits_per_dim;
use rand::Rng;
use tch::{Device, Tensor};

/// A model of pixels, trained with classes or without.
#[derive(Debug, Clone, Copy)]
pub struct PixelModel<'a> {
    /// The network.
    pub model: &'a dyn VelocityModel,
    /// Its device.
    pub device: Device,
    /// The objective that it was trained with.
    pub objective: &'a Objective,
    /// Its source.
    pub source: &'a Source,
    /// The names of its classes, if it has any.
    pub classes: &'a [String],
    /// The class that stands for none.
    pub null_class: Option<i64>,
}

/// Bits per dimension of images `first..first + rows`, and evaluations per image. They do not
/// depend on the batch of an image.
///
/// # Errors
/// Images without the classes of the model, and those of [`LikelihoodArgs::evaluate`].
pub fn bits_of(
    network: PixelModel<'_>,
    set: &ImageSet,
    how: &LikelihoodArgs,
    first: usize,
    rows: usize,
) -> anyhow::Result<(Vec<f64>, f64)> {
    let x = dequantised(set, first, rows, how.seed, network.device);
    let found = densities(how, network, set, first, &x)?;
    let scale = f64::from(set.levels) / 2.0;
    Ok((found.values.iter().map(|log_p| bits_per_dim(*log_p, set.dim(), scale)).collect(), found.nfe))
}

/// Images `first..first + rows` with uniform noise of half a level in both directions, from a
/// separate generator for each image.
fn dequantised(set: &ImageSet, first: usize, rows: usize, seed: u64, device: Device) -> Tensor {
    let scale = f32::from(set.levels) / 2.0;
    let image = |i: usize| {
        let mut rng = Key::new(seed, 0, Stream::Dequantise).generator(i);
        set.image(i).iter().map(move |u| (f32::from(*u) + rng.random::<f32>() - 0.5) / scale - 1.0).collect::<Vec<_>>()
    };
    let values: Vec<f32> = (first..first + rows).flat_map(image).collect();
    upload(&values, &[&[rows as i64], set.shape.map(|n| n as i64).as_slice()].concat(), device)
}

/// Log-densities, conditioned on the label of each image if the model has classes.
fn densities(
    how: &LikelihoodArgs,
    network: PixelModel<'_>,
    set: &ImageSet,
    first: usize,
    x: &Tensor,
) -> anyhow::Result<Densities> {
    let PixelModel { model, device, objective, source, classes, null_class } = network;
    if classes.is_empty() {
        return how.evaluate(&Unconditional(model), objective, source, x, first);
    }
    let rows = x.size()[0] as usize;
    let known = classes == set.classes && set.labels.len() >= first + rows;
    ensure!(known, "the model has classes that these images are not labelled with; give labelled images");
    let labels: Vec<i64> = set.labels[first..first + rows].iter().map(|l| i64::from(*l)).collect();
    let conditions = Tensor::from_slice(&labels).to_device(device);
    let null_class = null_class.unwrap_or(0);
    let field = Guided { model, conditions, null_class, scale: 1.0, interval: (0.0, 1.0) };
    how.evaluate(&field, objective, source, x, first)
}
