//! `cargo xtask bench` and `cargo xtask experiments`: a program of its own, so that `xtask` builds
//! in seconds.

mod bench;
mod experiments;
mod machine;
mod page;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measure this workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure our code, and with --peers also Python libraries.
    Bench(bench::BenchArgs),
    /// Run the named experiments of tabular-train over several seeds, and write the page of their
    /// results.
    Experiments(experiments::ExperimentsArgs),
}

fn main() -> ExitCode {
    xtask_shell::exit_code(match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Experiments(args) => experiments::run(&args),
    })
}
