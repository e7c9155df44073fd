//! Bits per dimension, cached row by row like all other values.

use super::plan::Plan;
use crate::likelihood::check;
use anyhow::ensure;
use fm_evaluation::cache::Store;
use fm_evaluation::measured::Measured;
use fm_evaluation::metrics::MetricName;
use fm_evaluation::rows::doubles;
use fm_images::likelihood::bits_of;
use fm_metrics::estimate::mean;
use fm_run::likelihood::LikelihoodArgs;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

/// Images per batch.
const BATCH: usize = 16;

/// Bits per dimension of the held-out images, or of the real ones if there are none; empty if not
/// requested.
pub(super) fn measured(plan: &Plan<'_>) -> anyhow::Result<Vec<Measured>> {
    let Some(loaded) = plan.loaded.as_ref().filter(|_| plan.asked.iter().any(|a| a.metric == MetricName::Nll)) else {
        return Ok(Vec::new());
    };
    ensure!(plan.args.nll_images > 0, "--nll-images is 0; give at least one");
    let images = plan.held_out.as_ref().unwrap_or(&plan.real);
    let set = images.whole()?;
    check(loaded, &set)?;
    let how = LikelihoodArgs::estimated(plan.args.nll_probes, plan.args.solver.seed);
    let about = json!({
        "bits": loaded.key()?, "of": images.describe(), "how": how.key(),
    });
    let store = Store::open(&plan.cache, &about)?;
    let mut rows = store.rows("bits-nfe.f64", 16)?;
    let count = plan.args.nll_images.min(set.len());
    let bar = if rows.count() < count { ProgressBar::new(count as u64) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:28} likelihoods {pos}/{len}  {per_sec}  ETA {eta}")?);
    while rows.count() < count {
        let first = rows.count();
        bar.set_position(first as u64);
        let (bits, nfe) = bits_of(loaded.of_pixels(), &set, &how, first, BATCH.min(count - first))?;
        let pairs: Vec<f64> = bits.iter().flat_map(|b| [*b, nfe]).collect();
        rows.append(first, &doubles(&pairs))?;
    }
    bar.finish_and_clear();
    let known = rows.doubles(count)?;
    let nfe = known.column(1).sum() / count as f64;
    Ok(vec![Measured {
        key: "bits_per_dim".into(),
        label: "bits/dim".into(),
        value: Ok(mean(&known.column(0).to_vec())),
        protocol: json!({
            "images": images.name, "count": count, "dequantisation": "uniform; an upper bound", "how": how.describe(), "nfe": nfe,
        }),
    }])
}
