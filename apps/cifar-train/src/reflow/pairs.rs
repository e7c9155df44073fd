//! `cifar-train reflow pairs`.

use crate::args::PairsArgs;
use crate::model::{Loaded, load};
use crate::sample::{in_turn, with_classes};
use anyhow::{Context, ensure};
use fm_cli::memory::ensure_fits;
use fm_cli::settings::text_of;
use fm_images::sampling::{Frames, Request, batch};
use fm_run::guidance::Guide;
use fm_run::host::to_host;
use fm_run::process_group::{GeneratedShard, Group};
use fm_terminal::{eprintln, println};
use fm_train::pairs::{PairWriter, PairsAbout, TeacherPairs};
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

pub(crate) fn run(args: &PairsArgs) -> anyhow::Result<ExitCode> {
    Group::run(&args.solver.group, |group| pairs(group, args))
}

/// With n processes, each makes every n-th shard, and the first process writes them.
fn pairs(group: &Group, args: &PairsArgs) -> anyhow::Result<ExitCode> {
    ensure!(args.num_pairs > 0 && args.shard_size > 0, "--num-pairs or --shard-size is 0; both must be at least 1");
    ensure!(args.solver.batch_size > 0, "--batch-size is 0; give at least one");
    let mut loaded = load(&args.from)?;
    loaded.open_weak(&args.solver.guidance, &args.from.which, None)?;
    let dim = loaded.data.shape.iter().product::<i64>() as usize;
    let largest = args.shard_size.min(args.num_pairs);
    ensure_fits("the pairs of a file", &[largest, dim], 4 * size_of::<f32>(), "--shard-size")?;
    let classes = in_turn(loaded.data.classes.len(), args.num_pairs)?;
    let request = with_classes(&args.solver, &loaded, args.num_pairs, classes)?;
    request.guide.refuse_idle(&args.solver.guidance)?;
    ensure!(
        request.sampler.stochastic.is_none(),
        "stochastic sampling does not lead each noise to a sample of its own; drop --sde"
    );
    let mut writer = None;
    let missing = group.agree(|| {
        let (opened, damaged) = PairWriter::open(&args.out, about(args, &request, &loaded)?)?;
        damaged.iter().for_each(|problem| eprintln!("warning: {problem}; making it again"));
        Ok(writer.insert(opened).missing())
    })?;
    let pairs: usize = missing.iter().map(|(_, rows)| rows.len()).sum();
    if pairs < args.num_pairs && group.is_first() {
        println!("resumed   {}: {} of {} pairs are there", args.out.display(), args.num_pairs - pairs, args.num_pairs);
    }
    let bar = if group.is_first() { ProgressBar::new(pairs as u64) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:28} pair {pos}/{len}  {per_sec}  ETA {eta}")?);
    let started = Instant::now();
    let own = group.shard();
    for turn in missing.chunks(own.count) {
        let mine = turn.get(own.rank).map(|(_, rows)| make(&loaded, &request, rows.clone(), &bar)).transpose()?;
        let all = group.gather(mine.unwrap_or_default(), 2 * largest * dim)?;
        let Some(writer) = &mut writer else { continue };
        for (rank, ((shard, rows), made)) in turn.iter().zip(all).enumerate() {
            let (x0, x1) = made.values.split_at(rows.len() * dim);
            let classes = request.classes.get(rows.clone()).unwrap_or_default().to_vec();
            writer.write(*shard, &TeacherPairs { x0: x0.to_vec(), x1: x1.to_vec(), classes, nfe: made.about[0] })?;
            if rank != own.rank {
                bar.inc(rows.len() as u64);
            }
        }
    }
    bar.finish_and_clear();
    let Some(writer) = writer else { return Ok(ExitCode::SUCCESS) };
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
    Ok(PairsAbout {
        program: format!("cifar-train {}", env!("CARGO_PKG_VERSION")),
        teacher: text_of(&loaded.path)?,
        teacher_sha256: loaded.sha256()?,
        count: args.num_pairs,
        shard_size: args.shard_size,
        seed: request.seed,
        solver: request.sampler.describe(),
        sampler: request.sampler.key(),
        cfg_scale: request.guide.scale,
        guidance: guidance(&request.guide),
        conditional: !request.classes.is_empty(),
        data: loaded.data.clone(),
        config: serde_json::to_value(&loaded.config)
            .context("cannot write the configuration as JSON; please report this")?,
    })
}

/// Guidance beside its scale that pairs depend on; empty for classifier-free guidance at all times.
fn guidance(guide: &Guide) -> String {
    let always = guide.interval == (0.0, 1.0);
    let rules = guide.key().map_or_else(String::new, |key| key.to_string());
    if always { rules } else { format!("{:?}{rules}", guide.interval) }
}

/// Noise and samples of some rows, and their number of evaluations; pair i consists of the noise of
/// sample i and sample i.
fn make(loaded: &Loaded, request: &Request, rows: Range<usize>, bar: &ProgressBar) -> anyhow::Result<GeneratedShard> {
    let (mut noise, mut samples, mut nfe) = (Vec::new(), Vec::new(), 0.0);
    for first in rows.clone().step_by(request.batch_size) {
        let count = request.batch_size.min(rows.end - first);
        let x0 = request.noise(first, count)?;
        let drawn = batch(loaded.model.as_ref(), loaded.device, request, first, &x0, Frames::None)?;
        noise.extend(x0);
        samples.extend(to_host(&drawn.x)?);
        nfe += drawn.nfe * count as f64 / rows.len() as f64;
        bar.inc(count as u64);
    }
    ensure!(
        samples.iter().all(|v: &f32| v.is_finite()),
        "the teacher drew values that are not finite, because its weights are broken; use an earlier checkpoint, or train it again"
    );
    noise.extend(samples);
    Ok(GeneratedShard { values: noise, about: [nfe, 0.0] })
}
