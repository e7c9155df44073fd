//! Growth of time and memory: each curve measures one piece of our work over one size, with the
//! exponent of a fitted power law.

use super::contest::{cell, median};
use super::places::{self, root};
use super::plot::{Panel, panels};
use super::target::Report;
use super::worker::{self, Worker, folder, threads};
use crate::machine::machine;
use anyhow::Context;
use fm_terminal::eprintln;
use std::fmt::Write as _;

/// Repetitions per point, after one warm-up.
const REPEATS: usize = 5;

/// One piece of work over one size.
struct Curve {
    title: &'static str,
    /// The size that grows.
    axis: &'static str,
    worker: &'static str,
    /// Requests that make the input of a size (`{}` is the size, `DIR` a directory for files), then
    /// the timed request.
    setup: &'static [&'static str],
    work: &'static str,
    sizes: &'static [usize],
    threads: Threads,
}

#[derive(Clone, Copy)]
enum Threads {
    Two,
    /// The size is the number of threads.
    Size,
}

const OT: &[&str] = &["make DIR {} 2 1", "load DIR"];
const POINTS: &[&str] = &["make DIR {} 16", "load DIR"];
const CURVES: [Curve; 11] = [
    curve("exact assignment, 2-D", "points", "bench-worker", OT, "assign", &[256, 512, 1024, 2048, 4096]),
    curve("Sinkhorn, 2-D", "points", "bench-worker", OT, "sinkhorn 0.05 0.001", &[128, 256, 512, 1024, 2048]),
    curve(
        "coupling of a batch, 64-D",
        "rows",
        "bench-worker",
        &["make DIR {} 64 1", "load DIR"],
        "couple exact",
        &[64, 128, 256, 512, 1024],
    ),
    curve(
        "cost matrix, 512 points",
        "dimensions",
        "bench-worker",
        &["make DIR 512 {} 1", "load DIR"],
        "cost",
        &[16, 64, 256, 1024, 3072],
    ),
    curve("energy distance, 16-D", "points", "metrics-worker", POINTS, "energy", &[1000, 2000, 4000, 8000, 16000]),
    curve("precision and recall, 16-D", "points", "metrics-worker", POINTS, "prdc", &[1000, 2000, 4000, 8000]),
    curve(
        "Fréchet distance, 5000 rows",
        "features",
        "metrics-worker",
        &["make DIR 5000 {}", "load DIR"],
        "frechet",
        &[64, 128, 256, 512, 1024],
    ),
    curve(
        "U-Net step, 32 channels, 32 x 32",
        "batch",
        "models-worker",
        &["build 32 32 {}"],
        "train",
        &[2, 4, 8, 16, 32],
    ),
    curve("U-Net step, 32 x 32, batch 8", "channels", "models-worker", &["build {} 32 8"], "train", &[32, 64, 96, 128]),
    curve(
        "U-Net step, 32 channels, batch 8",
        "side of the image",
        "models-worker",
        &["build 32 {} 8"],
        "train",
        &[16, 32, 64],
    ),
    Curve {
        threads: Threads::Size,
        ..curve(
            "U-Net step, 64 channels, 32 x 32, batch 8",
            "threads",
            "models-worker",
            &["build 64 32 8"],
            "train",
            &[1, 2, 4, 8, 16, 32, 64],
        )
    },
];

const fn curve(
    title: &'static str,
    axis: &'static str,
    worker: &'static str,
    setup: &'static [&'static str],
    work: &'static str,
    sizes: &'static [usize],
) -> Curve {
    Curve { title, axis, worker, setup, work, sizes, threads: Threads::Two }
}

/// Size, seconds, MiB.
type Point = (usize, f64, f64);

pub(super) fn report(draw: bool) -> anyhow::Result<Report> {
    // Built separately: in one build, the torch-free workers would be linked with libtorch and use
    // its memory.
    let build = ["-p", "fm-benches", "--bin"];
    places::build(&[&build[..], &["bench-worker", "--bin", "metrics-worker"]].concat())?;
    places::build(&[&build[..], &["models-worker", "--features", "tch"]].concat())?;
    let (dir, cores) = (folder("scaling")?, threads(usize::MAX));
    let (mut table, mut drawn) = (String::new(), Vec::new());
    for curve in &CURVES {
        let sizes = curve.sizes.iter().filter(|n| matches!(curve.threads, Threads::Two) || **n <= cores);
        let points = sizes.map(|n| point(curve, *n, cores, &dir)).collect::<anyhow::Result<Vec<Point>>>()?;
        // With a single core there is no curve over threads.
        if points.len() < 2 {
            continue;
        }
        let exponent = exponent(&points);
        let list = |f: &dyn Fn(&Point) -> String| points.iter().map(f).collect::<Vec<_>>().join(", ");
        writeln!(
            table,
            "| {} | {} | {} | {} | {} | **{exponent:.2}** |",
            curve.title,
            curve.axis,
            list(&|p| p.0.to_string()),
            list(&|p| cell(1e3 * p.1)),
            list(&|p| format!("{:.0}", p.2))
        )?;
        let line = points.iter().map(|p| (p.0 as f64, 1e3 * p.1)).collect();
        drawn.push(Panel { title: curve.title.into(), axis: curve.axis.into(), points: line, exponent });
    }
    if draw {
        let path = root().join("docs/images/scaling.svg");
        std::fs::write(&path, panels(&drawn)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let text = format!(
        "## Scaling\n\n*Work*: ours only, each size in a fresh process with {} threads (except in the row over threads). *Times* are \
         medians of {REPEATS} after a warm-up, in \
         milliseconds. *Memory* is the peak of the process, in MiB, including libtorch for networks. *Exponent* is that of the power law \
         fitted to the times by least squares of logarithms. At small sizes constant costs dominate, so the exponent is below the \
         theoretical exponent for large sizes. *Machine*: {}.\n\n\
         | work | over | sizes | times | memory | exponent |\n|---|---|---|---|---|---|\n{table}\n\
         ![Times over sizes, with the fitted power laws](images/scaling.svg)\n",
        cores.min(2),
        machine()
    );
    Ok(Report { text, targets: Vec::new() })
}

fn point(curve: &Curve, size: usize, cores: usize, dir: &str) -> anyhow::Result<Point> {
    eprintln!("{}: {size} {}", curve.title, curve.axis);
    let threads = match curve.threads {
        Threads::Two => cores.min(2),
        Threads::Size => size,
    };
    let mut worker = Worker::start(&mut worker::ours(curve.worker), threads)?;
    for request in curve.setup {
        worker.ask(&request.replace("{}", &size.to_string()).replace("DIR", dir))?;
    }
    let mut seconds = Vec::new();
    for round in 0..=REPEATS {
        let answer = worker.solve(curve.work)?;
        if round > 0 {
            seconds.push(answer.seconds);
        }
    }
    let peak = worker.ask("memory")?["peak"].as_f64().context("a worker does not know its memory")?;
    Ok((size, median(&seconds), peak))
}

/// The slope of ln(time) over ln(size).
fn exponent(points: &[Point]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|p| ((p.0 as f64).ln(), p.1.ln())).collect();
    let n = logs.len() as f64;
    let (x, y) = (logs.iter().map(|l| l.0).sum::<f64>() / n, logs.iter().map(|l| l.1).sum::<f64>() / n);
    let across: f64 = logs.iter().map(|l| (l.0 - x) * (l.1 - y)).sum();
    across / logs.iter().map(|l| (l.0 - x).powi(2)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::exponent;

    #[test]
    fn a_power_law_has_its_exponent() {
        let law = |n: usize| (n, 3e-6 * (n as f64).powf(2.5), 0.0);
        assert!((exponent(&[8, 64, 100, 1000].map(law)) - 2.5).abs() < 1e-12);
    }
}
