//! `cargo xtask bench`: our benches, and with --peers the same work done by Python libraries in alternation with ours.

mod contest;
mod coupling;
mod distributed;
mod metrics;
mod models;
mod ode;
mod ot;
mod training;
mod worker;

use crate::shell::{cargo, execute, root};
use anyhow::Context;
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure.
    #[arg(value_enum)]
    suite: Suite,
    /// Compare with Python libraries, installed under target/peers, and print ratios.
    #[arg(long)]
    peers: bool,
    /// Also write the tables to docs/benchmarks.md.
    #[arg(long)]
    write_docs: bool,
    /// Alternated runs of each case; a case that takes longer than a minute is content with 3.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(3..))]
    rounds: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Suite {
    /// Optimal transport: costs, exact assignments and entropic plans.
    Ot,
    /// Solvers of differential equations: evaluations at equal error, and time; always beside torchdiffeq, diffrax and SciPy.
    #[value(alias = "solvers")]
    Ode,
    /// Distances between samples and between features; always beside SciPy, pytorch-fid, clean-fid and prdc.
    Metrics,
    /// Networks: a forward and backward pass, and a forward pass; always beside PyTorch, eager and compiled.
    Models,
    /// Sampling, from noise to samples; always beside torchdiffeq on PyTorch, eager and compiled.
    Sample,
    /// What a coupling adds to a training step.
    Coupling,
    /// Training steps, beside PyTorch and jax; what the loop adds to its network; memory.
    #[value(alias = "train")]
    Training,
    /// Two processes of one thread beside one of two, and beside PyTorch's DDP; what adding up gradients takes.
    Distributed,
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let (name, report) = match args.suite {
        Suite::Ot if !args.peers => return execute(&mut cargo(&["bench", "-p", "fm-benches", "--bench", "ot"])),
        Suite::Ot => ("ot", ot::report(args.rounds)?),
        Suite::Ode => ("ode", ode::report(args.rounds)?),
        Suite::Metrics => ("metrics", metrics::report(args.rounds)?),
        Suite::Models => ("models", models::report(args.rounds)?),
        Suite::Sample => ("sample", models::sampling(args.rounds)?),
        Suite::Coupling => ("coupling", coupling::report(args.rounds)?),
        Suite::Training => ("training", training::report(args.rounds)?),
        Suite::Distributed => ("distributed", distributed::report(args.rounds)?),
    };
    println!("{report}");
    if args.write_docs {
        let path = root().join("docs/benchmarks.md");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, replaced(&before, name, &report))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

const HEAD: &str = "# Benchmarks\n\nWritten by `cargo xtask bench ot --peers --write-docs`, `cargo xtask bench ode --write-docs`, `cargo xtask bench models \
                    --write-docs`, `cargo xtask bench sample --write-docs`, `cargo xtask bench coupling --write-docs`, `cargo xtask bench training --write-docs`, `cargo xtask bench distributed --write-docs` and `cargo xtask bench metrics --write-docs`; no number here is typed by hand.\n";

/// The document with a suite's part replaced or added.
fn replaced(document: &str, suite: &str, report: &str) -> String {
    replaced_part(HEAD, document, suite, report)
}

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
    let model = info
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown processor", |l| l.trim_start_matches([' ', '\t', ':']));
    format!("{model}, {} cores", std::thread::available_parallelism().map_or(1, usize::from))
}

#[cfg(test)]
mod tests {
    use super::{HEAD, replaced};

    #[test]
    fn a_suite_replaces_its_own_part_only() {
        let both = replaced(&replaced("old text", "ot", "one\n"), "training", "two\n");
        assert!(both.starts_with(HEAD) && both.contains("one\n") && both.contains("two\n"));
        let again = replaced(&both, "ot", "three\n");
        assert!(!again.contains("one\n") && again.contains("two\n") && again.contains("three\n"));
        assert_eq!(again.matches("<!-- ot -->").count(), 1);
        // A head that has changed costs no part.
        let renamed = super::replaced_part("# Other\n", &again, "ot", "four\n");
        assert!(renamed.starts_with("# Other\n\n<!--") && renamed.contains("two\n") && renamed.contains("four\n"));
    }
}
