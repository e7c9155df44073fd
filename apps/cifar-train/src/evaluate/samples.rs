//! Features of a model's samples, and their description.

use crate::model::Loaded;
use crate::sample::image_scale;
use fm_evaluation::cache::Store;
use fm_evaluation::features::{FeatureRequest, FeatureWriter, ImageFeatures, progress};
use fm_evaluation::images::Batch;
use fm_images::sampling::{Request, sample_batches};
use fm_run::guidance::Guide;
use fm_run::process_group::Group;
use fm_solvers::sampler::{Pace, Steps};
use fm_terminal::println;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::path::Path;

/// The program that an evaluation names.
pub(super) const PROGRAM: &str = concat!("cifar-train ", env!("CARGO_PKG_VERSION"));

/// Computes the requested values for a model's samples. Several processes may draw samples; only
/// the first one computes values.
pub(super) fn of_samples(
    loaded: &Loaded,
    request: &Request,
    wanted: FeatureRequest<'_>,
    cache: &Path,
    group: &Group,
) -> anyhow::Result<Option<ImageFeatures>> {
    let mut sink = None;
    let start = group.agree(|| {
        let store = Store::open(cache, &about(loaded, request)?)?;
        let opened = FeatureWriter::open(&store, wanted, true)?;
        let start = opened.start().min(request.count);
        sink = Some((opened, store));
        Ok(start)
    })?;
    let bar = if group.is_first() { progress("samples", start, request.count)? } else { ProgressBar::hidden() };
    let scale = image_scale(loaded);
    sample_batches(loaded.model.as_ref(), loaded.device, request, start, false, group, |turn| {
        let Some((sink, _)) = &mut sink else { return Ok(()) };
        let pixels = scale.denormalise(&loaded.to_pixels(turn.values)?);
        let batch = Batch { shape: scale.shape, levels: scale.levels, pixels };
        let nfe: Vec<f64> = turn.nfe.iter().flat_map(|n| std::iter::repeat_n(*n, request.batch_size)).collect();
        sink.take(turn.first, &batch, &nfe[..batch.rows()])?;
        bar.inc(batch.rows() as u64);
        Ok(())
    })?;
    bar.finish_and_clear();
    sink.map(|(sink, _)| sink.found(request.count)).transpose()
}

/// Everything that the samples depend on. Their number is not included, because sample i does not
/// depend on it: a larger evaluation extends a smaller one.
fn about(loaded: &Loaded, request: &Request) -> anyhow::Result<Value> {
    let shared = matches!(request.sampler.steps, Steps::Adaptive(Pace::PerBatch, _)).then_some(request.count);
    let Guide { scale, interval, .. } = request.guide;
    let mut about = json!({
        "model": loaded.key()?, "sampler": request.sampler.key(), "seed": request.seed, "classes": !request.classes.is_empty(),
        "cfg_scale": scale, "cfg_interval": [interval.0, interval.1],
        "batch_size": request.batch_size, "levels": loaded.data.levels, "one_step_size": shared,
    });
    // Caches of classifier-free guidance have no entry for the rule.
    if let (Some(rules), Some(about)) = (request.guide.key(), about.as_object_mut()) {
        about.insert("guidance".into(), rules);
    }
    Ok(about)
}

/// Description of the samples.
pub(super) fn describe(loaded: &Loaded, weights: &str, request: &Request, found: &ImageFeatures) -> Value {
    let nfe = found.nfe.iter().sum::<f64>() / found.nfe.len().max(1) as f64;
    println!("{} samples: NFE {nfe}; {}; {}; seed {}", found.count, request.sampler.describe(), weights, request.seed);
    json!({
        "checkpoint": loaded.path, "step": loaded.step, "weights": weights, "ema_decay": loaded.ema_decay,
        "count": found.count, "solver": request.sampler.describe(), "nfe": nfe, "seed": request.seed,
        "cfg_scale": request.guide.scale, "cfg_interval": [request.guide.interval.0, request.guide.interval.1],
        "guidance": request.guide.about(),
        "classes": if request.classes.is_empty() { "unconditional" } else { "in turn" },
        "quantised": format!("round((x + 1) {} / 2)", loaded.data.levels),
    })
}
