//! The reference that samples are compared with.

use crate::cache::Store;
use crate::extract::Extractor;
use crate::features::{FeatureRequest, ImageFeatures, of_images};
use crate::images::Images;
use crate::measured::Measured;
use crate::metrics::{self, Needs, OnFeatures, gaussian};
use crate::request::{Extractors, MetricSpec};
use anyhow::ensure;
use fm_metrics::moments::Gaussian;
use fm_metrics::statistics;
use fm_terminal::eprintln;
use ndarray::{Array2, ArrayView2};
use std::path::Path;

/// The reference per extractor; empty if not needed.
#[derive(Debug, Default)]
pub struct Reference {
    gaussians: Vec<Option<Gaussian>>,
    features: Vec<Array2<f32>>,
}

/// A metric on features.
#[derive(Debug, Clone, Copy)]
pub struct AssignedMetric {
    /// The request.
    pub asked: MetricSpec,
    /// The index of its extractor.
    pub extractor: usize,
}

impl AssignedMetric {
    /// The inputs of the metric.
    pub fn needs(self) -> Needs {
        metrics::needs(self.asked.metric)
    }
}

impl Reference {
    /// Computes the reference from real images, and caches their Gaussian with them.
    ///
    /// # Errors
    /// Images, statistics or a cache that cannot be read or written.
    pub fn of(
        images: &Images,
        placed: &[AssignedMetric],
        extractors: &Extractors,
        statistics_from: Option<&Path>,
        cache: &Path,
    ) -> anyhow::Result<Self> {
        let needed = |k: usize, need: fn(&Needs) -> bool| {
            placed.iter().any(|placed| placed.extractor == k && need(&placed.needs()))
        };
        let count = images.len();
        let given = statistics_from.map(statistics::read).transpose()?;
        if let (Some(given), Some(path)) = (&given, statistics_from) {
            check_scale(given, path, extractors)?;
        }
        let mut gaussians: Vec<Option<Gaussian>> = vec![None; extractors.all.len()];
        let mut parts = Vec::new();
        for (k, extractor) in extractors.all.iter().enumerate() {
            let distance = needed(k, |needs| needs.real_gaussian);
            if distance {
                gaussians[k] = match &given {
                    Some(given) => Some(given.clone()),
                    None => kept(images, &extractor.key(), count, cache)?,
                };
            }
            let rows = needed(k, |needs| needs.real_features);
            parts.push(Needs { features: rows || (distance && gaussians[k].is_none()), ..Needs::default() });
        }
        let mut found = ImageFeatures::default();
        if parts.iter().any(|part| part.features) {
            let wanted = FeatureRequest { extractors, parts: &parts, training: None };
            found = of_images(images, count, wanted, cache)?;
        }
        for (k, extractor) in extractors.all.iter().enumerate() {
            if gaussians[k].is_none() && needed(k, |needs| needs.real_gaussian) {
                let gaussian = gaussian(found.features[k].view())?;
                let store = Store::open(cache, &images.describe())?;
                let path = store.path(&kept_name(&extractor.key(), count));
                fm_train::files::write(&path, &statistics::write(&gaussian)?)?;
                gaussians[k] = Some(gaussian);
            }
        }
        Ok(Self { gaussians, features: found.features })
    }

    /// Computes one metric, or says why it cannot be computed.
    ///
    /// # Errors
    /// Features of an extractor that is not there.
    pub fn measure(
        &self,
        AssignedMetric { asked, extractor: place }: AssignedMetric,
        found: &ImageFeatures,
        extractors: &Extractors,
    ) -> anyhow::Result<Vec<Measured>> {
        let Some(metric) = metrics::of(asked.metric) else { return Ok(Vec::new()) };
        let nothing = || ArrayView2::from_shape((0, 0), &[]);
        let extractor = &extractors.all[place];
        let measured = metric.measure(&OnFeatures {
            extractor,
            count: found.count,
            samples: found.features[place].view(),
            logits: found.logits[place].view(),
            real: self.features.get(place).map_or_else(nothing, |rows| Ok(rows.view()))?,
            gaussian: self.gaussians[place].as_ref(),
        });
        Ok(measured.unwrap_or_else(|error| vec![Measured::left_out(asked.key(extractor), format!("{error:#}"))]))
    }
}

/// Refuses statistics of pixels on another scale than [0, 1].
fn check_scale(given: &Gaussian, path: &Path, extractors: &Extractors) -> anyhow::Result<()> {
    let pixels = extractors.all.iter().any(|extractor| matches!(extractor, Extractor::Pixels { .. }));
    let (least, most) = given.mean.iter().fold((0.0f64, 1.0f64), |(low, high), m| (low.min(*m), high.max(*m)));
    ensure!(
        !pixels || (least > -0.01 && most < 1.01),
        "cannot compare pixels with {}: its means reach {}, and pixels are compared in [0, 1]; write the file again with this version",
        path.display(),
        if most < 1.01 { least } else { most }
    );
    Ok(())
}

fn kept_name(key: &str, count: usize) -> String {
    format!("{key}-{count}.npz")
}

fn kept(images: &Images, key: &str, count: usize, cache: &Path) -> anyhow::Result<Option<Gaussian>> {
    let path = Store::open(cache, &images.describe())?.path(&kept_name(key, count));
    if !path.exists() {
        return Ok(None);
    }
    // A zip archive has checksums.
    let read = statistics::read(&path).ok();
    if read.is_none() {
        eprintln!("warning: {} is damaged; it is computed again", path.display());
    }
    Ok(read)
}
