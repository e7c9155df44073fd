//! `cargo xtask bench`: criterion benches of ours, and with --peers the same work done by Python libraries in alternation with ours.

mod contest;
mod coupling;
mod distributed;
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

use crate::libtorch::ensure_present;
use crate::shell::{cargo, execute};
use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use target::Report;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure.
    #[arg(value_enum)]
    suite: Suite,
    /// Compare with Python libraries, installed under target/peers, and print ratios; criterion measures ours alone otherwise.
    #[arg(long)]
    peers: bool,
    /// Also write the tables to docs/benchmarks.md.
    #[arg(long)]
    write_docs: bool,
    /// Alternated runs of each case; a case that takes longer than a minute is content with 3.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(3..))]
    rounds: u32,
    /// Where networks run: cpu, or cuda (models, sample and train, beside PyTorch).
    #[arg(long, default_value = "cpu")]
    device: String,
    #[command(flatten)]
    places: places::Places,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Optimal transport beside SciPy, POT and ott-jax: costs, exact assignments and entropic plans.
    Ot,
    /// Solvers of differential equations beside torchdiffeq, diffrax and SciPy: evaluations at equal error, and time.
    #[value(alias = "ode")]
    Solvers,
    /// Networks beside PyTorch, eager and compiled: a forward and backward pass, and a forward pass.
    Models,
    /// Training steps beside PyTorch and jax; what the loop adds to its network; memory.
    #[value(alias = "training")]
    Train,
    /// Sampling, from noise to samples, beside torchdiffeq on PyTorch, eager and compiled.
    Sample,
    /// What a coupling adds to a training step; of ours alone.
    Coupling,
    /// Distances between samples and between features beside SciPy, pytorch-fid, clean-fid and prdc.
    Metrics,
    /// Two processes of one thread beside one of two, and beside PyTorch's DDP; what adding up gradients takes.
    Distributed,
    /// How time and memory grow with sizes and threads, with fitted exponents; of ours alone.
    Scaling,
    /// One after the other.
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

    /// Its criterion bench, and which part of it.
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

    /// Measures ours alone, in a table of its own.
    fn alone(self) -> bool {
        matches!(self, Self::Coupling | Self::Scaling)
    }

    /// Does its work on a GPU too.
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
        ensure_present()?;
    }
    let mut failures = Vec::new();
    for (done, suite) in suites.iter().enumerate() {
        if suites.len() > 1 {
            eprintln!("== {} ({} of {})", suite.name(), done + 1, suites.len());
        }
        // One that fails takes no other with it.
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

/// What is to be measured, one after the other.
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
        let path = places::root().join("docs/benchmarks.md");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let name = if args.device == "cpu" { suite.name() } else { format!("{}-{}", suite.name(), args.device) };
        std::fs::write(&path, replaced_part(HEAD, &before, &name, &report.document()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

const HEAD: &str = "# Benchmarks\n\nWritten by `cargo xtask bench all --peers --write-docs`, or part by part (`cargo xtask bench ot --peers --write-docs`); no number here is \
     typed by hand. Before each piece of work is a pause of 150 ms, in which the threads of whoever worked before go to sleep, but for *Solvers*, where everyone \
     has one thread, and *Several processes*.\n";

/// A document of this head with one part, between its marks, replaced or added; what stood before the first part gives way to the head.
pub(crate) fn replaced_part(head: &str, document: &str, name: &str, report: &str) -> String {
    let (from, to) = (format!("\n<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
    let part = format!("{from}{report}{to}");
    let parts = document.find("\n<!-- ").map_or("", |first| &document[first..]);
    let parts = match (parts.find(&from), parts.find(&to)) {
        (Some(start), Some(end)) => parts[..start].to_owned() + &part + &parts[end + to.len()..],
        _ => parts.to_owned() + &part,
    };
    head.to_owned() + &parts
}

pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    format!("{}, {} cores", processor(&info), std::thread::available_parallelism().map_or(1, usize::from))
}

/// The processor that /proc/cpuinfo describes: its model, family and model numbers (names of virtual machines say little), and the
/// instruction sets that decide how fast products are.
fn processor(info: &str) -> String {
    let value = |key: &str| {
        let line = info.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    };
    let flags: Vec<&str> = value("flags").unwrap_or_default().split_whitespace().collect();
    let sets = [
        ("avx2", "AVX2"),
        ("fma", "FMA"),
        ("avx512f", "AVX-512"),
        ("avx512_bf16", "AVX-512 BF16"),
        ("avx512_vnni", "AVX-512 VNNI"),
        ("amx_tile", "AMX"),
        ("amx_bf16", "AMX BF16"),
    ];
    let sets: Vec<&str> = sets.iter().filter(|(flag, _)| flags.contains(flag)).map(|(_, name)| *name).collect();
    let model = value("model name").unwrap_or("unknown processor");
    let numbers =
        value("cpu family").zip(value("model")).map(|(family, model)| format!(" (family {family}, model {model})"));
    let sets = if sets.is_empty() { "no AVX2".to_owned() } else { sets.join(", ") };
    format!("{model}{}, {sets}", numbers.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_replaces_its_own_part_only() {
        let replaced = |before: &str, name, part| replaced_part(HEAD, before, name, part);
        let both = replaced(&replaced("old text", "ot", "one\n"), "training", "two\n");
        assert!(both.starts_with(HEAD) && both.contains("one\n") && both.contains("two\n"));
        let again = replaced(&both, "ot", "three\n");
        assert!(!again.contains("one\n") && again.contains("two\n") && again.contains("three\n"));
        assert_eq!(again.matches("<!-- ot -->").count(), 1);
        // A head that has changed costs no part.
        let renamed = replaced_part("# Other\n", &again, "ot", "four\n");
        assert!(renamed.starts_with("# Other\n\n<!--") && renamed.contains("two\n") && renamed.contains("four\n"));
    }

    #[test]
    fn a_processor_is_named_with_its_instruction_sets() {
        let info = "cpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx avx2 fma sse2\n";
        assert_eq!(processor(info), "AMD EPYC (family 25, model 1), AVX2, FMA");
        let wide = "model name : X\nflags : avx2 avx512f amx_tile avx512_bf16x\n";
        assert_eq!(processor(wide), "X, AVX2, AVX-512, AMX");
        assert_eq!(processor(""), "unknown processor, no AVX2");
    }

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
