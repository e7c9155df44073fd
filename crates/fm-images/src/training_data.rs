//! The training data: images, their latents, or a teacher's pairs.
//!
//! ```
//! use fm_images::training_data::{Material, DataOptions};
//! let options = DataOptions { data: "digits".into(), image_size: 8, hold_out: 0.1, ..DataOptions::default() };
//! let material = Material::open(&options, None, tch::Device::Cpu)?;
//! assert_eq!((material.len(), material.held.len(), material.shape), (1617, 180, [1, 8, 8]));
//! # Ok::<(), anyhow::Error>(())
//! ```

use crate::data;
use crate::latent::{self, AUTOENCODER, Autoencoder, Latents};
use anyhow::{Context, ensure};
use fm_core::FlowMatching;
use fm_core::coupling::ChooseRows;
use fm_core::data::Dataset;
use fm_core::rng::{Key, Stream};
use fm_core::source::Source;
use fm_data::ImageSet;
use fm_data::augment::ImageAugment;
use fm_train::TrainError;
use fm_train::batch::BatchSource;
use fm_train::batches::{BatchOptions, FlowBatches};
use fm_train::collective::Shard;
use fm_train::device_dataset::DeviceDataset;
use fm_train::fingerprint::fingerprint;
use fm_train::pairs::{PairBatches, PairSet};
use fm_train::run_dir::latest_checkpoint;
use ndarray::Array2;
use rand::seq::SliceRandom;
use std::path::{Path, PathBuf};
use tch::Device;

/// Maximum size of a data set that is kept on a GPU by default, in bytes.
const FITS: usize = 2 << 30;

/// The data options of a run.
#[derive(Debug, Clone, Default)]
pub struct DataOptions {
    /// The images, by name.
    pub data: String,
    /// Height and width at which images of a folder are read.
    pub image_size: u32,
    /// The directory of a teacher's pairs, which replace the images; empty for none.
    pub pairs: String,
    /// The run of an autoencoder; empty for pixels.
    pub latent: String,
    /// Factor on latents; 0 is replaced by one over their standard deviation.
    pub latent_scale: f64,
    /// Share of the images to hold out.
    pub hold_out: f64,
    /// Mirror images at random.
    pub mirror: bool,
    /// Pixels by which images are padded before a random window is cut out.
    pub crop: usize,
    /// The largest random rotation, in degrees.
    pub rotation: f64,
    /// The largest random move, in pixels.
    pub translation: usize,
    /// The seed that chooses the held-out images.
    pub seed: u64,
}

/// The data of a run.
#[derive(Debug)]
pub struct Material {
    /// The training images; for pairs, only their shape, range and classes.
    pub set: ImageSet,
    /// The held-out images.
    pub held: ImageSet,
    /// The autoencoder of a run in a latent space.
    pub autoencoder: Option<Autoencoder>,
    /// The factor on latents, measured if it was left open.
    pub latent_scale: f64,
    latents: Option<Latents>,
    held_latents: Option<Latents>,
    pairs: Option<PairSet>,
    /// The shape of a row of the network's input.
    pub shape: [usize; 3],
    augment: ImageAugment,
}

impl Material {
    /// Opens the data, and measures the scale of latents if it is left open. A resumed run has its
    /// own autoencoder.
    ///
    /// # Errors
    /// Data that cannot be read, an autoencoder of other images, and a share that leaves no image
    /// to train on.
    pub fn open(options: &DataOptions, resumed: Option<&Path>, device: Device) -> anyhow::Result<Self> {
        let place = resumed.map_or_else(|| PathBuf::from(&options.latent), |run| run.join(latent::FILE));
        let autoencoder = (!options.latent.is_empty()).then(|| Autoencoder::open(&place, device)).transpose()?;
        let pairs = (!options.pairs.is_empty()).then(|| PairSet::open(Path::new(&options.pairs))).transpose()?;
        let set = match &pairs {
            Some(pairs) => {
                let shape = autoencoder
                    .as_ref()
                    .map_or_else(|| pairs.about.data.shape.clone(), |a| a.config().image_shape().to_vec());
                data::without_images(&pairs.about.data, &shape)
            }
            None => match resumed {
                Some(run) => {
                    let (_, meta, _) = latest_checkpoint(run)?;
                    data::open_again(&options.data, options.image_size, &meta.data.classes)?
                }
                None => data::open(&options.data, options.image_size)?,
            },
        };
        let (set, held) = split(set, options.hold_out, options.seed)?;
        let mut scale = options.latent_scale;
        let mut encode = |set, flip| {
            let encoder = autoencoder.as_ref().filter(|_| pairs.is_none());
            encoder.map(|a| Latents::of(a, set, flip, &mut scale)).transpose()
        };
        let latents = encode(&set, options.mirror)?;
        let held_latents = if held.is_empty() { None } else { encode(&held, false)? };
        let shape = autoencoder.as_ref().map_or(set.shape, |a| a.config().latent_shape().map(|n| n as usize));
        let augment = ImageAugment {
            shape: set.shape,
            crop: options.crop,
            rotation: options.rotation,
            translation: options.translation,
        };
        augment
            .validate()
            .context("cannot augment the images (--random-crop, --random-rotation, --random-translation)")?;
        Ok(Self { set, held, autoencoder, latent_scale: scale, latents, held_latents, pairs, shape, augment })
    }

    /// Number of rows per epoch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.as_ref().map_or(self.set.len(), PairSet::len)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The fingerprint of the images, or of the description of the pairs, of held-out images, of
    /// the source's rows and of the autoencoder.
    ///
    /// # Errors
    /// Rows that cannot be read.
    pub fn fingerprint(&self, source: &Source) -> anyhow::Result<String> {
        let mut parts = match &self.pairs {
            Some(pairs) => fm_train::files::sha256(&serde_json::to_vec(&pairs.about)?),
            None => fingerprint(&self.set)?,
        };
        if !self.held.is_empty() {
            parts += &format!(" held={}", fingerprint(&self.held)?);
        }
        if let Source::Rows(rows) = source {
            parts += &format!(" source={}", fingerprint(rows)?);
        }
        if let Some(autoencoder) = &self.autoencoder {
            parts += &format!(" {AUTOENCODER}={}", autoencoder.sha256()?);
        }
        Ok(parts)
    }

    /// The training rows, without augmentation; of a run on pairs none.
    pub fn dataset(&self) -> &dyn Dataset {
        self.latents.as_ref().map_or(&self.set, |latents| latents)
    }

    /// The held-out rows.
    pub fn held_out(&self) -> &dyn Dataset {
        self.held_latents.as_ref().map_or(&self.held, |latents| latents)
    }

    /// All rows of the data, in the units of the network.
    pub fn rows(&self) -> Array2<f32> {
        self.latents.as_ref().map_or_else(|| data::matrix(&self.set), |latents| latents.plain.clone())
    }

    /// The standard deviation of all values.
    pub fn deviation(&self) -> f64 {
        match &self.latents {
            Some(latents) => fm_core::source::deviation(latents.plain.iter().map(|v| f64::from(*v))),
            None => data::deviation(&self.set),
        }
    }

    /// The images on the device, if they are to be kept there; by default on a GPU, if they take at
    /// most 2 GiB.
    ///
    /// # Errors
    /// A set without images.
    pub fn resident(&self, keep: Option<bool>, device: Device) -> Result<Option<DeviceDataset>, TrainError> {
        let wanted = keep.unwrap_or_else(|| device.is_cuda() && self.set.pixels.len() <= FITS);
        let wanted = wanted && !self.augment.is_active();
        let set = Some(&self.set).filter(|_| wanted && self.latents.is_none() && self.pairs.is_none());
        set.map(|set| DeviceDataset::new(&set.pixels, set.shape, set.levels, device)).transpose()
    }

    /// The batches of a run, restricted to the rows of one process.
    ///
    /// # Errors
    /// Options that do not suit the data.
    pub fn batches<'a>(
        &'a self,
        flow: &'a FlowMatching,
        options: BatchOptions,
        choice: Choice<'a>,
        shard: Shard,
    ) -> anyhow::Result<Box<dyn BatchSource + 'a>> {
        if let Some(pairs) = &self.pairs {
            let batches = PairBatches::new(pairs, flow.seed, options.rows, options.conditional);
            return Ok(Box::new(batches.shared(shard)));
        }
        let mut batches = FlowBatches::new(flow, self.dataset(), options)?.shared(shard);
        batches = match choice {
            Choice::Order => batches,
            Choice::Workers(chooser) => batches.chosen_by(chooser)?,
            Choice::Device => batches.chosen_on_device()?,
        };
        if self.augment.is_active() {
            batches = batches.augmented(&self.augment)?;
        }
        Ok(Box::new(batches))
    }

    /// Additional files that the run stores, by name.
    ///
    /// # Errors
    /// An autoencoder that cannot be written.
    pub fn files(&self) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
        let copy = |a: &Autoencoder| Ok((latent::FILE, a.bytes().context("cannot copy the autoencoder")?));
        self.autoencoder.iter().map(copy).collect()
    }
}

/// How the data rows of a batch are chosen.
pub enum Choice<'a> {
    /// In the shuffled order of the epoch.
    Order,
    /// By the source rows, on the worker threads.
    Workers(&'a dyn ChooseRows),
    /// By the source rows, on the device that holds the data.
    Device,
}

/// Training and held-out images. The choice is a function of the seed.
fn split(set: ImageSet, share: f64, seed: u64) -> anyhow::Result<(ImageSet, ImageSet)> {
    let count = (set.len() as f64 * share).round() as usize;
    ensure!(
        count < set.len() || count == 0,
        "hold_out is {share}: of {} images none would be left; give a smaller --hold-out",
        set.len()
    );
    if count == 0 {
        let none = set.select(&[]);
        return Ok((set, none));
    }
    let mut order: Vec<usize> = (0..set.len()).collect();
    order.shuffle(&mut Key::new(seed, u64::MAX, Stream::Order).generator(0));
    let (held, kept) = order.split_at_mut(count);
    // In the order of the data set.
    [&mut *held, &mut *kept].into_iter().for_each(|rows| rows.sort_unstable());
    Ok((set.select(kept), set.select(held)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_ot::CouplingKind;
    use fm_run::objective_args::FlowConfig;
    use fm_train::batch::Batch;

    /// A run on the embedded digits, as the preset `quickstart` has them.
    struct Run {
        flow: FlowConfig,
        options: BatchOptions,
    }

    fn batch(step: u64, change: impl FnOnce(&mut Run)) -> Batch {
        let options = BatchOptions { rows: 64, conditional: true, dropped: Some((10, 0.1)), ..BatchOptions::default() };
        let mut run = Run { flow: FlowConfig::default(), options };
        change(&mut run);
        let options =
            DataOptions { data: "digits".into(), image_size: 8, mirror: run.options.mirror, ..DataOptions::default() };
        let material = Material::open(&options, None, Device::Cpu).unwrap();
        let flow = run.flow.flow(Source::default(), 0, true, &fm_ot::Reports::default()).unwrap();
        material.batches(&flow, run.options, Choice::Order, Shard::default()).unwrap().batch(step).unwrap()
    }

    #[test]
    fn labels_are_dropped_row_by_row_at_the_asked_rate() {
        let dropped = |step| {
            let batch = batch(step, |run| run.options.rows = 1000);
            batch.classes.iter().filter(|c| **c == 10).count()
        };
        let dropped: Vec<usize> = (0..20).map(dropped).collect();
        let total: usize = dropped.iter().sum();
        assert!((total as f64 - 2000.0).abs() < 4.0 * 1800f64.sqrt(), "{total}");
        assert!(dropped.iter().all(|d| (50..150).contains(d)), "whole batches were dropped: {dropped:?}");
    }

    #[test]
    fn exact_coupling_moves_noise_only_and_lowers_the_cost() {
        let independent = batch(3, |_| {});
        let exact = batch(3, |run| run.flow.coupling = CouplingKind::Exact);
        assert_eq!((&independent.x1, &independent.classes), (&exact.x1, &exact.classes));
        let cost = |b: &Batch| b.x0.iter().zip(&b.x1).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        assert!(cost(&exact) < 0.97 * cost(&independent), "{} against {}", cost(&exact), cost(&independent));
        let sorted = |b: &Batch| {
            let mut bits: Vec<u32> = b.x0.iter().map(|v| v.to_bits()).collect();
            bits.sort_unstable();
            bits
        };
        assert_eq!(sorted(&independent), sorted(&exact), "noise was duplicated or dropped");
    }

    #[test]
    fn a_resident_batch_names_the_rows_that_another_brings_to_the_bit() {
        for (coupling, pairs) in [("independent", "permutation"), ("exact", "permutation"), ("sinkhorn", "drawn")] {
            let change = |resident| {
                move |run: &mut Run| {
                    (run.flow.coupling, run.flow.pairing) = (coupling.parse().unwrap(), pairs.parse().unwrap());
                    (run.options.mirror, run.options.resident) = (true, resident);
                }
            };
            let (brought, named) = (batch(5, change(false)), batch(5, change(true)));
            assert!(named.x1.is_empty() && named.device_rows.iter().any(|p| p.mirrored));
            assert_eq!((&brought.x0, &brought.classes), (&named.x0, &named.classes));
            let set = fm_data::digits::load();
            let images = DeviceDataset::new(&set.pixels, set.shape, set.levels, Device::Cpu).unwrap();
            let rows: Vec<f32> = images.rows(&named.device_rows).view(-1).try_into().unwrap();
            assert_eq!(rows, brought.x1, "{coupling}");
        }
    }
}
