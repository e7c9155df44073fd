//! The development commands of the project: `cargo xtask --help`.

#![allow(clippy::print_stdout, reason = "a program speaks on standard output")]

mod bench;
mod cifar10;
mod circles;
mod counts;
mod cuda;
mod doctor;
mod download;
mod experiments;
mod gpu_pack;
mod launch;
mod libtorch;
mod package;
mod prose;
mod publish;
mod quickstart;
mod shell;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Set up, test and measure this workspace.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch libtorch 2.11.0 into libtorch/, if it is missing.
    FetchLibtorch(libtorch::FetchArgs),
    /// Fetch CIFAR-10 into data/, verified by hash.
    FetchCifar10(cifar10::FetchArgs),
    /// Report on libtorch, CUDA, driver and threads, with the fix for each problem.
    Doctor,
    /// Print the number of CUDA devices that a libtorch counts; `doctor` runs this in a child
    /// process.
    #[command(hide = true)]
    CountCudaDevices(cuda::CountArgs),
    /// Fetch libtorch if missing, train on the embedded digits for about five minutes, and draw
    /// pictures.
    Quickstart(quickstart::QuickstartArgs),
    /// Run a program of this workspace (or any other) as several processes, on one machine or
    /// several.
    Launch(launch::LaunchArgs),
    /// Run all tests of the workspace; libtorch is fetched if missing.
    Test(test::TestArgs),
    /// Measure our code, and with --peers also Python libraries.
    Bench(bench::BenchArgs),
    /// Run the named experiments of tabular-train over several seeds, and write the page of their
    /// results.
    Experiments(experiments::ExperimentsArgs),
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
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::FetchLibtorch(args) => libtorch::fetch(&args),
        Command::FetchCifar10(args) => cifar10::fetch(&args),
        Command::Doctor => doctor::run(),
        Command::CountCudaDevices(args) => cuda::run(&args),
        Command::Quickstart(args) => quickstart::run(&args),
        Command::Launch(args) => return launch::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Experiments(args) => experiments::run(&args),
        Command::Counts(args) => counts::run(&args),
        Command::Package(args) => package::run(&args),
        Command::GpuPack(args) => gpu_pack::run(&args),
        Command::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
