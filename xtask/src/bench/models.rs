//! Networks against PyTorch: a forward and backward pass, and a forward pass as sampling makes it.

use super::contest::{cell, median, over};
use super::machine;
use super::target::{Report, Target};
use super::worker::{self, Peers, Worker, environment, folder, script, threads};
use crate::shell::{cargo, execute};
use anyhow::ensure;
use std::fmt::Write as _;

const NETWORKS: [(&str, &str); 3] = [
    ("tiny", "U-Net, 32 channels, (1, 2, 2), batch 16"),
    ("cifar10", "U-Net of CIFAR-10, 35.7M parameters, batch 8"),
    ("dit", "DiT 384 x 6 x 6, 2 x 2 patches, batch 16"),
];
const PEERS: [(&str, &str); 3] = [("eager", "eager"), ("compiled", "torch.compile"), ("last", "eager, channels last")];
const THREADS: usize = 2;

/// Steps of a sampler.
const STEPS: usize = 10;

/// What is measured, and what heads its table.
type Work<'a> = (&'a str, &'a str);

pub(super) fn report(rounds: u32, device: &str) -> anyhow::Result<Report> {
    let works = [("train", "Forward and backward"), ("infer", "Forward, as sampling makes it")];
    let Compared { tables, versions, targets } = compared(&works, rounds, device)?;
    let text = format!(
        "## Networks{}\n\n*Work*: the same weights (read strictly by both sides) and the same batch. Forward and backward is what a training step does \
         with the network, with zeroing or dropping gradients before; a forward pass is one evaluation of a sampler, at a time that all \
         samples share, without gradients. Dropout is off. The loss, or the mean absolute output, must agree to a relative 1e-3 before a time \
         counts. What torch.compile gains over eager PyTorch, and over ours, is elementwise work between matrix products in one loop, where libtorch has an \
         operator each. {} *Peers*: torchcfm's U-Net and diffusers' DiT; {versions}. *Machine*: {}.\n\n{tables}",
        on(device),
        protocol(rounds),
        machine()
    );
    Ok(Report { text, targets })
}

/// Sampling, from noise to samples.
pub(super) fn sampling(rounds: u32, device: &str) -> anyhow::Result<Report> {
    let work = format!("sample {STEPS}");
    let works = [(work.as_str(), "Euler steps from noise to samples")];
    let Compared { tables, versions, targets } = compared(&works, rounds, device)?;
    let text = format!(
        "## Sampling{}\n\n*Work*: {STEPS} Euler steps of the same networks from the same noise, as `cifar-train sample` takes them; the peers take them by torchdiffeq. The \
         samples' mean absolute value must agree to a relative 1e-3 before a time counts. {} *Peers*: torchcfm's U-Net and diffusers' DiT; {versions}. *Machine*: \
         {}.\n\n{tables}",
        on(device),
        protocol(rounds),
        machine()
    );
    Ok(Report { text, targets })
}

/// What a heading adds for a device.
pub(super) fn on(device: &str) -> String {
    if device == "cpu" { String::new() } else { format!(" on {device}") }
}

fn protocol(rounds: u32) -> String {
    let threads = threads(THREADS);
    format!(
        "*Protocol*: after a warm-up that includes compilation, {rounds} rounds in which everyone does the work once, in turn, each in a process of {threads} \
         threads. *Times* are medians, in milliseconds. *Ratio*: our time over the peer's within a round (below 1, ours is faster), median and extremes."
    )
}

struct Compared {
    tables: String,
    versions: String,
    targets: Vec<Target>,
}

fn compared(works: &[Work<'_>], rounds: u32, device: &str) -> anyhow::Result<Compared> {
    let python = environment(Peers::All)?;
    execute(&mut cargo(&["build", "--release", "-p", "fm-benches", "--features", "tch", "--bin", "models-worker"]))?;
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
            eprintln!("{work} {network}");
            ours.ask(&format!("load {dir} {network}"))?;
            theirs.ask(&format!("load {dir} {network}"))?;
            let (row, to_eager) = rounds_of((&mut ours, &mut theirs), work, &peers, rounds)?;
            writeln!(tables, "| {description} | {row} |")?;
            eager.push(to_eager);
        }
        tables.push('\n');
        targets.push(Target::at_most(1.03, format!("{title}: ours over eager PyTorch"), eager));
    }
    Ok(Compared { tables, versions, targets })
}

/// Channels last is a way to train; forward passes are compared with the other two.
fn peers_of(work: &str) -> Vec<(&'static str, &'static str)> {
    PEERS.into_iter().filter(|(peer, _)| work == "train" || *peer != "last").collect()
}

fn header(peers: &[(&str, &str)]) -> String {
    let titles: String = peers.iter().map(|(_, title)| format!(" {title} | ratio |")).collect();
    format!("| network | ours |{titles}\n|---|---|{}", "---|---|".repeat(peers.len()))
}

/// Alternated runs as the cells of a row, and the ratio to the first peer.
fn rounds_of(
    (ours, theirs): (&mut Worker, &mut Worker),
    work: &str,
    peers: &[(&str, &str)],
    rounds: u32,
) -> anyhow::Result<(String, f64)> {
    let (mut own, mut seen) = (Vec::new(), vec![Vec::new(); peers.len()]);
    for round in 0..=rounds {
        let mine = ours.solve(work)?;
        for ((peer, _), times) in peers.iter().zip(&mut seen) {
            let found = theirs.solve(&format!("{peer} {work}"))?;
            let off = (found.value - mine.value).abs() / mine.value.abs().max(1e-9);
            ensure!(off <= 1e-3, "{peer} finds {} where ours finds {}: no times are compared", found.value, mine.value);
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
