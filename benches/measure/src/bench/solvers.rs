//! Solvers against torchdiffeq, diffrax and SciPy: evaluations at equal error, and time.

use super::contest::{cell, median, over};
use super::places;
use super::target::{Report, Target};
use super::worker::{self, Peers, Worker, environment, folder, script};
use crate::machine::machine;
use anyhow::{Context, ensure};
use fm_terminal::eprintln;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use xtask_shell::{execute, ours};

const TOLERANCES: [&str; 8] = ["1e-2", "1e-3", "1e-4", "1e-5", "1e-6", "1e-7", "1e-8", "1e-9"];
const PROBLEMS: [&str; 4] = ["harmonic", "van-der-pol", "mixture", "network"];
const PEERS: [&str; 4] = ["scipy dopri5", "torchdiffeq dopri5", "diffrax dopri5", "diffrax tsit5"];
/// Timed cases: the problem, its tolerances, our repeats and each peer's, chosen so that every
/// measurement takes some milliseconds.
const TIMED: [(&str, [u32; 4]); 3] =
    [("harmonic", [2000, 10, 1, 100]), ("van-der-pol", [500, 5, 1, 50]), ("network-f32", [20, 0, 10, 3])];
const TIMED_AT: [&str; 3] = ["1e-3", "1e-5", "1e-7"];

/// Error and evaluations at each tolerance.
type Curve = Vec<(f64, f64)>;

pub(super) fn report(rounds: u32) -> anyhow::Result<Report> {
    let python = environment(Peers::All)?;
    places::build(&["-p", "tabular-train"])?;
    places::build(&["-p", "fm-benches", "--features", "tch", "--bin", "ode-worker"])?;
    let dir = folder("solvers")?;
    let checkpoint = trained(Path::new(&dir))?;
    let mut ours = Worker::start(&mut worker::ours("ode-worker"), 1)?;
    let mut theirs = Worker::start(&mut script(&python, "ode_worker.py"), 1)?;
    let load = format!("load {dir} {}", checkpoint.display());
    ours.ask(&format!("make {dir}"))?;
    theirs.ask(&load)?;
    theirs.ask("exact")?;
    ours.ask(&load)?;
    let versions = theirs.versions()?;
    let (ratios, points, mut targets) = work_precision(&mut ours, &mut theirs)?;
    let (times, more) = times(&mut ours, &mut theirs, rounds)?;
    targets.extend(more);
    let text = format!(
        "## Solvers\n\n*Problems*: a harmonic oscillator and the Van der Pol oscillator with mu = 5, both over 10 units of time; the \
         exact velocity from noise to \
         three Gaussians in the plane, 256 rows; a trained network (`tabular-train train --data 8gaussians --steps 2000`: 3 hidden layers of \
         64), 1024 rows. Relative and absolute tolerance are equal, and each solver keeps its default controller. *Error*: root mean \
         square difference at the end from SciPy's DOP853 at tolerance 1e-13. *Peers*: {versions}. *Machine*: {}, one thread.\n\n\
         ### Evaluations at equal error\n\n\
         The ratio of our evaluations to a peer's at the same error (below 1, ours needs fewer), as geometric mean and extremes over our \
         points at tolerances 1e-2 to 1e-9. For each point, the peer's curve is interpolated at our error, log against log; points \
         beyond the peer's curve are left out. The peers take steps per batch. For steps per sample, our default, the number of \
         evaluations is the mean over samples.\n\n{}\n\
         ### The curves\n\nEach cell has the error / the number of evaluations at a tolerance.\n\n{}\n\
         ### Time\n\n{rounds} rounds in which all solvers run in turn (in a random order per row), after a warm-up that includes JAX's \
         compilation. Times are medians. A ratio is the peer's time over ours within a round, as median and extremes (above 1, ours is \
         faster). All use Dopri5 with steps per batch. For the network, in f32, a time is that of one evaluation including its share of \
         the solver. SciPy has no tensors, so it is left out there.\n\n{times}",
        machine(),
        ratios,
        points
    );
    Ok(Report { text, targets })
}

/// A network to compute velocities with, trained once.
fn trained(home: &Path) -> anyhow::Result<PathBuf> {
    let trained = home.join("trained");
    let run = trained.join("run");
    let done = run.join("checkpoints/step-2000");
    if !done.exists() {
        ours::empty(&trained)?;
        let mut train = worker::ours("tabular-train");
        train.args(["train", "--data", "8gaussians", "--steps", "2000", "--sample-every", "0", "--out"]).arg(&run);
        execute(&mut train)?;
    }
    ensure!(done.exists(), "training left no {}", done.display());
    Ok(done)
}

fn point(worker: &mut Worker, request: &str) -> anyhow::Result<(f64, f64, f64)> {
    let answer = worker.ask(request)?;
    let number = |key: &str| answer[key].as_f64().with_context(|| format!("`{request}` was answered without {key}"));
    Ok((number("value")?, number("evaluations")?, number("seconds")?))
}

fn curve(worker: &mut Worker, problem: &str, who: &str) -> anyhow::Result<Curve> {
    let at = |tolerance: &&str| point(worker, &format!("{problem} {who} {tolerance} 1")).map(|p| (p.0, p.1));
    TOLERANCES.iter().map(at).collect()
}

/// The tables of ratios and of points, and the targets.
fn work_precision(ours: &mut Worker, theirs: &mut Worker) -> anyhow::Result<(String, String, Vec<Target>)> {
    let mut best = Vec::new();
    let mut ratios = String::from("| problem | ours |");
    PEERS.iter().for_each(|peer| ratios.push_str(&format!(" to {peer} |")));
    ratios.push_str("\n|---|---|---|---|---|---|\n");
    let mut points = String::from("| problem | solver |");
    TOLERANCES.iter().for_each(|t| points.push_str(&format!(" {t} |")));
    points.push_str("\n|---|---|---|---|---|---|---|---|---|---|\n");
    let row = |curve: &Curve| curve.iter().map(|(e, n)| format!(" {e:.1e} / {n:.0} |")).collect::<String>();
    for problem in PROBLEMS {
        eprintln!("{problem}");
        let peers = PEERS.map(|peer| curve(theirs, problem, peer));
        let peers = peers.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let paces: &[&str] =
            if problem == "mixture" || problem == "network" { &["per-batch", "per-sample"] } else { &["per-batch"] };
        let mut worst = Vec::new();
        for (method, pace) in ["dopri5", "tsit5"].iter().flat_map(|m| paces.iter().map(move |p| (m, p))) {
            let mine = curve(ours, problem, &format!("{method} {pace}"))?;
            let compared: Vec<_> = peers.iter().map(|peer| compare(&mine, peer)).collect();
            let cells: String =
                compared.iter().map(|c| format!(" {} |", c.as_ref().map_or(NONE, |c| c.1.as_str()))).collect();
            // A peer without common errors does not count as beaten.
            let means = compared.iter().map(|c| c.as_ref().map_or(f64::INFINITY, |c| c.0));
            worst.push(means.fold(f64::NEG_INFINITY, f64::max));
            writeln!(ratios, "| {problem} | {method}, {pace} |{cells}")?;
            writeln!(points, "| {problem} | ours, {method}, {pace} |{}", row(&mine))?;
        }
        for (peer, curve) in PEERS.iter().zip(&peers) {
            writeln!(points, "| {problem} | {peer} |{}", row(curve))?;
        }
        best.push(worst.into_iter().fold(f64::INFINITY, f64::min));
    }
    let what = "evaluations at equal error: the best of ours over the best of the peers, in any problem";
    Ok((ratios, points, vec![Target::at_most(1.05, what, best)]))
}

const NONE: &str = "no common errors";

/// The ratio of our evaluations to the peer's at our errors: the geometric mean, and as a cell with
/// the extremes.
fn compare(mine: &Curve, peer: &Curve) -> Option<(f64, String)> {
    let ratios: Vec<f64> = mine.iter().filter_map(|(e, n)| Some(n / evaluations_at(peer, *e)?)).collect();
    if ratios.is_empty() {
        return None;
    }
    let mean = (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp();
    let (low, high) = ratios.iter().fold((f64::INFINITY, 0f64), |(l, h), r| (l.min(*r), h.max(*r)));
    Some((mean, format!("**{mean:.3}** ({low:.2} to {high:.2})")))
}

/// The evaluations of a curve at an error; `None` beyond its ends.
fn evaluations_at(curve: &Curve, error: f64) -> Option<f64> {
    let mut sorted = curve.clone();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    sorted.windows(2).find(|p| (p[0].0..=p[1].0).contains(&error)).map(|p| {
        let span = (p[1].0 / p[0].0).ln();
        let share = if span > 0.0 { (error / p[0].0).ln() / span } else { 0.0 };
        (p[0].1.ln() * (1.0 - share) + p[1].1.ln() * share).exp()
    })
}

fn times(ours: &mut Worker, theirs: &mut Worker, rounds: u32) -> anyhow::Result<(String, [Target; 2])> {
    let (mut torchdiffeq, mut diffrax) = (Vec::new(), Vec::new());
    let mut table = String::from(
        "| problem | tolerance | ours | SciPy | torchdiffeq | diffrax | to SciPy | to torchdiffeq | to diffrax |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (problem, repeats) in TIMED {
        // A network in f32 does not reach errors below 1e-6.
        for tolerance in TIMED_AT.iter().filter(|t| !(problem == "network-f32" && **t == "1e-7")) {
            let peers = ["scipy", "torchdiffeq", "diffrax"];
            let order = places::order(&format!("time of {problem} at {tolerance}"), &peers);
            let each = |answer: (f64, f64, f64)| if problem == "network-f32" { answer.2 / answer.1 } else { answer.2 };
            let mut seconds = vec![Vec::new(); 4];
            for round in 0..=rounds {
                let mut seen = [f64::NAN; 4];
                for who in &order {
                    let repeats = repeats[*who];
                    seen[*who] = match who.checked_sub(1) {
                        None => each(point(ours, &format!("{problem} dopri5 per-batch {tolerance} {repeats}"))?),
                        Some(_) if repeats == 0 => continue,
                        Some(peer) => {
                            each(point(theirs, &format!("{problem} {} dopri5 {tolerance} {repeats}", peers[peer]))?)
                        }
                    };
                }
                if round > 0 {
                    seconds.iter_mut().zip(seen).for_each(|(all, one)| all.push(one));
                }
            }
            let shown =
                |all: &[f64]| if all[0].is_nan() { "".into() } else { format!("{} us", cell(1e6 * median(all))) };
            let columns: String = seconds.iter().map(|all| format!(" {} |", shown(all))).collect();
            let ratios: String = seconds[1..].iter().map(|peer| format!(" {} |", ratio(peer, &seconds[0]))).collect();
            writeln!(table, "| {problem} | {tolerance} |{columns}{ratios}")?;
            if problem != "network-f32" {
                torchdiffeq.push(median(&over(&seconds[2], &seconds[0])));
                diffrax.push(median(&over(&seconds[3], &seconds[0])));
            }
        }
    }
    let targets = [
        Target::at_least(20.0, "time on pure functions: torchdiffeq over ours", torchdiffeq),
        Target::at_least(0.5, "time on pure functions: diffrax over ours", diffrax),
    ];
    Ok((table, targets))
}

fn ratio(peer: &[f64], ours: &[f64]) -> String {
    let ratios = over(peer, ours);
    if ratios[0].is_nan() {
        return String::new();
    }
    let (low, high) = ratios.iter().fold((f64::INFINITY, 0f64), |(l, h), r| (l.min(*r), h.max(*r)));
    format!("**{}** ({} to {})", cell(median(&ratios)), cell(low), cell(high))
}

#[cfg(test)]
mod tests {
    use super::{compare, evaluations_at};

    #[test]
    fn curves_are_read_between_their_points_and_not_beyond() {
        let curve = vec![(1e-2, 10.0), (1e-4, 1000.0), (1e-3, 100.0)];
        assert!((evaluations_at(&curve, 1e-3).unwrap_or(0.0) - 100.0).abs() < 1e-9);
        assert!((evaluations_at(&curve, 10f64.powf(-2.5)).unwrap_or(0.0) - 10f64.powf(1.5)).abs() < 1e-9);
        assert_eq!((evaluations_at(&curve, 1e-5), evaluations_at(&curve, 0.1)), (None, None));
        let half = vec![(1e-3, 50.0), (1e-2, 20.0), (1e-7, 3.0)];
        assert_eq!(compare(&half, &curve).map(|c| c.1), Some("**1.000** (0.50 to 2.00)".into()));
        assert_eq!(compare(&vec![(1.0, 1.0)], &curve), None);
    }
}
