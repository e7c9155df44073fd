//! Distances between samples and between features, against SciPy, pytorch-fid, clean-fid and prdc;
//! and FID of folders of images.

use super::contest::{Agreement, cell, contest};
use super::places;
use super::target::{Report, Target};
use super::worker::{self, Peers, Worker, environment, folder, script, threads};
use crate::machine::machine;
use anyhow::{Context, ensure};
use fm_terminal::eprintln;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;
use xtask_shell::{ours, output};

/// A measurement: our request, the peer's request and name, rows, dimensions, and the required
/// agreement.
struct Case {
    title: &'static str,
    request: &'static str,
    peer: &'static str,
    rows: usize,
    dim: usize,
    agreement: Agreement,
}

const fn case(
    title: &'static str,
    request: &'static str,
    peer: &'static str,
    (rows, dim): (usize, usize),
    agreement: Agreement,
) -> Case {
    Case { title, request, peer, rows, dim, agreement }
}

const CASES: [Case; 10] = [
    case("energy distance", "energy", "SciPy `cdist`", (10_000, 2), Agreement::Optimum),
    case("energy distance", "energy", "SciPy `cdist`", (10_000, 64), Agreement::Optimum),
    case("energy distance", "energy", "SciPy `cdist`", (50_000, 2), Agreement::Optimum),
    case("Fréchet distance", "frechet", "pytorch-fid", (10_000, 64), Agreement::Within(1e-6)),
    case("Fréchet distance", "frechet", "pytorch-fid", (10_000, 2048), Agreement::Within(1e-6)),
    case("KID, 100 subsets", "kid 100", "clean-fid", (10_000, 64), Agreement::Within(0.05)),
    case("KID, 10 subsets", "kid 10", "clean-fid", (10_000, 2048), Agreement::Within(0.05)),
    case("KID, 10 subsets", "kid 10", "clean-fid, f64", (10_000, 2048), Agreement::Within(0.05)),
    case("precision to coverage", "prdc", "prdc", (10_000, 64), Agreement::Optimum),
    case("precision to coverage", "prdc", "prdc", (10_000, 2048), Agreement::Optimum),
];
/// Images per folder for the whole command, so that a covariance of 2048 features has full rank.
const IMAGES: usize = 2100;

pub(super) fn report(rounds: u32) -> anyhow::Result<Report> {
    let python = environment(Peers::All)?;
    places::build(&["-p", "fm-benches", "--bin", "metrics-worker"])?;
    places::build(&["-p", "cifar-train"])?;
    let (dir, threads) = (folder("metrics")?, threads(2));
    let (mut table, mut versions, mut large) = (String::new(), String::new(), f64::NAN);
    for Case { title, request, peer, rows, dim, agreement } in &CASES {
        eprintln!("{title}, {rows} rows of {dim}");
        // New processes, so that their peak memory belongs to this case.
        let mut ours = Worker::start(&mut worker::ours("metrics-worker"), threads)?;
        let mut theirs = Worker::start(&mut script(&python, "metrics_worker.py"), threads)?;
        versions = theirs.versions()?;
        ours.ask(&format!("make {dir} {rows} {dim}"))?;
        ours.ask(&format!("load {dir}"))?;
        theirs.ask(&format!("load {dir}"))?;
        let t = contest((&mut ours, &mut theirs), request, &[asked(request, peer)], *agreement, rounds)?;
        if *rows == 50_000 {
            large = t.median_ratio(&[0]);
        }
        let [mine, its] = [&mut ours, &mut theirs]
            .map(|worker| worker.ask("memory").map(|m| cell(m["peak"].as_f64().unwrap_or(f64::NAN))));
        writeln!(
            table,
            "| {title} | {rows} x {dim} | {} | {} {peer} | {} | {} / {} | {} |",
            t.ours(),
            t.peer(0),
            t.ratio(&[0]),
            mine?,
            its?,
            t.rounds()
        )?;
    }
    let whole = whole(&python, &dir, threads)?;
    let targets = vec![Target::at_least(3.0, "energy distance, 50,000 points: SciPy's `cdist` over ours", [large])];
    let text = format!(
        "## Metrics\n\n*Work*: two sets of rows in files that both sides read: standard normal, and standard normal shifted by 0.25 \
         along each axis. The numbers must \
         agree before a time counts: to 1e-9 (energy distance; precision, recall, density and coverage together), to 1e-6 (Fréchet \
         distance), and KID, whose \
         subsets each side draws itself, to 5 %. *Protocol*: one warm-up, then {rounds} rounds (fewer if a case takes a minute) in turn, \
         in processes of {threads} \
         threads. *Times* are medians, in milliseconds. *Ratio*: median and extremes of the peer's time over ours within a round (above \
         1, ours is faster). \
         *Memory*: peak of each process, in MiB. SciPy's `cdist` gets 1000 rows at a time, and each pair within a set once. clean-fid \
         multiplies features in their own precision, f32; ours multiplies in f64. If the features are converted to f64 before the clock \
         starts, clean-fid does the same work as ours. *Peers*: {versions}. \
         *Machine*: {}.\n\n\
         | work | rows | ours | peer | ratio | memory, ours / peer | rounds |\n|---|---|---|---|---|---|---|\n{table}\n{whole}",
        machine()
    );
    Ok(Report { text, targets })
}

/// The peer's request; its name selects f64 features.
fn asked(request: &str, peer: &str) -> String {
    if peer.ends_with("f64") { request.replace("kid", "kid64") } else { request.to_owned() }
}

/// Runs the whole command on two folders of images, once, because both sides take minutes for
/// Inception.
fn whole(python: &Path, dir: &str, threads: usize) -> anyhow::Result<String> {
    eprintln!("FD-inception of folders");
    let mut theirs = Worker::start(&mut script(python, "metrics_worker.py"), threads)?;
    theirs.ask(&format!("folders {dir} {IMAGES}"))?;
    let cache = format!("{dir}/cache");
    ours::empty(Path::new(&cache))?;
    let words = format!(
        "evaluate --samples folder:{dir}/a --data folder:{dir}/b --metrics fd-inception --inception-weights {dir}/weights.pth --device cpu \
         --cache {cache} --json {dir}/fd.json"
    );
    let mut command = worker::ours("cifar-train");
    command
        .args(words.split_whitespace())
        .env("OMP_NUM_THREADS", threads.to_string())
        .env("RAYON_NUM_THREADS", threads.to_string());
    let started = Instant::now();
    output(&mut command)?;
    let seconds = started.elapsed().as_secs_f64();
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(format!("{dir}/fd.json"))?)?;
    let own = result["metrics"]["fd-inception"]["value"].as_f64().context("evaluate found no fd-inception")?;
    let peer = theirs.solve(&format!("fid {dir}"))?;
    let off = (own / peer.value - 1.0).abs();
    ensure!(off < 1e-4, "fd-inception is {own}, pytorch-fid says {}: no times are compared", peer.value);
    Ok(format!(
        "Whole commands, measured once from start to result: `evaluate --metrics fd-inception` and pytorch-fid on two folders of \
         {IMAGES} PNG images of 32 x 32, with the same random weights. \
         They take {seconds:.0} s and {:.0} s (ratio **{:.2}**) and give {own:.6} and {:.6}, a relative difference of {off:.0e}.\n",
        peer.seconds,
        peer.seconds / seconds,
        peer.value
    ))
}
