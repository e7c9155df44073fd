//! `cargo xtask bench`: our benches, and with --peers the same work done by Python libraries in alternation with ours.

use crate::shell::{cargo, execute, output, python, root};
use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure.
    #[arg(value_enum)]
    suite: Suite,
    /// Compare with SciPy and POT, installed under target/peers, and print ratios.
    #[arg(long)]
    peers: bool,
    /// With --peers: also write the table to docs/benchmarks.md.
    #[arg(long, requires = "peers")]
    write_docs: bool,
    /// Alternated runs of each case.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(10..))]
    pairs: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Suite {
    /// Optimal transport: the exact assignment.
    Ot,
}

/// Points a side, in the plane.
const SIZES: [usize; 5] = [64, 128, 256, 512, 1024];
const PEERS: [(&str, &str); 2] = [("scipy", "SciPy linear_sum_assignment"), ("pot", "POT emd")];
/// Equal threads on both sides.
const THREADS: &str = "1";

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let Suite::Ot = args.suite;
    if !args.peers {
        return execute(&mut cargo(&["bench", "-p", "fm-benches", "--bench", "ot"]));
    }
    let report = compare(args.pairs)?;
    println!("{report}");
    if args.write_docs {
        let path = root().join("docs/benchmarks.md");
        std::fs::write(&path, &report).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// A process that answers one line of JSON for each request.
struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        for variable in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
            command.env(variable, THREADS);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start a worker")?;
        let (input, stdout) = (child.stdin.take(), child.stdout.take().context("a worker has no output")?);
        Ok(Self { child, input, answers: BufReader::new(stdout) })
    }

    fn ask(&mut self, request: &str) -> anyhow::Result<Value> {
        writeln!(self.input.as_mut().context("the worker is closed")?, "{request}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("a worker failed at `{request}`"))
    }

    /// Solves once: seconds and optimum.
    fn solve(&mut self, request: &str) -> anyhow::Result<(f64, f64)> {
        let answer = self.ask(request)?;
        let number = |key: &str| answer[key].as_f64().with_context(|| format!("a worker's answer lacks {key}"));
        Ok((number("seconds")?, number("value")?))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Closing its input ends it.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn compare(pairs: u32) -> anyhow::Result<String> {
    let peers = environment()?;
    execute(&mut cargo(&["build", "--release", "-p", "fm-benches"]))?;
    let mut ours = Worker::start(&mut Command::new(root().join("target/release/bench-worker")))?;
    let mut theirs = Worker::start(Command::new(peers).arg(root().join("benches/peers/worker.py")))?;
    let versions = theirs.ask("versions")?;
    let file = root().join("target/peers/cost.npy");
    let file = file.to_str().context("the workspace's path is not UTF-8")?;

    let mut table =
        String::from("| n | ours, ms | peer | peer, ms | ratio: median | spread |\n|---|---|---|---|---|---|\n");
    for n in SIZES {
        eprintln!("n = {n}");
        ours.ask(&format!("make {file} {n} 2 {n}"))?;
        ours.ask(&format!("load {file}"))?;
        theirs.ask(&format!("load {file}"))?;
        let mut times: Vec<[f64; 3]> = Vec::new();
        for pair in 0..=pairs {
            let (own, optimum) = ours.solve("assign")?;
            let mut row = [own, 0.0, 0.0];
            for (slot, (peer, name)) in row[1..].iter_mut().zip(PEERS) {
                let (seconds, value) = theirs.solve(peer)?;
                ensure!(
                    (value - optimum).abs() <= 1e-9 * optimum.abs(),
                    "{name} finds {value}, ours {optimum}, at n = {n}: no times are compared"
                );
                *slot = seconds;
            }
            // The first round warms caches and allocators.
            if pair > 0 {
                times.push(row);
            }
        }
        for (i, (_, name)) in PEERS.iter().enumerate() {
            let ratios: Vec<f64> = times.iter().map(|row| row[i + 1] / row[0]).collect();
            let column = |i: usize| 1e3 * median(times.iter().map(|row| row[i]).collect());
            let (low, high) = ratios.iter().fold((f64::INFINITY, 0f64), |(l, h), r| (l.min(*r), h.max(*r)));
            writeln!(
                table,
                "| {n} | {:.3} | {name} | {:.3} | {:.2} | {low:.2} to {high:.2} |",
                column(0),
                column(i + 1),
                median(ratios.clone())
            )?;
        }
    }
    Ok(document(pairs, &versions, &table))
}

fn document(pairs: u32, versions: &Value, table: &str) -> String {
    let versions: Vec<String> = versions
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k} {}", v.as_str().unwrap_or_default()))
        .collect();
    format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench ot --peers --write-docs`; nothing here is typed by hand.\n\n\
         ## Exact assignment\n\n\
         *Work*: the optimal assignment of a given f64 matrix of squared Euclidean costs between two sets of n standard normal points in the \
         plane. *Protocol*: one warm-up, then {pairs} rounds in which ours and each peer solve the same matrix in turn, in processes of \
         {THREADS} thread; the optima must agree to 1e-9 before a time counts; times exclude building the matrix. *Ratio*: peer's time \
         over ours within a round (above 1 is faster than the peer), its median and its extremes. *Peers*: {}. *Machine*: {}.\n\n{table}",
        versions.join(", "),
        machine(),
    )
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown processor", |l| l.trim_start_matches([' ', '\t', ':']));
    format!("{model}, {} cores", std::thread::available_parallelism().map_or(1, usize::from))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { f64::NAN } else { 0.5 * (values[(n - 1) / 2] + values[n / 2]) }
}

/// The Python of a virtual environment with the pinned peers, made when it is missing or its requirements have changed.
fn environment() -> anyhow::Result<PathBuf> {
    let (home, wanted) = (root().join("target/peers"), root().join("benches/peers/requirements.txt"));
    let (python_there, stamp) = (home.join("bin/python"), home.join("requirements.txt"));
    let requirements = std::fs::read_to_string(&wanted).with_context(|| format!("cannot read {}", wanted.display()))?;
    if python_there.exists() && std::fs::read_to_string(&stamp).is_ok_and(|s| s == requirements) {
        return Ok(python_there);
    }
    println!("installing the peers into {}", home.display());
    output(Command::new(python()?).args(["-m", "venv", "--clear"]).arg(&home))
        .context("Python cannot make a virtual environment (Debian: apt-get install python3-venv)")?;
    let mut pip = Command::new(&python_there);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&wanted);
    if execute(&mut pip).is_err() {
        bail!("pip could not install {}; check the network, and that Python is 3.11 or newer", wanted.display());
    }
    std::fs::write(&stamp, requirements)?;
    Ok(python_there)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_of_even_and_odd_counts() {
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
    }
}
