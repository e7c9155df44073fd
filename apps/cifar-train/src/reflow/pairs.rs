//! `cifar-train reflow pairs`.

use crate::args::PairsArgs;
use crate::generate::{Request, batch, to_host};
use crate::model::{Loaded, load};
use crate::sample::{in_turn, with_classes};
use anyhow::{Context, ensure};
use fm_models::interchange::{self, About};
use fm_train::pairs::{PairWriter, Pairs, PairsAbout};
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn run(args: &PairsArgs) -> anyhow::Result<ExitCode> {
    ensure!(args.num_pairs > 0 && args.shard_size > 0, "--num-pairs and --shard-size must be at least 1");
    ensure!(args.solver.batch_size > 0, "--batch-size is 0: give at least one");
    let loaded = load(&args.solver.from)?;
    let classes = in_turn(loaded.data.classes.len(), args.num_pairs);
    let request = with_classes(&args.solver, &loaded, args.num_pairs, classes)?;
    ensure!(
        request.sampler.stochastic.is_none(),
        "stochastic sampling does not lead each noise to a sample of its own; drop --sde"
    );
    let (mut writer, damaged) = PairWriter::open(&args.out, about(args, &request, &loaded)?)?;
    damaged.iter().for_each(|problem| eprintln!("warning: {problem}; making it again"));
    let missing = writer.missing();
    let pairs: usize = missing.iter().map(|(_, rows)| rows.len()).sum();
    if pairs < args.num_pairs {
        println!("resumed   {}: {} of {} pairs are there", args.out.display(), args.num_pairs - pairs, args.num_pairs);
    }
    let bar = ProgressBar::new(pairs as u64)
        .with_style(ProgressStyle::with_template("{bar:28} pair {pos}/{len}  {per_sec}  ETA {eta}")?);
    let started = Instant::now();
    for (shard, rows) in missing {
        let made = make(&loaded, &request, rows, &bar)?;
        writer.write(shard, &made)?;
    }
    bar.finish_and_clear();
    println!(
        "{} pairs in {}: NFE {:.1}, {}, {pairs} made now in {:.1} s; {}",
        args.num_pairs,
        args.out.display(),
        writer.mean_nfe(),
        request.sampler.describe(),
        started.elapsed().as_secs_f64(),
        loaded.weights
    );
    println!(
        "next      cifar-train train --pairs {0} --out RUN, or distill --pairs {0} --num-steps 1",
        args.out.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn about(args: &PairsArgs, request: &Request, loaded: &Loaded) -> anyhow::Result<PairsAbout> {
    let weights = interchange::safetensors(&interchange::named(&loaded.store), &About::default())?;
    Ok(PairsAbout {
        program: format!("cifar-train {}", env!("CARGO_PKG_VERSION")),
        teacher: loaded.path.display().to_string(),
        teacher_sha256: fm_train::files::sha256(&weights),
        count: args.num_pairs,
        shard_size: args.shard_size,
        seed: request.seed,
        solver: request.sampler.describe(),
        cfg_scale: request.cfg_scale,
        conditional: !request.classes.is_empty(),
        data: loaded.data.clone(),
        config: serde_json::to_value(&loaded.config).context("cannot write the configuration as JSON")?,
    })
}

/// Pairs of some rows; pair i is the noise of sample i and sample i.
fn make(loaded: &Loaded, request: &Request, rows: Range<usize>, bar: &ProgressBar) -> anyhow::Result<Pairs> {
    let mut made = Pairs::default();
    let all = rows.len();
    for first in rows.clone().step_by(request.batch_size) {
        let count = request.batch_size.min(rows.end - first);
        let x0 = request.noise(first, count);
        let drawn = batch(loaded.model.as_ref(), loaded.device, request, first, &x0, false)?;
        made.x0.extend(x0);
        made.x1.extend(to_host(&drawn.x));
        made.classes.extend(request.classes.get(first..first + count).unwrap_or_default());
        made.nfe += drawn.nfe * count as f64 / all as f64;
        bar.inc(count as u64);
    }
    ensure!(
        made.x1.iter().all(|v| v.is_finite()),
        "the teacher drew values that are not finite: its weights are broken"
    );
    Ok(made)
}
