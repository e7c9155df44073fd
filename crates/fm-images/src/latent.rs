//! The autoencoder in use: maps images to the latent space that a network works in, and back.
//!
//! Latents are the encoder's vectors times a scale that makes their standard deviation 1; the scale
//! is part of the run's configuration. A run in a latent space stores a copy of its autoencoder, so
//! the run directory is sufficient for sampling.

use anyhow::{Context, ensure};
use fm_core::data::{DataError, Dataset, Pick};
use fm_data::ImageSet;
use fm_models::interchange::{self, About};
use fm_models::vqvae::{VqVae, VqVaeConfig};
use fm_run::host::to_host;
use fm_run::weights::is_weights;
use fm_train::checkpoint::{Weights, read_weights};
use fm_train::run_dir::latest_checkpoint;
use ndarray::Array2;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor, nn, no_grad};

/// Name of the copy in a run directory.
pub const FILE: &str = "autoencoder.safetensors";

/// The part of a run's fingerprint that is of its autoencoder.
pub const AUTOENCODER: &str = "autoencoder";

/// Images per batch.
const BATCH: usize = 250;

/// A trained VQ-VAE.
#[derive(Debug)]
pub struct Autoencoder {
    model: VqVae,
    store: nn::VarStore,
}

impl Autoencoder {
    /// Opens the autoencoder of a `cifar-train vqvae` run, or a run's copy.
    ///
    /// # Errors
    /// A path without an autoencoder, and one that does not fit its description.
    pub fn open(path: &Path, device: Device) -> anyhow::Result<Self> {
        let not_one = || format!("{} holds no autoencoder; train one with `cifar-train vqvae`", path.display());
        let (config, tensors): (VqVaeConfig, BTreeMap<String, Tensor>) = if is_weights(path)? {
            let weights = interchange::read(path, None)?;
            let about = weights.about.with_context(not_one)?;
            (serde_json::from_value(about.config).with_context(not_one)?, weights.tensors)
        } else {
            let (path, meta, _) = latest_checkpoint(path)?;
            let config: crate::vqvae::config::Config = serde_json::from_value(meta.config).with_context(not_one)?;
            (config.model, read_weights(&path, Weights::Raw)?)
        };
        let held: usize = tensors.values().map(Tensor::numel).sum();
        ensure!(
            config.parameters()? / 2 <= held as i64,
            "{} describes a larger autoencoder than it holds; train it again",
            path.display()
        );
        let store = nn::VarStore::new(device);
        let model = VqVae::new(&store.root(), &config)?;
        interchange::load(&store, "VQ-VAE", &tensors)?;
        Ok(Self { model, store })
    }

    /// The bytes of the copy that a run stores.
    ///
    /// # Errors
    /// A configuration that is not JSON.
    pub fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let about = About {
            program: format!("cifar-train {}", env!("CARGO_PKG_VERSION")),
            config: serde_json::to_value(self.model.config())?,
            ..About::default()
        };
        Ok(interchange::safetensors(&interchange::named(&self.store), &about)?)
    }

    /// The SHA-256 of the configuration and the weights.
    ///
    /// # Errors
    /// A configuration that is not JSON.
    pub fn sha256(&self) -> anyhow::Result<String> {
        let config = serde_json::to_value(self.config())?;
        let about = About { config, ..About::default() };
        Ok(fm_train::files::sha256(&interchange::safetensors(&interchange::named(&self.store), &about)?))
    }

    /// The configuration of the network.
    pub fn config(&self) -> &VqVaeConfig {
        self.model.config()
    }

    /// The unscaled latent vectors of all images, one row per image.
    ///
    /// # Errors
    /// Images of another shape, and errors of the device.
    pub fn encode(&self, set: &ImageSet, flip: bool) -> anyhow::Result<Array2<f32>> {
        let shape = self.config().image_shape();
        ensure!(
            set.shape.iter().map(|n| *n as i64).eq(shape),
            "the autoencoder is for images of {shape:?}, the data set has {:?}; give images of that shape, or train another",
            set.shape
        );
        let dim = self.config().latent_shape().iter().product::<i64>() as usize;
        let mut latents = Array2::zeros((set.len(), dim));
        for first in (0..set.len()).step_by(BATCH) {
            let rows = BATCH.min(set.len() - first);
            let mut x = vec![0.0; rows * set.dim()];
            for (i, row) in x.chunks_exact_mut(set.dim()).enumerate() {
                set.write_normalised(first + i, flip, row);
            }
            let z = no_grad(|| self.model.encode(&self.upload(&x, &shape)));
            let z = to_host(&z)?;
            latents.slice_mut(ndarray::s![first..first + rows, ..]).iter_mut().zip(z).for_each(|(to, from)| *to = from);
        }
        Ok(latents)
    }

    /// Decodes unscaled latent vectors to images, nominally in [-1, 1].
    ///
    /// # Errors
    /// Errors of the device.
    pub fn decode(&self, latents: &[f32]) -> anyhow::Result<Vec<f32>> {
        let shape = self.config().latent_shape();
        let dim = shape.iter().product::<i64>() as usize;
        let mut images = Vec::new();
        for part in latents.chunks(BATCH * dim) {
            images.extend(to_host(&no_grad(|| self.model.decode(&self.upload(part, &shape))))?);
        }
        Ok(images)
    }

    /// Fraction of the codes that the latents use, and their perplexity.
    pub fn usage(&self, latents: &[f32]) -> (f64, f64) {
        self.model.usage(&self.model.codes(&self.upload(latents, &self.config().latent_shape())))
    }

    fn upload(&self, values: &[f32], shape: &[i64; 3]) -> Tensor {
        let rows = values.len() as i64 / shape.iter().product::<i64>();
        fm_core::tensor::upload(values, &[&[rows], shape.as_slice()].concat(), self.store.device())
    }
}

/// Images from a network's samples: the samples themselves, or decoded latents.
///
/// # Errors
/// As [`Autoencoder::decode`].
pub fn to_pixels(autoencoder: Option<&Autoencoder>, scale: f64, values: Vec<f32>) -> anyhow::Result<Vec<f32>> {
    let Some(autoencoder) = autoencoder else { return Ok(values) };
    autoencoder.decode(&values.iter().map(|v| v / scale as f32).collect::<Vec<_>>())
}

/// The latents of a data set, as a network in a latent space reads them.
#[derive(Debug)]
pub struct Latents {
    /// One row per image.
    pub plain: Array2<f32>,
    /// Latents of the mirrored images, if the run mirrors.
    pub mirrored: Option<Array2<f32>>,
    /// The class of each image; empty without classes.
    classes: Vec<i64>,
    /// The shape of a row.
    shape: [usize; 3],
}

impl Latents {
    /// All latents of a data set, times `scale`; a scale of 0 is replaced by one over their
    /// standard deviation.
    ///
    /// # Errors
    /// As [`Autoencoder::encode`], and latents that are all the same.
    pub fn of(autoencoder: &Autoencoder, set: &ImageSet, flip: bool, scale: &mut f64) -> anyhow::Result<Self> {
        let mut plain = autoencoder.encode(set, false)?;
        if *scale == 0.0 {
            let deviation = fm_core::source::deviation(plain.iter().map(|v| f64::from(*v)));
            ensure!(
                deviation > 0.0 && deviation.is_finite(),
                "the autoencoder gives every image the same latents; train it longer"
            );
            *scale = 1.0 / deviation;
        }
        plain.mapv_inplace(|v| v * *scale as f32);
        let mirrored = flip.then(|| autoencoder.encode(set, true)).transpose()?;
        let classes = (0..set.len()).filter_map(|i| set.class(i)).collect();
        let shape = autoencoder.config().latent_shape().map(|n| n as usize);
        Ok(Self { plain, mirrored: mirrored.map(|z| z * *scale as f32), classes, shape })
    }
}

impl Dataset for Latents {
    fn len(&self) -> usize {
        self.plain.nrows()
    }

    fn dim(&self) -> usize {
        self.plain.ncols()
    }

    fn shape(&self) -> Vec<usize> {
        self.shape.to_vec()
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        self.mirrored.as_ref().filter(|_| pick.mirrored).unwrap_or(&self.plain).write(pick, out)
    }

    fn class(&self, row: usize) -> Option<i64> {
        self.classes.get(row).copied()
    }
}

/// The path of the copy in a checkpoint's run.
///
/// # Errors
/// A run without one.
pub fn copy_of(checkpoint: &Path) -> anyhow::Result<PathBuf> {
    let places = checkpoint.ancestors().take(3).map(|place| place.join(FILE));
    places.into_iter().find(|place| place.is_file()).with_context(|| {
        format!(
            "{} was trained in a latent space, and its run's {FILE} is not there; put it beside",
            checkpoint.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_have_deviation_one_and_decode_to_what_they_were() {
        let mut set = fm_data::digits::load();
        (set.pixels, set.labels) = (set.pixels[..40 * 64].to_vec(), set.labels[..40].to_vec());
        let store = nn::VarStore::new(Device::Cpu);
        let config = VqVaeConfig { image_channels: 1, image_size: [8, 8], ..VqVaeConfig::default() };
        let model = VqVae::new(&store.root(), &config).unwrap();
        let autoencoder = Autoencoder { model, store };
        let raw = autoencoder.encode(&set, false).unwrap();
        // Some of the vectors become the codes, so that the nearest code depends on the scale.
        let vectors = Tensor::from_slice(raw.as_slice().unwrap()).view([40, 4, 16]).permute([0, 2, 1]).reshape([-1, 4]);
        autoencoder.store.variables()["codebook.embed"].shallow_clone().copy_(&vectors.narrow(0, 0, 256));
        let mut scale = 0.0;
        let latents = Latents::of(&autoencoder, &set, true, &mut scale).unwrap();
        let spread = fm_core::source::deviation(latents.plain.iter().map(|v| f64::from(*v)));
        assert!((spread - 1.0).abs() < 1e-5 && (scale - 1.0).abs() > 0.1, "{spread} {scale}");
        let there = autoencoder.decode(raw.as_slice().unwrap()).unwrap();
        let back = to_pixels(Some(&autoencoder), scale, latents.plain.iter().copied().collect()).unwrap();
        let same = there.iter().zip(&back).filter(|(a, b)| (*a - *b).abs() < 1e-4).count();
        assert!(same as f64 > 0.98 * there.len() as f64, "{same} of {}", there.len());
        let mut row = vec![0.0; 64];
        latents.write(Pick { row: 3, mirrored: true }, &mut row).unwrap();
        assert_eq!(row, latents.mirrored.as_ref().unwrap().row(3).to_vec());
        latents.write(Pick { row: 3, mirrored: false }, &mut row).unwrap();
        assert_eq!(row, latents.plain.row(3).to_vec());
    }
}
