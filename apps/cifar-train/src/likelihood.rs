//! `cifar-train likelihood`: bits per dimension.
//!
//! Levels u = 0, 1, ... are dequantised as x = (u + U(-1/2, 1/2)) / scale - 1, with scale half the
//! largest level. The mean over the noise is then the value that the model was trained on; see
//! [`bits_per_dim`].

use crate::args::LikelihoodOf;
use crate::model;
use crate::model::{Loaded, load};
use anyhow::ensure;
use fm_core::rng::{Key, Stream};
use fm_core::tensor::upload;
use fm_data::ImageSet;
use fm_images::data;
use fm_run::likelihood::{LikelihoodArgs, mean_and_error};
use fm_solvers::guidance::{Guided, Unconditional};
use fm_solvers::likelihood::bits_per_dim;
use fm_terminal::println;
use rand::Rng;
use std::process::ExitCode;
use tch::Tensor;

pub(crate) fn run(args: &LikelihoodOf) -> anyhow::Result<ExitCode> {
    let loaded = load(&args.from)?;
    let name = args.data.as_deref().unwrap_or(&loaded.config.data);
    let set = data::open(name, loaded.config.image_size)?;
    check(&loaded, &set)?;
    ensure!(args.num_images > 0 && args.batch_size > 0, "--num-images or --batch-size is 0; both must be at least 1");
    let count = args.num_images.min(set.len());
    let (mut bits, mut evaluations) = (Vec::with_capacity(count), 0.0);
    for first in (0..count).step_by(args.batch_size) {
        let rows = args.batch_size.min(count - first);
        let (found, nfe) = bits_of(&loaded, &set, &args.how, first, rows)?;
        evaluations += nfe * rows as f64;
        bits.extend(found);
    }
    let (mean, error) = mean_and_error(&bits);
    println!(
        "{count} images of {name}: {mean:.4} +- {error:.4} bits per dimension (an upper bound, uniform dequantisation), NFE {:.1}; {}; {}",
        evaluations / count as f64,
        args.how.describe(),
        loaded.weights
    );
    if let Some(path) = &args.out {
        let text: String = bits.iter().map(|b| format!("{b}\n")).collect();
        fm_train::files::output(path, text.as_bytes())?;
        println!("wrote {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Bits per dimension of images `first..first + rows`, and evaluations per image. They do not
/// depend on the batch of an image.
pub(crate) fn bits_of(
    loaded: &Loaded,
    set: &ImageSet,
    how: &LikelihoodArgs,
    first: usize,
    rows: usize,
) -> anyhow::Result<(Vec<f64>, f64)> {
    let x = dequantised(set, first, rows, how.seed, loaded);
    let found = densities(how, loaded, set, first, &x)?;
    let scale = f64::from(set.levels) / 2.0;
    Ok((found.values.iter().map(|log_p| bits_per_dim(*log_p, set.dim(), scale)).collect(), found.nfe))
}

/// Fails for models that have no density on these images.
pub(crate) fn check(loaded: &Loaded, set: &ImageSet) -> anyhow::Result<()> {
    ensure!(
        loaded.autoencoder.is_none(),
        "images have no density under a model of a latent space; ask for the likelihood of a model of pixels"
    );
    model::check_shape(set, loaded)
}

/// Images `first..first + rows` with uniform noise of half a level in both directions, from a
/// separate generator for each image.
fn dequantised(set: &ImageSet, first: usize, rows: usize, seed: u64, loaded: &Loaded) -> Tensor {
    let scale = f32::from(set.levels) / 2.0;
    let image = |i: usize| {
        let mut rng = Key::new(seed, 0, Stream::Dequantise).generator(i);
        set.image(i).iter().map(move |u| (f32::from(*u) + rng.random::<f32>() - 0.5) / scale - 1.0).collect::<Vec<_>>()
    };
    let values: Vec<f32> = (first..first + rows).flat_map(image).collect();
    upload(&values, &[&[rows as i64], loaded.data.shape.as_slice()].concat(), loaded.device)
}

/// Log-densities, conditioned on the label of each image if the model has classes.
fn densities(
    how: &LikelihoodArgs,
    loaded: &Loaded,
    set: &ImageSet,
    first: usize,
    x: &Tensor,
) -> anyhow::Result<fm_run::likelihood::Densities> {
    let (model, objective) = (loaded.model.as_ref(), &loaded.config.flow.objective);
    if loaded.data.classes.is_empty() {
        return how.evaluate(&Unconditional(model), objective, &loaded.source, x, first);
    }
    let rows = x.size()[0] as usize;
    let known = loaded.data.classes == set.classes && set.labels.len() >= first + rows;
    ensure!(known, "the model has classes that these images are not labelled with; give labelled images");
    let labels: Vec<i64> = set.labels[first..first + rows].iter().map(|l| i64::from(*l)).collect();
    let conditions = Tensor::from_slice(&labels).to_device(loaded.device);
    let null_class = loaded.config.model.null_class().unwrap_or(0);
    let field = Guided { model, conditions, null_class, scale: 1.0, interval: (0.0, 1.0) };
    how.evaluate(&field, objective, &loaded.source, x, first)
}
