//! The commands of `cargo xtask` for those who change the code: a program of its own, so that
//! `xtask` builds in seconds.

mod book;
mod circles;
mod counts;
mod errors;
mod gpu_pack;
mod package;
mod pages;
mod prose;
mod publish;
mod quotes;
mod readers;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Check and package this workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare the work of the hot paths (instructions, allocations, operators) with stored counts,
    /// without measuring time.
    Counts(counts::CountsArgs),
    /// Make an archive of the programs for machines that have libtorch, and test it.
    Package(package::PackageArgs),
    /// Make a folder that checks and measures the programs on a GPU machine without cargo, and test
    /// it.
    GpuPack(gpu_pack::GpuPackArgs),
    /// Check the invariants that the compiler does not.
    Tidy,
    /// Build the book of docs/ into target/book, and the Rust documentation into target/doc.
    Docs(book::DocsArgs),
}

fn main() -> ExitCode {
    xtask_shell::exit_code(match Cli::parse().command {
        Command::Counts(args) => counts::run(&args),
        Command::Package(args) => package::run(&args),
        Command::GpuPack(args) => gpu_pack::run(&args),
        Command::Tidy => tidy::run(),
        Command::Docs(args) => book::run(&args),
    })
}
