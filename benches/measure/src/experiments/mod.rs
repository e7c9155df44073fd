//! `cargo xtask experiments`: runs the named experiments of tabular-train over several seeds, and
//! writes the page of their results.

mod clouds;
mod couplings;
mod gaussian4;
mod genes;
mod maps;
mod series;
mod sf2m;
mod tool;
mod weightings;

use crate::bench;
use crate::machine::machine;
use crate::page::replaced_part;
use anyhow::Context;
use clap::{Args, ValueEnum};
use fm_terminal::println;
use std::path::PathBuf;
use tool::Tool;
use xtask_shell::ensure_libtorch;
use xtask_shell::{cargo, execute, root};

#[derive(Debug, Args)]
pub(crate) struct ExperimentsArgs {
    /// Experiments to run.
    #[arg(value_enum, required = true)]
    which: Vec<Which>,
    /// Seeds per experiment.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Also write docs/experiments.md and its pictures.
    #[arg(long)]
    write_docs: bool,
    /// Python with the libraries that an experiment is compared with (default: an environment below
    /// target/peers).
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// A normal distribution of four correlated columns.
    Gaussian4,
    /// A spiral, and the effect of reflow on its model.
    Spiral,
    /// From eight Gaussians to two moons, with four couplings.
    Transport,
    /// Gene counts in cells of ten types.
    Genes,
    /// Windows of an electrocardiogram.
    Series,
    /// Semidiscrete and minibatch couplings of the digits.
    Couplings,
    /// Flow maps of the spiral, in one step and in more.
    Maps,
    /// Velocity and score on a Brownian bridge, beside torchcfm's.
    Sf2m,
    /// Weights of the loss over time, on eight Gaussians.
    Weightings,
}

const HEAD: &str = "# Experiments\n\nThe command `cargo xtask experiments gaussian4 spiral transport genes series couplings maps sf2m weightings --write-docs` \
    writes this page and its pictures. No number here is typed by hand, except those of other libraries, which were measured separately. Each mean \
    is followed by its standard deviation over seeds.\n";

pub(crate) fn run(args: &ExperimentsArgs) -> anyhow::Result<()> {
    ensure_libtorch()?;
    execute(&mut cargo(&["build", "-p", "tabular-train"]))?;
    for which in &args.which {
        let tool = Tool::new(which.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned()))?;
        let (name, report) = match which {
            Which::Gaussian4 => ("gaussian4", gaussian4::report(&tool, args.seeds)?),
            Which::Spiral => ("spiral", clouds::spiral(&tool, args.seeds)?),
            Which::Transport => ("transport", clouds::transport(&tool, args.seeds)?),
            Which::Genes => ("genes", genes::report(&tool, args.seeds)?),
            Which::Series => ("series", series::report(&tool, args.seeds)?),
            Which::Couplings => ("couplings", couplings::report(&tool, args.seeds)?),
            Which::Sf2m => {
                let python = args.python.clone().map_or_else(bench::peers, Ok)?;
                ("sf2m", sf2m::report(&tool, args.seeds, &python)?)
            }
            Which::Maps => ("maps", maps::report(&tool, args.seeds)?),
            Which::Weightings => ("weightings", weightings::report(&tool, args.seeds)?),
        };
        let threads =
            std::env::var("OMP_NUM_THREADS").map_or_else(|_| String::new(), |n| format!(" with OMP_NUM_THREADS={n}"));
        let took = format!("All runs took {:.0} s{threads}", tool.seconds());
        let report = format!("{report}\n{took}. *Machine*: {}.\n", machine());
        println!("{report}");
        if args.write_docs {
            let path = root().join("docs/experiments.md");
            let before = std::fs::read_to_string(&path).unwrap_or_default();
            std::fs::write(&path, replaced_part(HEAD, &before, name, &report))
                .with_context(|| format!("cannot write {}", path.display()))?;
            tool.keep_pictures()?;
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}
