//! Networks against PyTorch: a forward and backward pass, and a forward pass as in sampling.

use super::contest::{cell, median, over};
use super::places;
use super::target::{Report, Target};
use super::worker::{self, Peers, Worker, environment, folder, script, threads};
use crate::machine::machine;
use anyhow::ensure;
use std::fmt::Write as _;

const NETWORKS: [(&str, &str); 3] = [
    ("tiny", "U-Net, 32 channels, (1, 2, 2), batch 16"),
    ("cifar10", "U-Net of CIFAR-10, 35.7M parameters, batch 8"),
    ("dit", "DiT 384 x 6 x 6, 2 x 2 patches, batch 16"),
];
const PEERS: [(&str, &str); 3] = [("eager", "eager"), ("compiled", "torch.compile"), ("last", "eager, channels last")];
const THREADS: usize = 2;
/// On a GPU: rows per batch, precision, and passes between two reads from the device.
const GPU_ROWS: u32 = 128;
const GPU_PASSES: u32 = 50;
/// Bounds on |a - b| / |b| of gradients: in f32, and in bf16 with autocast, which keeps other
/// operators in f32 than our code.
const GRADIENT_BOUND: f64 = 1e-3;
const GPU_GRADIENT_BOUND: f64 = 5e-2;

/// Steps of the sampler.
const STEPS: usize = 10;

/// A request, and the heading of its table.
type Work<'a> = (&'a str, &'a str);

pub(super) fn report(rounds: u32, device: &str) -> anyhow::Result<Report> {
    let passes = if device == "cpu" { String::new() } else { format!(" {GPU_PASSES}") };
    let requests = ["train", "infer"].map(|work| format!("{work}{passes}"));
    let works = [(requests[0].as_str(), "Forward and backward"), (&requests[1], "Forward, as in sampling")];
    let Compared { tables, versions, targets } = compared(&works, rounds, device)?;
    let text = format!(
        "## Networks{}\n\n*Work*: the same weights (loaded with strict matching by both sides) and the same batch. A forward and \
         backward pass is the work of a training step on the network, after zeroing or dropping its gradients. A forward pass is one \
         evaluation of a sampler, without gradients, at one time for all samples. Dropout is off. {} torch.compile fuses the elementwise \
         work between matrix products into one loop; eager PyTorch and ours call one libtorch operator for each operation. {} *Peers*: \
         torchcfm's U-Net and diffusers' DiT; {versions}. *Machine*: {}.\n\n{tables}",
        on(device),
        agreement(device),
        protocol(rounds),
        machine()
    );
    Ok(Report { text, targets })
}

/// The agreement that is required before times are compared, and the batches.
fn agreement(device: &str) -> String {
    if device == "cpu" {
        return format!(
            "The loss, or the mean absolute output, must agree to a relative 1e-3, and gradients to |a - b| / |b| of {GRADIENT_BOUND:e}, before a time counts."
        );
    }
    format!(
        "Batches have {GPU_ROWS} rows; the network computes in bf16 (PyTorch: autocast), and the device is read once in {GPU_PASSES} passes. Gradients must \
         agree to |a - b| / |b| of {GPU_GRADIENT_BOUND:e}, and mean absolute outputs to as much, before a time counts."
    )
}

/// Sampling, from noise to samples.
pub(super) fn sampling(rounds: u32, device: &str) -> anyhow::Result<Report> {
    let steps = if device == "cpu" { STEPS } else { GPU_PASSES as usize };
    let work = format!("sample {steps}");
    let works = [(work.as_str(), "Euler steps from noise to samples")];
    let Compared { tables, versions, targets } = compared(&works, rounds, device)?;
    let text = format!(
        "## Sampling{}\n\n*Work*: {steps} Euler steps of the same networks from the same noise, as in `cifar-train sample`; the peers \
         use torchdiffeq. {} \
         The same holds for the samples' mean absolute value. {} *Peers*: torchcfm's U-Net and diffusers' DiT; {versions}. *Machine*: \
         {}.\n\n{tables}",
        on(device),
        agreement(device),
        protocol(rounds),
        machine()
    );
    Ok(Report { text, targets })
}

/// The addition to a heading for a device.
pub(super) fn on(device: &str) -> String {
    if device == "cpu" { String::new() } else { format!(" on {device}") }
}

fn protocol(rounds: u32) -> String {
    let threads = threads(THREADS);
    format!(
        "*Protocol*: after a warm-up that includes compilation, {rounds} rounds in which each side does the work once, in turn (in a \
         random order per case; seed {}), each in a process of {threads} \
         threads. *Times* are medians, in milliseconds. *Ratio*: median and extremes of our time over the peer's within a round (below \
         1, ours is faster).",
        places::seed()
    )
}

struct Compared {
    tables: String,
    versions: String,
    targets: Vec<Target>,
}

fn compared(works: &[Work<'_>], rounds: u32, device: &str) -> anyhow::Result<Compared> {
    let python = environment(Peers::All)?;
    places::build(&["-p", "fm-benches", "--features", "tch", "--bin", "models-worker"])?;
    let (dir, threads) = (folder("models")?, threads(THREADS));
    let mut ours = Worker::start(worker::ours("models-worker").arg(device), threads)?;
    let mut theirs = Worker::start(script(&python, "models_worker.py").arg(device), threads)?;
    ours.ask(&format!("make {dir}"))?;
    let versions = theirs.versions()?;
    let (mut tables, mut targets) = (String::new(), Vec::new());
    for (work, title) in works {
        let peers = peers_of(work);
        writeln!(tables, "### {title}\n\n{}", header(&peers))?;
        let mut eager = Vec::new();
        for (network, description) in NETWORKS {
            let on_gpu = device != "cpu";
            let size = if on_gpu { format!(" {GPU_ROWS} bf16") } else { String::new() };
            ours.ask(&format!("load {dir} {network}{size}"))?;
            theirs.ask(&format!("load {dir} {network}{size}"))?;
            let bound = if on_gpu { GPU_GRADIENT_BOUND } else { GRADIENT_BOUND };
            gradients_agree((&mut ours, &mut theirs), &format!("{dir} {network}"), bound)?;
            // A loss sums terms of both signs, so in bf16 it agrees less well than the gradients,
            // which were compared already.
            let tolerance = match (on_gpu, work.starts_with("train")) {
                (false, _) => 1e-3,
                (true, true) => f64::INFINITY,
                (true, false) => bound,
            };
            let order = places::order(&format!("{work} {network}"), &peers.iter().map(|p| p.0).collect::<Vec<_>>());
            let (row, to_eager) = rounds_of((&mut ours, &mut theirs), work, &peers, &order, (rounds, tolerance))?;
            let description =
                if on_gpu { description.split(", batch").next().unwrap_or(description) } else { description };
            writeln!(tables, "| {description} | {row} |")?;
            eager.push(to_eager);
        }
        tables.push('\n');
        let bound = if work.starts_with("train") { 1.0 } else { 1.03 };
        targets.push(Target::at_most(bound, format!("{title}: ours over eager PyTorch"), eager));
    }
    Ok(Compared { tables, versions, targets })
}

/// The peers of a request. Channels last is used for training; forward passes are compared with the
/// other two.
fn peers_of(work: &str) -> Vec<(&'static str, &'static str)> {
    PEERS.into_iter().filter(|(peer, _)| work.starts_with("train") || *peer != "last").collect()
}

fn header(peers: &[(&str, &str)]) -> String {
    let titles: String = peers.iter().map(|(_, title)| format!(" {title} | ratio |")).collect();
    format!("| network | ours |{titles}\n|---|---|{}", "---|---|".repeat(peers.len()))
}

/// Compares the gradients for the same weights and batch.
fn gradients_agree((ours, theirs): (&mut Worker, &mut Worker), case: &str, bound: f64) -> anyhow::Result<()> {
    ours.ask(&format!("gradient {case}"))?;
    let off = theirs.ask(&format!("gradient {case}"))?["value"].as_f64().unwrap_or(f64::NAN);
    ensure!(
        off <= bound,
        "gradients of {case} differ by |a - b| / |b| = {off:e}, more than {bound:e}: no times are compared"
    );
    Ok(())
}

/// Alternated runs as the cells of a row, and the ratio to the first peer.
fn rounds_of(
    (ours, theirs): (&mut Worker, &mut Worker),
    work: &str,
    peers: &[(&str, &str)],
    order: &[usize],
    (rounds, tolerance): (u32, f64),
) -> anyhow::Result<(String, f64)> {
    let (mut own, mut seen) = (Vec::new(), vec![Vec::new(); peers.len()]);
    for round in 0..=rounds {
        let mut answers = Vec::new();
        for who in order {
            let answer = match who.checked_sub(1) {
                None => ours.solve(work)?,
                Some(peer) => theirs.solve(&format!("{} {work}", peers[peer].0))?,
            };
            answers.push((*who, answer));
        }
        answers.sort_by_key(|(who, _)| *who);
        let mine = answers[0].1;
        for (((peer, _), times), (_, found)) in peers.iter().zip(&mut seen).zip(&answers[1..]) {
            let off = (found.value - mine.value).abs() / mine.value.abs().max(1e-9);
            ensure!(
                off <= tolerance,
                "{peer} finds {} where ours finds {}: no times are compared",
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
        let ratios = over(&own, times);
        let (low, high) = ratios.iter().fold((f64::INFINITY, 0f64), |(l, h), r| (l.min(*r), h.max(*r)));
        write!(row, " | {} | **{:.3}** ({low:.2} to {high:.2})", cell(1e3 * median(times)), median(&ratios))?;
    }
    Ok((row, median(&over(&own, &seen[0]))))
}
