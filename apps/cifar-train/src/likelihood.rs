//! `cifar-train likelihood`: bits per dimension.

use crate::args::LikelihoodOf;
use crate::model;
use crate::model::{Loaded, load};
use anyhow::ensure;
use fm_data::ImageSet;
use fm_images::data;
use fm_images::likelihood::{PixelModel, bits_of};
use fm_run::likelihood::mean_and_error;
use fm_terminal::println;
use std::process::ExitCode;

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
        let (found, nfe) = bits_of(loaded.of_pixels(), &set, &args.how, first, rows)?;
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

/// Fails for models that have no density on these images.
pub(crate) fn check(loaded: &Loaded, set: &ImageSet) -> anyhow::Result<()> {
    ensure!(
        loaded.autoencoder.is_none(),
        "images have no density under a model of a latent space; ask for the likelihood of a model of pixels"
    );
    model::check_shape(set, loaded)
}

impl Loaded {
    /// This model, if it is one of pixels.
    pub(crate) fn of_pixels(&self) -> PixelModel<'_> {
        PixelModel {
            model: self.model.as_ref(),
            device: self.device,
            objective: &self.config.flow.objective,
            source: &self.source,
            classes: &self.data.classes,
            null_class: self.config.model.null_class(),
        }
    }
}
