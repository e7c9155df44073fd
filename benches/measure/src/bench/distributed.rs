//! Two processes with one thread each against one process with two threads, and against PyTorch's
//! DDP; the time of a step spent in exchanging gradients.

use super::contest::{cell, median, over, spread};
use super::places;
use super::target::{Report, Target};
use super::worker::{self, Peers, Worker, environment, script};
use crate::machine::machine;
use anyhow::{Context, ensure};
use serde_json::Value;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::Command;

/// Network, description, parameters, steps per round, and the required ratio of DDP's time to ours.
const NETWORKS: [(&str, &str, u64, u64, Option<f64>); 2] = [
    ("unet-2m", "U-Net, 32 channels, batch 64", 2_247_043, 2, None),
    ("unet-35m", "U-Net, 128 channels, batch 8", 35_751_427, 1, Some(1.0)),
];
const RANKS: usize = 2;
/// One process and several use the same rows: their losses are equal up to the order of sums.
const SAME: f64 = 1e-3;
/// Number of rounds whose losses are compared: rounding errors grow with the steps.
const COMPARED: u32 = 5;
/// PyTorch starts from other weights and draws other numbers.
const LIKE: f64 = 0.1;
const SENT: [&str; 2] = ["f32", "bf16"];
const TIMES: u32 = 20;

/// The processes of one group, which get the same requests.
struct Team(Vec<Worker>);

impl Team {
    fn start(ranks: usize, threads: usize, command: impl Fn() -> Command) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let start = |rank: usize| {
            let mut command = command();
            command
                .env("RANK", rank.to_string())
                .env("LOCAL_RANK", rank.to_string())
                .env("WORLD_SIZE", ranks.to_string());
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
            Worker::start(&mut command, threads)
        };
        Ok(Self((0..ranks).map(start).collect::<anyhow::Result<_>>()?))
    }

    /// The answers of all ranks, by rank.
    fn ask(&mut self, request: &str) -> anyhow::Result<Vec<Value>> {
        self.0.iter_mut().try_for_each(|worker| worker.send(request))?;
        self.0.iter_mut().map(|worker| worker.receive(request)).collect()
    }
}

/// Seconds, the loss, and seconds spent in the exchange.
#[derive(Clone, Copy)]
struct Step([f64; 3]);

fn step(team: &mut Team, steps: u64) -> anyhow::Result<Step> {
    let answers = team.ask(&format!("loop {steps}"))?;
    let number = |key: &str| answers[0][key].as_f64().unwrap_or(f64::NAN);
    // The rank with the shortest exchange does not wait for others, so its time is that of the
    // exchange itself.
    let exchange = answers.iter().filter_map(|a| a["exchange"].as_f64()).fold(f64::INFINITY, f64::min);
    ensure!(number("seconds") > 0.0, "a worker did not say how long it took");
    Ok(Step([number("seconds"), number("value"), exchange]))
}

pub(super) fn report(rounds: u32) -> anyhow::Result<Report> {
    let python = environment(Peers::All)?;
    places::build(&["-p", "fm-benches", "--features", "tch", "--bin", "training-worker"])?;
    let ours = || worker::ours("training-worker");
    let theirs = || script(&python, "distributed_worker.py");
    let mut table = String::from(
        "| network | parameters | 1 process, 2 threads | 2 processes, 1 thread | ratio | exchange, share of a step | DDP, 2 processes | ratio |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let mut targets = Vec::new();
    for (network, description, parameters, steps, to_ddp) in NETWORKS {
        let (mut one, mut two) = (Team::start(1, RANKS, ours)?, Team::start(RANKS, 1, ours)?);
        let mut ddp = Team::start(RANKS, 1, theirs)?;
        for team in [&mut one, &mut two] {
            team.ask(&format!("load . {network}"))?;
        }
        let known = ddp.ask(&format!("load {network}"))?[0]["parameters"].as_f64().unwrap_or(f64::NAN);
        ensure!((known / parameters as f64 - 1.0).abs() < 0.03, "{network} has {known} parameters in PyTorch");
        let (mut times, mut shares) = ([const { Vec::new() }; 3], Vec::new());
        let order = places::order(network, &["two processes", "DDP"]);
        for round in 0..=rounds {
            let mut seen = [Step([f64::NAN; 3]); 3];
            for who in &order {
                let team = [&mut one, &mut two, &mut ddp];
                seen[*who] = step(team[*who], steps)?;
            }
            let [alone, shared, peer] = seen.map(|s| s.0[1]);
            ensure!(
                round > COMPARED || (shared / alone - 1.0).abs() < SAME,
                "two processes are at {shared}, one is at {alone}"
            );
            ensure!(round > 0 || (peer / alone - 1.0).abs() < LIKE, "PyTorch is at {peer}, ours at {alone}");
            // The first round warms caches and allocators.
            if round > 0 {
                times.iter_mut().zip(seen).for_each(|(times, s)| times.push(s.0[0]));
                shares.push(100.0 * seen[1].0[2] / seen[1].0[0]);
            }
        }
        let [alone, shared, peer] = &times;
        if let Some(bound) = to_ddp {
            let what = format!("{description}: DDP over two processes of ours");
            targets.push(Target::at_least(bound, what, [median(&over(peer, shared))]));
        }
        writeln!(
            table,
            "| {description} | {known:.3e} | {} | {} | {} | {} % | {} | {} |",
            cell(1e3 * median(alone)),
            cell(1e3 * median(shared)),
            ratio(alone, shared),
            spread(&shares, 1),
            cell(1e3 * median(peer)),
            ratio(peer, shared),
        )?;
    }
    let mut sums = String::from("| values | type | ours | PyTorch | ratio |\n|---|---|---|---|---|\n");
    let (mut own, mut peer) = (Team::start(RANKS, 1, ours)?, Team::start(RANKS, 1, theirs)?);
    let versions = peer.ask("versions")?[0]["PyTorch"].as_str().context("PyTorch has no version")?.to_owned();
    for (_, _, count, _, _) in NETWORKS {
        for kind in SENT {
            let (mut mine, mut others) = (Vec::new(), Vec::new());
            for round in 0..=rounds.min(5) {
                let mut seconds = [0.0; 2];
                for (seconds, team) in seconds.iter_mut().zip([&mut own, &mut peer]) {
                    let answers = team.ask(&format!("reduce {count} {kind} {TIMES}"))?;
                    ensure!(answers.iter().all(|a| a["value"] == 4.0), "1 + 1, and that twice, is not 4: {answers:?}");
                    *seconds = answers[0]["seconds"].as_f64().context("no time")?;
                }
                if round > 0 {
                    mine.push(seconds[0]);
                    others.push(seconds[1]);
                }
            }
            let (a, b) = (cell(1e3 * median(&mine)), cell(1e3 * median(&others)));
            writeln!(sums, "| {count} | {kind} | {a} | {b} | {} |", ratio(&others, &mine))?;
        }
    }
    let text = format!(
        "## Several processes\n\n*Work*: a training step on random images of 3 x 32 x 32, as under *Training steps*: by one process with \
         {RANKS} threads, and by \
         {RANKS} processes with one thread each, on halves of the same batches, on one machine over loopback; and by PyTorch's \
         `DistributedDataParallel` over Gloo, with torchcfm's network of the same size and fused AdamW. Both sum gradients during the \
         backward pass. Before a time counts, the mean losses of one and two processes must agree within {SAME:e}, and those of PyTorch, \
         which draws other random numbers, within {LIKE} at the start. *Exchange* is \
         the time of the all-reduce on the rank that waits less. *Protocol*: {rounds} rounds in turn (in a random order per network; \
         seed {}), after one round that is not counted. *Times* are medians, in milliseconds per step. *Ratio*: median and extremes; \
         above 1, our two processes are faster. *Peer*: PyTorch {versions}. \
         *Machine*: {}.\n\n{table}\n### All-reduce alone\n\n*Work*: a vector, summed over {RANKS} processes; as bf16 it is cast, summed \
         and cast back. Times are in milliseconds, means of the fastest half of {TIMES} repetitions.\n\n{sums}",
        places::seed(),
        machine()
    );
    Ok(Report { text, targets })
}

/// The ratio of the time of `base` to that of `other`, round by round.
fn ratio(base: &[f64], other: &[f64]) -> String {
    spread(&over(base, other), 2)
}
