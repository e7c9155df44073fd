//! The time that a coupling adds to a training step.

use super::contest::{median, over};
use super::places;
use super::target::{Report, Target};
use super::worker::{self, Worker, folder};
use crate::machine::machine;
use anyhow::{Context, ensure};
use fm_terminal::eprintln;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use xtask_shell::{ours, output};

const COUPLINGS: [&str; 2] = ["exact", "sinkhorn"];
/// Rows per batch, and values per CIFAR-10 image.
const SHAPE: [usize; 2] = [128, 3072];
/// Steps of a run; the first of three log lines is warm-up.
const STEPS: u32 = 9;
const LOG_EVERY: u32 = 3;
/// Number of batches that are coupled between two runs.
const BATCHES: usize = 20;

pub(super) fn report(rounds: u32) -> anyhow::Result<Report> {
    // Built separately: in one build, the torch-free worker would be linked with libtorch.
    places::build(&["-p", "cifar-train"])?;
    places::build(&["-p", "fm-benches"])?;
    let dir = folder("coupling")?;
    let mut ours = Worker::start(&mut worker::ours("bench-worker"), 1)?;
    ours.ask(&format!("make {dir} {} {} 1", SHAPE[0], SHAPE[1]))?;
    ours.ask(&format!("load {dir}"))?;
    let mut steps = Vec::new();
    let mut couplings = vec![Vec::new(); COUPLINGS.len()];
    for round in 0..rounds {
        eprintln!("round {round}");
        steps.push(seconds_per_step(Path::new(&dir))?);
        for (coupling, seen) in COUPLINGS.iter().zip(&mut couplings) {
            let once = |_| Ok(ours.solve(&format!("couple {coupling}"))?.seconds);
            seen.push(median(&(0..BATCHES).map(once).collect::<anyhow::Result<Vec<_>>>()?));
        }
    }
    let mut table =
        String::from("| coupling | milliseconds per batch | share of a step, median and extremes |\n|---|---|---|\n");
    let mut most = Vec::new();
    for (coupling, seen) in COUPLINGS.iter().zip(&couplings) {
        let shares: Vec<f64> = over(seen, &steps).iter().map(|share| 100.0 * share).collect();
        most.push(median(&shares));
        let (low, high) = shares.iter().fold((f64::INFINITY, 0f64), |(l, h), r| (l.min(*r), h.max(*r)));
        writeln!(
            table,
            "| {coupling} | {:.2} | {:.2} % ({low:.2} to {high:.2}) |",
            1e3 * median(seen),
            median(&shares)
        )?;
    }
    let text = format!(
        "## What a coupling adds to a training step\n\n\
         *Work*: a training step is one of `cifar-train train --preset cifar10-tiny --model unet --batch-size 128 --coupling \
         independent` on CIFAR-10 \
         (`cargo xtask fetch-cifar10` first); a coupling pairs {} rows of {} values, cost matrix included, on one thread. *Protocol*: {rounds} \
         rounds. A round has a run of {STEPS} steps, of which the last two thirds count, and couples {BATCHES} batches, of which the \
         median counts. The share is the time by which a step would be longer if it waited for its coupling. It does not wait, because \
         worker threads pair batches one step ahead. A step takes \
         {:.2} s. *Machine*: {}.\n\n{table}",
        SHAPE[0],
        SHAPE[1],
        median(&steps),
        machine()
    );
    let what = "the exact coupling's share of a step, in %";
    Ok(Report { text, targets: vec![Target::at_most(3.0, what, [most[0]])] })
}

fn seconds_per_step(home: &Path) -> anyhow::Result<f64> {
    let trained = home.join("trained");
    ours::empty(&trained)?;
    let out = trained.join("run");
    let mut command = worker::ours("cifar-train");
    command.args(["train", "--preset", "cifar10-tiny", "--model", "unet", "--batch-size", "128"]);
    command.args(["--coupling", "independent", "--save-every", "0", "--sample-every", "0"]);
    command.args(["--steps", &STEPS.to_string(), "--log-every", &LOG_EVERY.to_string(), "--out"]).arg(&out);
    output(&mut command)?;
    let text = std::fs::read_to_string(out.join("timing.jsonl")).context("the run wrote no timing.jsonl")?;
    let rates: Vec<f64> = text
        .lines()
        .skip(1)
        .filter_map(|l| serde_json::from_str::<Value>(l).ok()?["steps_per_second"].as_f64())
        .collect();
    ensure!(!rates.is_empty(), "timing.jsonl has no line beside the first");
    Ok(rates.iter().map(|r| 1.0 / r).sum::<f64>() / rates.len() as f64)
}
