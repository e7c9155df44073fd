//! `cargo xtask bench`: our criterion benches, or with --peers the same work by Python libraries
//! and our code in alternation.

mod contest;
mod coupling;
mod distributed;
mod document;
mod metrics;
mod models;
mod ot;
mod places;
mod plot;
mod scaling;
mod solvers;
mod target;
mod train;
mod worker;

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use fm_terminal::{eprintln, println};
use target::Report;
use xtask_shell::ensure_libtorch;
use xtask_shell::{cargo, execute};

/// The Python of an environment with all peers.
///
/// # Errors
/// Peers that cannot be installed.
pub(crate) fn peers() -> anyhow::Result<std::path::PathBuf> {
    worker::environment(worker::Peers::All)
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Suite to measure.
    #[arg(value_enum)]
    suite: Suite,
    /// Compare with Python libraries, installed under target/peers, and print ratios; otherwise
    /// criterion measures only our code.
    #[arg(long)]
    peers: bool,
    /// Also write the tables to docs/benchmarks.md.
    #[arg(long)]
    write_docs: bool,
    /// Alternated runs per case; a case that takes longer than a minute stops after 3.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(3..))]
    rounds: u32,
    /// Device of the networks: cpu, or cuda (models, sample and train, compared with PyTorch).
    #[arg(long, default_value = "cpu")]
    device: String,
    #[command(flatten)]
    places: places::Places,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Optimal transport, compared with SciPy, POT and ott-jax: costs, exact assignments and
    /// entropic plans.
    Ot,
    /// Solvers of differential equations, compared with torchdiffeq, diffrax and SciPy: evaluations
    /// at equal error, and time.
    #[value(alias = "ode")]
    Solvers,
    /// Networks, compared with PyTorch, eager and compiled: a forward and backward pass, and a
    /// forward pass.
    Models,
    /// Training steps, compared with PyTorch and jax; overhead of the training loop; memory.
    #[value(alias = "training")]
    Train,
    /// Sampling, from noise to samples, compared with torchdiffeq on PyTorch, eager and compiled.
    Sample,
    /// Time that a coupling adds to a training step; only our code.
    Coupling,
    /// Distances between samples and between features, compared with SciPy, pytorch-fid, clean-fid
    /// and prdc.
    Metrics,
    /// Two processes with one thread each, compared with one with two threads and with PyTorch's
    /// DDP; time of the all-reduce.
    Distributed,
    /// Growth of time and memory with sizes and threads, with fitted exponents; only our code.
    Scaling,
    /// All suites, one after the other.
    All,
}

impl Suite {
    const EACH: [Self; 9] = [
        Self::Ot,
        Self::Solvers,
        Self::Models,
        Self::Train,
        Self::Sample,
        Self::Coupling,
        Self::Metrics,
        Self::Distributed,
        Self::Scaling,
    ];

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The suite's criterion bench, and the part of it to run.
    fn criterion(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Ot => Some(("ot", "")),
            Self::Solvers => Some(("solvers", "")),
            Self::Models => Some(("models", "(train|infer)")),
            Self::Sample => Some(("models", "sample")),
            Self::Train => Some(("train", "")),
            Self::Metrics => Some(("metrics", "")),
            Self::Coupling | Self::Distributed | Self::Scaling | Self::All => None,
        }
    }

    /// Whether the suite measures only our code, in its own table.
    fn alone(self) -> bool {
        matches!(self, Self::Coupling | Self::Scaling)
    }

    /// Whether the suite also runs on a GPU.
    fn on_devices(self) -> bool {
        matches!(self, Self::Models | Self::Train | Self::Sample)
    }

    fn needs_libtorch(self, peers: bool) -> bool {
        match self {
            Self::Ot => false,
            Self::Solvers | Self::Metrics => peers,
            _ => true,
        }
    }

    fn report(self, args: &BenchArgs) -> anyhow::Result<Report> {
        let (rounds, device) = (args.rounds, args.device.as_str());
        match self {
            Self::Ot => ot::report(rounds),
            Self::Solvers => solvers::report(rounds),
            Self::Models => models::report(rounds, device),
            Self::Train => train::report(rounds, device),
            Self::Sample => models::sampling(rounds, device),
            Self::Coupling => coupling::report(rounds),
            Self::Metrics => metrics::report(rounds),
            Self::Distributed => distributed::report(rounds),
            Self::Scaling => scaling::report(args.write_docs),
            Self::All => bail!("`all` is not measured at once"),
        }
    }
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let suites = chosen(args)?;
    places::settle(&args.places)?;
    if !places::prebuilt(&args.places) && suites.iter().any(|suite| suite.needs_libtorch(args.peers)) {
        ensure_libtorch()?;
    }
    let mut failures = Vec::new();
    for (done, suite) in suites.iter().enumerate() {
        if suites.len() > 1 {
            eprintln!("== {} ({} of {})", suite.name(), done + 1, suites.len());
        }
        // A suite that fails does not stop the others.
        if let Err(error) = measure(*suite, args) {
            if suites.len() == 1 {
                return Err(error);
            }
            eprintln!("{}: {error:#}", suite.name());
            failures.push(suite.name());
        }
    }
    ensure!(failures.is_empty(), "{} failed; its reasons are above", failures.join(", "));
    Ok(())
}

/// The suites to measure, in order.
fn chosen(args: &BenchArgs) -> anyhow::Result<Vec<Suite>> {
    let elsewhere = args.device != "cpu";
    ensure!(!elsewhere || args.peers, "--device compares with PyTorch there: add --peers");
    ensure!(!args.write_docs || args.peers || args.suite.alone(), "the document holds comparisons: add --peers");
    if args.suite == Suite::All {
        let fits = |suite: &Suite| (!elsewhere || suite.on_devices()) && (args.peers || *suite != Suite::Distributed);
        return Ok(Suite::EACH.into_iter().filter(fits).collect());
    }
    ensure!(
        !elsewhere || args.suite.on_devices(),
        "{} runs on the CPU; --device is for models, sample and train",
        args.suite.name()
    );
    ensure!(args.peers || args.suite != Suite::Distributed, "distributed compares with PyTorch's DDP: add --peers");
    Ok(vec![args.suite])
}

fn measure(suite: Suite, args: &BenchArgs) -> anyhow::Result<()> {
    if let (false, Some((bench, filter))) = (args.peers, suite.criterion()) {
        let mut command = cargo(&["bench", "-p", "fm-benches", "--bench", bench]);
        if suite.needs_libtorch(false) {
            command.args(["--features", "tch"]);
        }
        if !filter.is_empty() {
            command.args(["--", filter]);
        }
        return execute(&mut command);
    }
    let report = suite.report(args)?;
    println!("{}", report.document());
    report.missed().iter().for_each(|line| eprintln!("missed: {line}"));
    if args.write_docs {
        let name = if args.device == "cpu" { suite.name() } else { format!("{}-{}", suite.name(), args.device) };
        document::write(&name, &report.document())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_measured_so_is_refused_with_the_flag_that_is_missing() {
        let ask = |suite, peers, write_docs, device: &str| {
            chosen(&BenchArgs {
                suite,
                peers,
                write_docs,
                rounds: 3,
                device: device.into(),
                places: places::Places::default(),
            })
            .map_err(|e| e.to_string())
        };
        assert_eq!(ask(Suite::Ot, false, false, "cpu"), Ok(vec![Suite::Ot]));
        assert_eq!(ask(Suite::All, true, true, "cpu"), Ok(Suite::EACH.to_vec()));
        assert_eq!(ask(Suite::All, true, false, "cuda").map(|s| s.len()), Ok(3));
        assert_eq!(ask(Suite::All, false, false, "cpu").map(|s| s.contains(&Suite::Distributed)), Ok(false));
        assert_eq!(ask(Suite::Scaling, false, true, "cpu"), Ok(vec![Suite::Scaling]));
        for (suite, peers, write, device) in [
            (Suite::Ot, false, true, "cpu"),
            (Suite::Distributed, false, false, "cpu"),
            (Suite::Models, false, false, "cuda"),
        ] {
            assert!(ask(suite, peers, write, device).is_err_and(|e| e.contains("add --peers")));
        }
        assert!(ask(Suite::Ot, true, false, "cuda").is_err_and(|e| e.contains("models, sample and train")));
    }
}
