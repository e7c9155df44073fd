//! The development commands of the project: `cargo xtask --help`.

mod cifar10;
mod cuda;
mod doctor;
mod elsewhere;
mod guard;
mod launch;
mod libtorch;
mod quickstart;
mod ranks;
mod test;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Set up, test and measure this workspace.
#[derive(Debug, Parser)]
#[command(max_term_width = 110)]
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
    #[command(disable_help_flag = true)]
    Bench(elsewhere::Args),
    /// Run the named experiments of tabular-train over several seeds, and write the page of their
    /// results.
    #[command(disable_help_flag = true)]
    Experiments(elsewhere::Args),
    /// Compare the work of the hot paths (instructions, allocations, operators) with stored counts,
    /// without measuring time.
    #[command(disable_help_flag = true)]
    Counts(elsewhere::Args),
    /// Interrupt runs of both programs in every way, continue them, and compare them with
    /// uninterrupted runs.
    #[command(disable_help_flag = true)]
    Torture(elsewhere::Args),
    /// Give hostile inputs to every reader of a file or a text; libtorch is fetched if missing.
    #[command(disable_help_flag = true)]
    Fuzz(elsewhere::Args),
    /// Make an archive of the programs for machines that have libtorch, and test it.
    #[command(disable_help_flag = true)]
    Package(elsewhere::Args),
    /// Make a folder that checks and measures the programs on a GPU machine without cargo, and test
    /// it.
    #[command(disable_help_flag = true)]
    GpuPack(elsewhere::Args),
    /// Check the invariants that the compiler does not.
    #[command(disable_help_flag = true)]
    Tidy(elsewhere::Args),
    /// Build the book of docs/ into target/book, and the Rust documentation into target/doc.
    #[command(disable_help_flag = true)]
    Docs(elsewhere::Args),
}

fn main() -> ExitCode {
    xtask_shell::exit_code(match Cli::parse().command {
        Command::FetchLibtorch(args) => libtorch::fetch(&args),
        Command::FetchCifar10(args) => cifar10::fetch(&args),
        Command::Doctor => doctor::run(),
        Command::CountCudaDevices(args) => cuda::run(&args),
        Command::Quickstart(args) => quickstart::run(&args),
        Command::Launch(args) => return launch::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => return elsewhere::run("fm-measure", "bench", &args),
        Command::Experiments(args) => return elsewhere::run("fm-measure", "experiments", &args),
        Command::Counts(args) => return elsewhere::run("xtask-dev", "counts", &args),
        Command::Torture(args) => return elsewhere::run("torture", "torture", &args),
        Command::Fuzz(args) => return elsewhere::run_on_libtorch("fuzz", "tch", "fuzz", &args),
        Command::Package(args) => return elsewhere::run("xtask-dev", "package", &args),
        Command::GpuPack(args) => return elsewhere::run("xtask-dev", "gpu-pack", &args),
        Command::Tidy(args) => return elsewhere::run("xtask-dev", "tidy", &args),
        Command::Docs(args) => return elsewhere::run("xtask-dev", "docs", &args),
    })
}
