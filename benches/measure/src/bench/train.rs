//! Training steps against PyTorch and jax, the loop against the bare network, and memory.

use super::contest::{cell, median, over, spread};
use super::models::on;
use super::places;
use super::target::{Report, Target};
use super::worker::{self, Peers, Worker, environment, folder, script, threads};
use crate::machine::machine;
use anyhow::{Context, ensure};
use fm_terminal::eprintln;
use std::fmt::Write as _;

/// Network, description, steps per round, and the required ratio of PyTorch's time to ours.
const NETWORKS: [(&str, &str, u64, f64); 2] = [
    ("mlp", "MLP 64 x 3, 2-D, batch 2048", 300, 1.2),
    ("concat-squash", "ConcatSquash 64 x 3, 4-D, batch 1000", 500, 2.0),
];
const PEERS: [(&str, &str); 3] =
    [("eager", "PyTorch eager"), ("jax", "jax.jit, a step at a time"), ("scan", "jax.jit over all steps")];
/// All contestants start from different weights and draw different numbers; after the first round,
/// which is not counted, their losses are alike.
const LATER: Alike = Alike { within: 0.05, first: false };
/// Image networks, whose steps start from the same weights: name, description, and steps per round.
const IMAGES: [(&str, &str, u64); 2] = [
    ("unet-35m", "U-Net of CIFAR-10, 35.7M parameters, batch 8", 2),
    ("dit", "DiT 384 x 6 x 6, 2 x 2 patches, batch 16", 2),
];
const IMAGE_PEERS: [(&str, &str); 2] = [("eager", "PyTorch eager"), ("compiled", "torch.compile")];
/// The contestants draw different numbers.
const FIRST: Alike = Alike { within: 0.1, first: true };
const THREADS: usize = 2;
/// Explanation for small networks that miss their target.
const CROWDED: &str = "a step of a millisecond shares the cores with the thread that draws the next batch, and neighbours of the machine move it from run to \
                       run; blocks of 128 and of 256 rows in place of 64 were tried and change nothing";
/// Steps of the small U-Net: per round, and for memory.
const UNET_STEPS: u64 = 3;
const MEMORY_STEPS: u64 = 6;
const GPU_STEPS: u64 = 50;

/// Required agreement of mean losses before times count, relative: in the first round, or in all
/// later ones.
#[derive(Clone, Copy)]
struct Alike {
    within: f64,
    first: bool,
}

/// The contestants, which do the same steps in turn.
struct Contestants<'a> {
    ours: &'a mut Worker,
    theirs: &'a mut Worker,
    peers: &'a [(&'a str, &'a str)],
}

pub(super) fn report(rounds: u32, device: &str) -> anyhow::Result<Report> {
    let python = environment(Peers::All)?;
    places::build(&["-p", "fm-benches", "--features", "tch", "--bin", "training-worker"])?;
    let (dir, threads) = (folder("train")?, threads(THREADS));
    let start = || Worker::start(worker::ours("training-worker").arg(device), threads);
    let mut ours = start()?;
    let mut theirs = Worker::start(script(&python, "training_worker.py").arg(device), threads)?;
    // JAX is installed only for the CPU.
    let peers = &PEERS[..if device == "cpu" { PEERS.len() } else { 1 }];
    ours.ask(&format!("make {dir}"))?;
    let versions = theirs.versions()?;
    let mut table = header(peers);
    let (mut targets, mut jax) = (Vec::new(), Vec::new());
    for (network, description, steps, faster) in NETWORKS {
        ours.ask(&format!("load {dir} {network}"))?;
        theirs.ask(&format!("load {dir} {network}"))?;
        let contestants = Contestants { ours: &mut ours, theirs: &mut theirs, peers };
        let (row, medians) = steps_of(contestants, network, LATER, steps, rounds)?;
        writeln!(table, "| {description} | {row} |")?;
        let what = format!("{description}: PyTorch eager over ours");
        targets.push(Target::at_least(faster, what, [medians[0]]).or_because(CROWDED));
        jax.extend(medians.get(1).copied());
    }
    if !jax.is_empty() {
        targets.push(Target::at_least(1.0, "both: jax.jit, a step at a time, over ours", jax));
    }
    drop(theirs);
    let (images, image_targets) = if device == "cpu" { images(&mut ours, &dir, rounds)? } else { Default::default() };
    targets.extend(image_targets);
    let (overhead, share) = overhead(&mut ours, &dir, rounds, device)?;
    targets.push(Target::at_most(3.0, "the loop over the bare network, in %", [share]));
    drop(ours);
    if device != "cpu" {
        let text = format!(
            "## Training steps{}\n\nAs on the CPU; jax is not installed for it. *Peers*: {versions}. *Machine*: {}.\n\n{table}\n\
             ### The loop over the bare network\n\n{overhead}",
            on(device),
            machine()
        );
        return Ok(Report { text, targets });
    }
    let memory = [
        ("ours", memory(&mut start()?, &format!("memory {MEMORY_STEPS}"))?),
        (
            "PyTorch eager",
            memory(
                &mut Worker::start(&mut script(&python, "memory_worker.py"), threads)?,
                &format!("run {MEMORY_STEPS}"),
            )?,
        ),
    ];
    let mib = |bytes: f64| format!("{:.0}", bytes / f64::from(1 << 20));
    let more = memory[0].1[1] / memory[1].1[1];
    targets.push(Target::at_most(1.0, "peak memory: ours over PyTorch eager's", [more]));
    let rows: String = memory
        .iter()
        .map(|(who, [before, peak])| {
            format!("| {who} | {} | {} | {} |\n", mib(*before), mib(*peak), mib(peak - before))
        })
        .collect();
    let text = format!(
        "## Training steps\n\n*Work*: a step of a plain training loop, including data, noise, times and AdamW. Ours also clips \
         gradients, updates an EMA and the sums of the log, and makes batches on a worker thread. PyTorch's loop is eager. jax either \
         calls one jitted step at a time, or runs all steps inside one jitted scan, which is impossible for a loop that reads anything \
         between steps. In the first round, which is not counted, all sides train the same model; after it, mean losses must agree \
         within {:.0} % before a time counts. *Protocol*: {rounds} rounds in which each side does the steps once, in turn, each in a \
         process of {threads} threads. *Times* are medians, in milliseconds per step. *Ratio*: median and extremes of the peer's time \
         over ours within a round (above 1, ours is faster). *Peers*: {versions}. *Machine*: {}.\n\n{table}\n{images}\n\
         ### The loop over the bare network\n\n{overhead}\n\
         ### Peak memory\n\n*Work*: {MEMORY_STEPS} steps of the small U-Net at batch 64, with AdamW and an EMA, in fresh processes. \
         PyTorch runs torchcfm's network in eager mode. The columns are the resident memory in MiB before the network is built, its \
         peak, and the difference.\n\n\
         | who | before | peak | difference |\n|---|---|---|---|\n{rows}",
        100.0 * LATER.within,
        machine()
    );
    Ok(Report { text, targets })
}

fn header(peers: &[(&str, &str)]) -> String {
    let titles: String = peers.iter().map(|(_, title)| format!(" {title} | ratio |")).collect();
    format!("| network | ours |{titles}\n|---|---|{}\n", "---|---|".repeat(peers.len()))
}

/// Whole steps of image networks from the same weights.
fn images(ours: &mut Worker, dir: &str, rounds: u32) -> anyhow::Result<(String, Vec<Target>)> {
    let mut theirs = Worker::start(&mut script(&environment(Peers::All)?, "step_worker.py"), threads(THREADS))?;
    let versions = theirs.versions()?;
    let (mut rows, mut targets) = (String::new(), Vec::new());
    for (network, description, steps) in IMAGES {
        ours.ask(&format!("load {dir} {network}"))?;
        theirs.ask(&format!("load {dir} {network}"))?;
        let contestants = Contestants { ours, theirs: &mut theirs, peers: &IMAGE_PEERS };
        let (row, medians) = steps_of(contestants, network, FIRST, steps, rounds)?;
        writeln!(rows, "| {description} | {row} |")?;
        targets.push(Target::at_least(1.1, format!("{description}: PyTorch eager over ours"), [medians[0]]));
    }
    let text = format!(
        "### Whole steps of image networks\n\n*Work*: a step from the same weights on random images stored as bytes. On both sides it \
         includes batch, noise, times, network, clipping at 1, AdamW and an EMA. PyTorch uses fused AdamW, and foreach forms of clipping \
         and EMA. diffusers' DiT embeds time and class again in each block. Mean losses of the first round, which is not counted, must \
         agree within {:.0} %. *Peers*: {versions}.\n\n{}{rows}",
        100.0 * FIRST.within,
        header(&IMAGE_PEERS)
    );
    Ok((text, targets))
}

/// Alternated runs as the cells of a row, and the medians of the ratios.
fn steps_of(
    Contestants { ours, theirs, peers }: Contestants<'_>,
    case: &str,
    alike: Alike,
    steps: u64,
    rounds: u32,
) -> anyhow::Result<(String, Vec<f64>)> {
    let order = places::order(case, &peers.iter().map(|p| p.0).collect::<Vec<_>>());
    let (mut own, mut seen) = (Vec::new(), vec![Vec::new(); peers.len()]);
    for round in 0..=rounds {
        let mut answers = Vec::new();
        for who in &order {
            let answer = match who.checked_sub(1) {
                None => ours.solve(&format!("loop {steps}"))?,
                Some(peer) => theirs.solve(&format!("{} {steps}", peers[peer].0))?,
            };
            answers.push((*who, answer));
        }
        answers.sort_by_key(|(who, _)| *who);
        let mine = answers[0].1;
        for (((peer, _), times), (_, found)) in peers.iter().zip(&mut seen).zip(&answers[1..]) {
            let off = (found.value - mine.value).abs() / mine.value;
            ensure!(
                alike.first != (round == 0) || off <= alike.within,
                "{peer} is at a loss of {}, ours at {}: no times are compared",
                found.value,
                mine.value
            );
            if round > 0 {
                times.push(found.seconds);
            }
        }
        if round > 0 {
            own.push(mine.seconds);
        }
    }
    let mut row = cell(1e3 * median(&own));
    for times in &seen {
        write!(row, " | {} | {}", cell(1e3 * median(times)), spread(&over(times, &own), 2))?;
    }
    Ok((row, seen.iter().map(|times| median(&over(times, &own))).collect()))
}

/// The time of a step of the small U-Net beyond its network's forward and backward pass.
fn overhead(ours: &mut Worker, dir: &str, rounds: u32, device: &str) -> anyhow::Result<(String, f64)> {
    let (network, description, steps) = match device {
        "cpu" => ("unet", "the U-Net of `cifar10-tiny` at batch 64", UNET_STEPS),
        // Many steps between two reads from the device, at a size that is usual on a GPU.
        _ => ("unet-35m-bf16", "the U-Net of `cifar10-unet` at batch 128 in bf16", GPU_STEPS),
    };
    ours.ask(&format!("load {dir} {network}"))?;
    let (mut shares, mut bare, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        eprintln!("overhead {round}");
        // The bare network before and after, so that a change in the machine's speed does not count
        // as overhead of the loop.
        let before = ours.solve(&format!("bare {steps}"))?.seconds;
        let step = ours.solve(&format!("loop {steps}"))?.seconds;
        let after = ours.solve(&format!("bare {steps}"))?.seconds;
        if round > 0 {
            let alone = 0.5 * (before + after);
            shares.push(100.0 * (step / alone - 1.0));
            bare.push(alone);
            whole.push(step);
        }
    }
    let (low, high) = shares.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), r| (l.min(*r), h.max(*r)));
    let text = format!(
        "*Work*: {description}. A step of the loop takes {:.0} ms; a forward and backward pass of its network and loss alone takes {:.0} \
         ms. \
         The loop takes **{:.1} %** more ({low:.1} to {high:.1}; medians and extremes over {rounds} rounds of {steps} steps each; the \
         bare network is measured before and after each).\n",
        1e3 * median(&whole),
        1e3 * median(&bare),
        median(&shares)
    );
    Ok((text, median(&shares)))
}

fn memory(worker: &mut Worker, request: &str) -> anyhow::Result<[f64; 2]> {
    let answer = worker.ask(request)?;
    let bytes = |key: &str| answer[key].as_f64().context("a worker does not know its memory");
    Ok([bytes("before")?, bytes("peak")?])
}
