//! Features to numbers.

use super::extract::{Extractor, Protocol};
use super::feature_cache::{Store, doubles};
use super::features::{Found, Wanted, of_images};
use super::images::Images;
use super::request::{Asked, Extractors, MetricName};
use anyhow::ensure;
use fm_data::ImageSet;
use fm_metrics::estimate::{Estimate, group, mean};
use fm_metrics::frechet;
use fm_metrics::inception_score::inception_score;
use fm_metrics::kid::{Subsets, kid};
use fm_metrics::manifold::manifold;
use fm_metrics::moments::{Gaussian, Moments};
use fm_metrics::nearest::copy_threshold;
use fm_metrics::statistics;
use ndarray::{Array2, ArrayView2, Axis, s};
use serde_json::{Value, json};
use std::path::Path;

/// Neighbourhoods of precision and recall, and of density and coverage, as their papers have them.
const PR_NEIGHBOURS: usize = 3;
const DC_NEIGHBOURS: usize = 5;
/// Splits of an inception score, and groups that a Frechet distance's error is found from.
const SPLITS: usize = 10;
const GROUPS: usize = 10;
/// Rows whose products are added up at a time.
const ROWS: usize = 4096;

/// A number with its name and what it rests on.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// `fd-resnet20`, `precision-resnet20`, ...
    pub(crate) key: String,
    /// As a table heads it.
    pub(crate) label: String,
    pub(crate) value: Estimate,
    /// Extractor and settings.
    pub(crate) protocol: Value,
}

/// What samples are compared with, of each extractor; empty where nobody asks.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    gaussians: Vec<Option<Gaussian>>,
    features: Vec<Array2<f32>>,
}

/// A metric and the place of its extractor.
pub(crate) type Placed = (Asked, usize);

impl Reference {
    /// Of real images: what their features say is kept beside them.
    pub(crate) fn of(
        images: &Images,
        placed: &[Placed],
        extractors: &Extractors,
        statistics_from: Option<&Path>,
        cache: &Path,
    ) -> anyhow::Result<Self> {
        let asks =
            |k: usize, metrics: &[MetricName]| placed.iter().any(|(a, at)| *at == k && metrics.contains(&a.metric));
        let count = images.len();
        let given = statistics_from.map(statistics::read).transpose()?;
        let mut gaussians: Vec<Option<Gaussian>> = vec![None; extractors.all.len()];
        let mut parts = Vec::new();
        for (k, extractor) in extractors.all.iter().enumerate() {
            let distance = asks(k, &[MetricName::Fd, MetricName::Fid]);
            if distance {
                gaussians[k] = match &given {
                    Some(given) => Some(given.clone()),
                    None => kept(images, &extractor.key(), count, cache)?,
                };
            }
            let rows = asks(k, &[MetricName::Kid, MetricName::Pr, MetricName::Dc]);
            parts.push((rows || (distance && gaussians[k].is_none()), false));
        }
        let mut found = Found::default();
        if parts.iter().any(|(features, _)| *features) {
            let wanted = Wanted { extractors, parts: &parts, training: None };
            found = of_images(images, count, wanted, cache)?;
        }
        for (k, extractor) in extractors.all.iter().enumerate() {
            if gaussians[k].is_none() && asks(k, &[MetricName::Fd, MetricName::Fid]) {
                let gaussian = moments(found.features[k].view())?.gaussian()?;
                let store = Store::open(cache, &images.describe())?;
                fm_train::files::write(
                    &store.path(&kept_name(&extractor.key(), count)),
                    &statistics::write(&gaussian)?,
                )?;
                gaussians[k] = Some(gaussian);
            }
        }
        Ok(Self { gaussians, features: found.features })
    }
}

fn kept_name(key: &str, count: usize) -> String {
    format!("{key}-{count}.npz")
}

fn kept(images: &Images, key: &str, count: usize, cache: &Path) -> anyhow::Result<Option<Gaussian>> {
    let path = Store::open(cache, &images.describe())?.path(&kept_name(key, count));
    Ok(if path.exists() { Some(statistics::read(&path)?) } else { None })
}

/// Sums over rows.
fn moments(rows: ArrayView2<'_, f32>) -> anyhow::Result<Moments> {
    let mut moments = Moments::like(rows.slice(s![..rows.nrows().min(ROWS), ..]))?;
    for part in rows.axis_chunks_iter(Axis(0), ROWS) {
        moments.add(part)?;
    }
    Ok(moments)
}

/// The mean and covariance of features.
pub(crate) fn gaussian(rows: ArrayView2<'_, f32>) -> anyhow::Result<Gaussian> {
    Ok(moments(rows)?.gaussian()?)
}

/// Sums over each of some groups of neighbouring rows, about one point.
fn grouped(rows: ArrayView2<'_, f32>) -> anyhow::Result<Vec<Moments>> {
    let empty = Moments::like(rows.slice(s![..rows.nrows().min(ROWS), ..]))?;
    let of = |k: usize| {
        let mut sums = empty.empty();
        for part in rows.slice(s![group(rows.nrows(), GROUPS, k), ..]).axis_chunks_iter(Axis(0), ROWS) {
            sums.add(part)?;
        }
        Ok(sums)
    };
    (0..GROUPS).map(of).collect()
}

/// One metric of what was found.
pub(crate) fn measure(
    (asked, place): Placed,
    found: &Found,
    reference: &Reference,
    extractors: &Extractors,
) -> anyhow::Result<Vec<Measured>> {
    let extractor = &extractors.all[place];
    let on = extractor.name();
    let one = |name: &str, label: String, value: Estimate, how: Value| Measured {
        key: format!("{name}-{on}"),
        label,
        value,
        protocol: json!({ "extractor": extractor.describe(), "how": how }),
    };
    let features = || found.features[place].view();
    // Whoever compares with FID must have FID.
    let suffix = if extractor.key().starts_with("inception") && !extractor.is_fids() {
        format!("{on}[{}]", extractor.key().rsplit('-').next().unwrap_or_default())
    } else {
        on.to_string()
    };
    Ok(match asked.metric {
        MetricName::Fd | MetricName::Fid => {
            let Some(gaussian) = &reference.gaussians[place] else { return Ok(Vec::new()) };
            let value = frechet::estimate(gaussian, &grouped(features())?)?;
            let how = json!({ "covariance": "n - 1", "error": format!("jackknife over {GROUPS} groups of samples") });
            if extractor.is_fids() {
                vec![Measured { key: "fid".into(), ..one("fd", fids_name(extractor), value, how) }]
            } else {
                vec![one("fd", format!("FD-{suffix}"), value, how)]
            }
        }
        MetricName::Kid => {
            let subsets = Subsets::default();
            let value = kid(features(), reference.features[place].view(), &subsets)?;
            let how = json!({ "kernel": "(x y / d + 1)^3", "subsets": subsets.count, "size": subsets.size, "seed": subsets.seed });
            vec![one("kid", format!("KID-{suffix}"), value, how)]
        }
        MetricName::Pr | MetricName::Dc => {
            let pr = asked.metric == MetricName::Pr;
            let k = if pr { PR_NEIGHBOURS } else { DC_NEIGHBOURS };
            let real = alike(reference.features[place].view(), found.count);
            let m = manifold(features(), real.view(), k)?;
            let how = json!({ "neighbours": k, "real": real.nrows(), "error": "of a mean over points, neighbourhoods given" });
            let pairs = if pr {
                [("precision", m.precision), ("recall", m.recall)]
            } else {
                [("density", m.density), ("coverage", m.coverage)]
            };
            pairs.map(|(name, value)| one(name, format!("{name}-{suffix}"), value, how.clone())).to_vec()
        }
        MetricName::Is => {
            let score = inception_score(found.logits[place].view(), SPLITS)?;
            let value = Estimate { value: score.mean, error: score.deviation };
            let how = json!({ "splits": SPLITS, "error": "standard deviation over splits" });
            vec![one("is", format!("IS-{suffix}"), value, how)]
        }
        MetricName::Nn | MetricName::Nll => Vec::new(),
    })
}

/// What is said where nothing is added is pytorch-fid's.
fn fids_name(extractor: &Extractor) -> String {
    match extractor {
        Extractor::Inception { protocol: Protocol::CleanFid, .. } => format!("FID ({})", Protocol::CleanFid),
        _ => "FID".into(),
    }
}

/// As many rows as there are samples, evenly spaced, since neighbourhoods shrink with their number.
fn alike(rows: ArrayView2<'_, f32>, count: usize) -> Array2<f32> {
    let n = rows.nrows().min(count);
    rows.select(Axis(0), &(0..n).map(|i| i * rows.nrows() / n.max(1)).collect::<Vec<_>>())
}

/// Class agreement, where classes were asked for, and copies.
pub(crate) fn neighbours(
    found: &Found,
    asked: &[i64],
    images: &Images,
    training: &ImageSet,
    cache: &Path,
) -> anyhow::Result<Vec<Measured>> {
    ensure!(found.nearest.len() == found.count, "the neighbours of some samples are missing");
    let threshold = threshold(images, training, cache)?;
    let share = |is: &dyn Fn(usize) -> bool| {
        let each: Vec<f64> = (0..found.count).map(|i| f64::from(u8::from(is(i)))).collect();
        mean(&each)
    };
    let one = |key: &str, label: &str, value: Estimate, how: Value| Measured {
        key: key.into(),
        label: label.into(),
        value,
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

/// The distance under which a sample is a copy; made once of a data set.
fn threshold(images: &Images, training: &ImageSet, cache: &Path) -> anyhow::Result<f64> {
    let store = Store::open(cache, &images.describe())?;
    let mut rows = store.rows("copy-threshold.f64", 8)?;
    if rows.count() == 0 {
        let real = ArrayView2::from_shape((training.len(), training.dim()), &training.pixels)?;
        rows.append(0, &doubles(&[copy_threshold(real)?]))?;
    }
    Ok(rows.doubles(1)?[[0, 0]])
}
