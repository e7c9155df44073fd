//! Nearest training images: class agreement, and copies.

use crate::cache::Store;
use crate::features::ImageFeatures;
use crate::images::Images;
use crate::measured::Measured;
use crate::rows::doubles;
use anyhow::ensure;
use fm_data::ImageSet;
use fm_metrics::estimate::{Estimate, mean};
use fm_metrics::nearest::copy_threshold;
use ndarray::ArrayView2;
use serde_json::{Value, json};
use std::path::Path;

/// Class agreement, if classes were requested, and the share of copies.
///
/// # Errors
/// Samples without a neighbour, and a cache that cannot be written.
pub fn neighbours(
    found: &ImageFeatures,
    asked: &[i64],
    images: &Images,
    training: &ImageSet,
    cache: &Path,
) -> anyhow::Result<Vec<Measured>> {
    ensure!(
        found.nearest.len() == found.count,
        "the neighbours of some samples are missing; remove the folder of --cache and run again"
    );
    let threshold = threshold(images, training, cache)?;
    let share = |is: &dyn Fn(usize) -> bool| {
        let each: Vec<f64> = (0..found.count).map(|i| f64::from(u8::from(is(i)))).collect();
        mean(&each)
    };
    let one = |key: &str, label: &str, value: Estimate, how: Value| Measured {
        key: key.into(),
        label: label.into(),
        value: Ok(value),
        protocol: json!({ "training_images": training.len(), "how": how }),
    };
    let copies = share(&|i| found.nearest[i].distance < threshold);
    let rule = "nearer to a training image than the 1st percentile of training images to their nearest other ones";
    let mut out = vec![one("copies", "copies", copies, json!({ "rule": rule, "threshold": threshold }))];
    if !asked.is_empty() {
        let of = |i: usize| training.labels.get(found.nearest[i].index).map(|l| i64::from(*l));
        let rule = json!({ "rule": "the nearest training image has the class that was asked for" });
        out.insert(0, one("class_agreement", "class agreement", share(&|i| of(i) == asked.get(i).copied()), rule));
    }
    Ok(out)
}

/// The distance below which a sample counts as a copy; computed once per data set.
fn threshold(images: &Images, training: &ImageSet, cache: &Path) -> anyhow::Result<f64> {
    let store = Store::open(cache, &images.describe())?;
    let mut rows = store.rows("copy-threshold.f64", 8)?;
    if rows.count() == 0 {
        let real = ArrayView2::from_shape((training.len(), training.dim()), &training.pixels)?;
        rows.append(0, &doubles(&[copy_threshold(real)?]))?;
    }
    Ok(rows.doubles(1)?[[0, 0]])
}
