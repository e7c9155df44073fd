//! `gpu-check PART`: compares a GPU with the CPU, and measures its speed. Prints one line of JSON
//! per check as soon as it is done; the exit code is 1 if a check failed. `cargo xtask gpu-pack`
//! packages it for a machine that has a GPU and no cargo.

mod compare;
mod context;
mod load;
mod networks;
mod parity;
mod peers;
mod profile;
mod report;
mod solving;
mod speed;
mod trace;
mod training;

use clap::{Parser, ValueEnum};
use context::Context;
use fm_benches::Failure;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks a GPU against the CPU and measures it.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Args {
    /// What to check.
    #[arg(value_enum)]
    part: Part,
    /// Device to check: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "cuda")]
    device: String,
    /// Tiny networks and few steps, to try the program out. FM_GPU_CHECK_SMALL=1 does the same.
    #[arg(long)]
    small: bool,
    /// Steps between two reads from the device, in `speed` [default: 50, with --small 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Directory for files: the trace of `profile`, the weights of `collective`.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Loads CUDA; name, number and memory of devices.
    Load,
    /// Networks, training, solvers and checkpoints against the CPU.
    Parity,
    /// Training steps and samples per second, and peak memory.
    Speed,
    /// A Chrome trace of three training steps, and what it shows.
    Profile,
    /// Weights, a batch and its loss for the same networks in PyTorch.
    Collective,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let name = args.part.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    let mut report = Report::new(name);
    if let Err(error) = run(&args, &mut report) {
        report.failure("part", error.to_string());
    }
    report.exit_code()
}

fn run(args: &Args, report: &mut Report) -> Result<(), Failure> {
    let small = args.small || std::env::var_os("FM_GPU_CHECK_SMALL").is_some_and(|value| value == "1");
    std::fs::create_dir_all(&args.out)?;
    // Before any query of libtorch for CUDA.
    let device = fm_benches::start_on(&args.device)?;
    let steps = args.steps.unwrap_or(if small { 2 } else { 50 });
    let context = Context { device, small, steps, out: args.out.clone() };
    match args.part {
        Part::Load => load::run(&context, report),
        Part::Parity => parity::run(&context, report),
        Part::Speed => speed::run(&context, report),
        Part::Profile => profile::run(&context, report),
        Part::Collective => peers::run(&context, report),
    }
    Ok(())
}
