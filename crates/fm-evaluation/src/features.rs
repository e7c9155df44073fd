//! Computes features of images in batches and stores them in the cache.

use crate::cache::Store;
use crate::images::{Batch, Images};
use crate::metrics::Needs;
use crate::request::Extractors;
use crate::rows::{Rows, doubles, floats};
use anyhow::ensure;
use fm_data::ImageSet;
use fm_metrics::nearest::{Neighbour, nearest};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{Array2, ArrayView2};
use std::path::Path;

/// Images read at a time.
const BATCH: usize = 250;

/// Values to compute for each image.
#[derive(Debug, Clone, Copy)]
pub struct FeatureRequest<'a> {
    /// The extractors.
    pub extractors: &'a Extractors,
    /// Per extractor: whether to compute features, and logits.
    pub parts: &'a [Needs],
    /// Training images for the nearest-neighbour search, and a key that identifies them.
    pub training: Option<(&'a ImageSet, &'a str)>,
}

/// Values computed for images; empty if not requested.
#[derive(Debug, Default)]
pub struct ImageFeatures {
    /// Number of images.
    pub count: usize,
    /// Features (N, D) per extractor.
    pub features: Vec<Array2<f32>>,
    /// Class logits (N, C) per extractor.
    pub logits: Vec<Array2<f32>>,
    /// The nearest training image of each.
    pub nearest: Vec<Neighbour>,
    /// Number of function evaluations of each sample.
    pub nfe: Vec<f64>,
}

/// The cache files that rows are written to.
#[derive(Debug)]
pub struct FeatureWriter<'a> {
    wanted: FeatureRequest<'a>,
    parts: Vec<[Option<Rows>; 2]>,
    nearest: Option<Rows>,
    nfe: Option<Rows>,
}

/// Computes the requested values for the first `count` images of a set.
///
/// # Errors
/// Images or a cache that cannot be read or written, and images that the extractors do not take.
pub fn of_images(
    images: &Images,
    count: usize,
    wanted: FeatureRequest<'_>,
    cache: &Path,
) -> anyhow::Result<ImageFeatures> {
    let store = Store::open(cache, &images.describe())?;
    let mut sink = FeatureWriter::open(&store, wanted, false)?;
    let start = sink.start().min(count);
    let bar = progress(&images.name, start, count)?;
    for first in (start..count).step_by(BATCH) {
        let mut row = first;
        for batch in images.read(first..count.min(first + BATCH))? {
            sink.take(row, &batch, &[])?;
            row += batch.rows();
        }
        bar.inc((row - first) as u64);
    }
    bar.finish_and_clear();
    sink.found(count)
}

impl<'a> FeatureWriter<'a> {
    /// Opens the files of the requested values; `model`: samples have a number of evaluations too.
    ///
    /// # Errors
    /// As [`Store::rows`].
    pub fn open(store: &Store, wanted: FeatureRequest<'a>, model: bool) -> anyhow::Result<Self> {
        let mut parts = Vec::new();
        for (extractor, needs) in wanted.extractors.all.iter().zip(wanted.parts) {
            let (d, classes) = extractor.widths();
            let rows = |name: String, width: usize| store.rows(&name, 4 * width);
            parts.push([
                needs.features.then(|| rows(format!("{}.f32", extractor.key()), d)).transpose()?,
                needs.logits.then(|| rows(format!("{}-logits.f32", extractor.key()), classes)).transpose()?,
            ]);
        }
        let near = |(_, name): (_, &str)| store.rows(&format!("nearest-{}.f64", &name[..16.min(name.len())]), 16);
        let nearest = wanted.training.map(near).transpose()?;
        let nfe = model.then(|| store.rows("nfe.f64", 8)).transpose()?;
        Ok(Self { wanted, parts, nearest, nfe })
    }

    /// Number of rows that every file has.
    #[must_use]
    pub fn start(&self) -> usize {
        let all = self.parts.iter().flatten().flatten().chain(&self.nearest).chain(&self.nfe);
        all.map(Rows::count).min().unwrap_or(0)
    }

    /// Appends the values of a batch whose first image is number `first`; values that are in the
    /// cache are not computed again.
    ///
    /// # Errors
    /// Images of another shape than the extractor or the training images have, and a file that
    /// cannot be written.
    pub fn take(&mut self, first: usize, batch: &Batch, nfe: &[f64]) -> anyhow::Result<()> {
        let end = first + batch.rows();
        for (extractor, files) in self.wanted.extractors.all.iter().zip(&mut self.parts) {
            if files.iter().flatten().all(|rows| rows.count() >= end) {
                continue;
            }
            let (d, _) = extractor.widths();
            let (features, logits) = extractor.extract(batch)?;
            ensure!(
                features.len() == d * batch.rows(),
                "these images are {:?}, and {} takes {d} values of each; take an extractor that resizes (inception)",
                batch.shape,
                extractor.name()
            );
            for (rows, values) in files.iter_mut().zip([features, logits]) {
                rows.as_mut().map(|rows| rows.append(first, &floats(&values))).transpose()?;
            }
        }
        if let (Some(rows), Some((training, _))) = (&mut self.nearest, self.wanted.training)
            && rows.count() < end
        {
            rows.append(first, &doubles(&neighbours(batch, training)?))?;
        }
        self.nfe.as_mut().map(|rows| rows.append(first, &doubles(nfe))).transpose()?;
        Ok(())
    }

    /// The first `count` rows of all files.
    ///
    /// # Errors
    /// A file that cannot be read, or that has fewer rows.
    pub fn found(self, count: usize) -> anyhow::Result<ImageFeatures> {
        let mut found = ImageFeatures { count, ..ImageFeatures::default() };
        for files in self.parts {
            let [features, logits] =
                files.map(|rows| rows.map_or_else(|| Ok(Array2::zeros((0, 0))), |mut rows| rows.floats(0, count)));
            found.features.push(features?);
            found.logits.push(logits?);
        }
        if let Some(mut rows) = self.nearest {
            let known = rows.doubles(count)?;
            found.nearest =
                known.rows().into_iter().map(|r| Neighbour { index: r[0] as usize, distance: r[1] }).collect();
        }
        if let Some(mut rows) = self.nfe {
            found.nfe = rows.doubles(count)?.into_iter().collect();
        }
        Ok(found)
    }
}

/// Index and distance of the nearest training image to each.
fn neighbours(batch: &Batch, training: &ImageSet) -> anyhow::Result<Vec<f64>> {
    ensure!(
        batch.shape == training.shape,
        "these images are {:?}, the training images {:?}; give images of one form, by --image-size",
        batch.shape,
        training.shape
    );
    // On the scale of the training images.
    let (top, levels) = (f32::from(training.levels), f32::from(batch.levels.max(1)));
    let values = batch.pixels.iter().map(|p| f32::from(*p) * top / levels).collect();
    let samples = Array2::from_shape_vec((batch.rows(), training.dim()), values)?;
    let reference = ArrayView2::from_shape((training.len(), training.dim()), &training.pixels)?;
    Ok(nearest(samples.view(), reference)?.into_iter().flat_map(|n| [n.index as f64, n.distance]).collect())
}

/// A progress bar over the images of a set; hidden if there is nothing to do, or without a
/// terminal.
///
/// # Errors
/// A template that is not one.
pub fn progress(name: &str, start: usize, count: usize) -> anyhow::Result<ProgressBar> {
    let bar = if start < count { ProgressBar::new(count as u64) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:28} {msg} {pos}/{len}  {per_sec}  ETA {eta}")?);
    bar.set_message(name.to_owned());
    bar.set_position(start as u64);
    Ok(bar)
}
