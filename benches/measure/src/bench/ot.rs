//! Optimal transport against SciPy, POT and ott-jax.

use super::contest::{Agreement, contest};
use super::places;
use super::target::{Report, Target};
use super::worker::{self, Peers, Worker, environment, folder, script};
use crate::machine::machine;
use fm_terminal::eprintln;
use std::fmt::Write as _;

const THREADS: [usize; 2] = [1, 2];
/// Dimensions of the points: the plane, and a CIFAR-10 image.
const DIMENSIONS: [usize; 2] = [2, 3072];
const EXACT: [usize; 7] = [64, 128, 256, 512, 1024, 2048, 4096];
const ENTROPIC: [usize; 3] = [128, 512, 1024];
const TOLERANCE: f64 = 1e-3;
/// Regularisation relative to the mean cost, and in the unit of the cost.
const RELATIVE: f64 = 0.05;
const ABSOLUTE: f64 = 0.01;

#[derive(Default)]
struct Tables {
    cost: String,
    exact: String,
    relative: String,
    absolute: String,
    ratios: Ratios,
}

/// Medians of the ratios that have a target.
#[derive(Default)]
struct Ratios {
    /// For up to 2048 points, and for 4096.
    exact: [Vec<f64>; 2],
    /// Relative to ott-jax and to POT.
    relative: [Vec<f64>; 2],
    absolute: Vec<f64>,
}

impl Ratios {
    fn targets(self) -> Vec<Target> {
        let ([exact, large], [ott, pot]) = (self.exact, self.relative);
        vec![
            Target::at_least(3.0, "exact assignment, 128 to 2048 points: the faster of SciPy and POT over ours", exact),
            Target::at_least(1.5, "exact assignment, 4096 points: the same", large),
            Target::at_least(2.0, format!("entropic plan at {RELATIVE} of the mean: ott-jax over ours"), ott),
            Target::at_least(10.0, format!("entropic plan at {RELATIVE} of the mean: POT's log form over ours"), pot),
            Target::at_least(1.0, format!("entropic plan at {ABSOLUTE}: ott-jax over ours"), self.absolute),
        ]
    }
}

pub(super) fn report(rounds: u32) -> anyhow::Result<Report> {
    let python = environment(Peers::Light)?;
    places::build(&["-p", "fm-benches"])?;
    let mut tables = Tables::default();
    let mut versions = String::new();
    for threads in THREADS {
        let mut ours = Worker::start(&mut worker::ours("bench-worker"), threads)?;
        let mut theirs = Worker::start(&mut script(&python, "worker.py"), threads)?;
        versions = theirs.versions()?;
        for dim in DIMENSIONS {
            for n in EXACT {
                eprintln!("threads {threads}, dimension {dim}, n {n}");
                load(&mut ours, &mut theirs, n, dim)?;
                case(&mut tables, (&mut ours, &mut theirs), (dim, n, threads), rounds)?;
            }
        }
    }
    Ok(Report { text: document(&tables, &versions, rounds), targets: tables.ratios.targets() })
}

fn load(ours: &mut Worker, theirs: &mut Worker, n: usize, dim: usize) -> anyhow::Result<()> {
    let dir = folder("ot")?;
    ours.ask(&format!("make {dir} {n} {dim} {n}"))?;
    ours.ask(&format!("load {dir}"))?;
    theirs.ask(&format!("load {dir}"))?;
    Ok(())
}

/// Measures everything for one cost matrix.
fn case(
    tables: &mut Tables,
    (ours, theirs): (&mut Worker, &mut Worker),
    (dim, n, threads): (usize, usize, usize),
    rounds: u32,
) -> anyhow::Result<()> {
    let place = format!("| {dim} | {n} | {threads} |");
    let peers = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let t = contest((ours, theirs), "cost", &peers(&["cost_pot", "cost_pot_single"]), Agreement::Single, rounds)?;
    let (double, single) = (t.peer(0), t.peer(1));
    writeln!(tables.cost, "{place} {} | {double} | {} | {single} | {} |", t.ours(), t.ratio(&[0]), t.ratio(&[1]))?;
    let t = contest((ours, theirs), "assign", &peers(&["scipy", "pot"]), Agreement::Optimum, rounds)?;
    let (scipy, pot, ratio) = (t.peer(0), t.peer(1), t.ratio(&[0, 1]));
    eprintln!("  exact {ratio}");
    if n >= 128 {
        tables.ratios.exact[usize::from(n > 2048)].push(t.median_ratio(&[0, 1]));
    }
    writeln!(tables.exact, "{place} {} | {scipy} | {pot} | {ratio} | {} |", t.ours(), t.rounds())?;
    if !ENTROPIC.contains(&n) {
        return Ok(());
    }
    let mean = theirs.solve("mean")?.value;
    let mut entropic = |epsilon: f64, pot: &str| {
        let ask = |who: &str| format!("{who} {epsilon} {TOLERANCE}");
        let requests = [ask("ott"), ask(pot)];
        // In single precision, ott-jax's sums are slightly above its stopping tolerance.
        contest((ours, theirs), &ask("sinkhorn"), &requests, Agreement::Error(1.05 * TOLERANCE), rounds)
    };
    let t = entropic(RELATIVE * mean, "pot_log")?;
    let (ott, pot, by_ott, by_pot) = (t.peer(0), t.peer(1), t.ratio(&[0]), t.ratio(&[1]));
    eprintln!("  entropic {by_ott} and {by_pot}");
    (0..2).for_each(|k| tables.ratios.relative[k].push(t.median_ratio(&[k])));
    writeln!(tables.relative, "{place} {} | {ott} | {pot} | {by_ott} | {by_pot} | {} |", t.ours(), t.rounds())?;
    if dim == 2 {
        let t = entropic(ABSOLUTE, "pot_plain")?;
        let (ott, pot, by_ott) = (t.peer(0), t.peer(1), t.ratio(&[0]));
        tables.ratios.absolute.push(t.median_ratio(&[0]));
        writeln!(tables.absolute, "{place} {} | {ott} | {pot} | {by_ott} | {} |", t.ours(), t.rounds())?;
    }
    Ok(())
}

fn document(tables: &Tables, versions: &str, rounds: u32) -> String {
    let Tables { cost, exact, relative, absolute, .. } = tables;
    format!(
        "## Optimal transport\n\n\
         *Work*: the matrix of squared Euclidean distances between two sets of n standard normal points of d dimensions, and plans \
         between equal masses. *Protocol*: one warm-up, which includes JAX's compilation, then {rounds} rounds (fewer if a case takes a \
         minute). In each round, ours and each peer do the same work in turn, in processes with the number of threads in the table; the \
         peers are confined to the same number of cores. *Times* are medians, in milliseconds. *Ratio*: median and extremes of the \
         peer's time over ours within a round (above 1, ours is faster). *Peers*: {versions}. *Machine*: {}.\n\n\
         ### Exact assignment\n\n\
         The assignment of a given cost matrix. A time counts only if the optima agree to 1e-9; POT's limit of iterations is raised for \
         this. The ratio is to the faster peer of each round. Ours runs on one thread.\n\n\
         | d | n | threads | ours | SciPy `linear_sum_assignment` | POT `emd` | ratio to the faster | rounds |\n\
         |---|---|---|---|---|---|---|---|\n{exact}\n\
         ### Cost matrix\n\n\
         The f64 matrix of f32 points. POT computes in the type of its input: on f64 points it does the same work as ours, on f32 points \
         less work in half the memory. Ours recomputes small distances by their definition; POT does not.\n\n\
         | d | n | threads | ours | POT `dist`, f64 | ratio | POT `dist`, f32 | ratio |\n|---|---|---|---|---|---|---|---|\n{cost}\n\
         ### Entropic plan, epsilon {RELATIVE} of the mean cost\n\n\
         Each plan is computed to an L1 error of {TOLERANCE}, which is checked. ott-jax runs jitted, in f32.\n\n\
         | d | n | threads | ours | ott-jax | POT `sinkhorn_log` | ratio to ott-jax | ratio to POT | rounds |\n\
         |---|---|---|---|---|---|---|---|---|\n{relative}\n\
         ### Entropic plan, epsilon {ABSOLUTE} in the unit of the cost\n\n\
         The same, compared with POT's plain Sinkhorn, which scales a kernel that can underflow. If it underflows, POT finds no plan.\n\n\
         | d | n | threads | ours | ott-jax | POT `sinkhorn` | ratio to ott-jax | rounds |\n\
         |---|---|---|---|---|---|---|---|\n{absolute}",
        machine()
    )
}
