//! `cargo xtask fuzz`: many inputs of every reader, made by numbers or searched by libFuzzer.

mod search;
mod table;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use fm_terminal::println;
use fuzz::inputs::Inputs;
use fuzz::sweep::{Plan, sweep};
use fuzz::{TARGETS, Target};
use std::path::PathBuf;
use std::process::ExitCode;

/// Read hostile inputs.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give hostile inputs to every reader of a file or a text, and report panics, aborts, inputs
    /// of more than 2 seconds, and memory above 4 times the input and 64 MiB.
    ///
    /// With --inputs, the inputs follow from seed and number. Otherwise libFuzzer searches for
    /// inputs that reach new code; it is built on the first call. Inputs with problems are written
    /// to target/fuzz/finds, and the exit code is 1.
    Fuzz(FuzzArgs),
}

#[derive(Debug, Args)]
struct FuzzArgs {
    /// Only this target; repeatable.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Number of inputs of each target; without it, libFuzzer searches.
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    inputs: Option<u64>,
    /// Number of the first input.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "inputs")]
    first: u64,
    /// Seed of the inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of threads (default: one per processor).
    #[arg(long, value_name = "N", requires = "inputs")]
    threads: Option<usize>,
    /// Write the inputs into this folder instead of reading them.
    #[arg(long, value_name = "DIR", requires = "inputs")]
    write: Option<PathBuf>,
    /// Time of libFuzzer for each target, in seconds.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// List the targets.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let Command::Fuzz(args) = Cli::parse().command;
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => xtask_shell::exit_code(Err(error)),
    }
}

/// Returns whether no input had a problem.
fn run(args: &FuzzArgs) -> anyhow::Result<bool> {
    let targets = chosen(&args.target)?;
    if args.list {
        targets.iter().for_each(|target| println!("{}", target.name));
        return Ok(true);
    }
    let finds = xtask_shell::target().join("fuzz").join("finds");
    let Some(inputs) = args.inputs else {
        return search::search(&targets, args.seconds, args.seed, &finds);
    };
    let numbers = args.first..args.first.saturating_add(inputs);
    if let Some(folder) = &args.write {
        write(&targets, args.seed, numbers, folder)?;
        return Ok(true);
    }
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let found = sweep(&targets, &Plan { seed: args.seed, numbers, threads, finds });
    table::print(&found);
    Ok(found.iter().all(|found| found.problems.is_empty()))
}

/// The targets of these names; all without names.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Target>> {
    if names.is_empty() {
        return Ok(TARGETS.iter().collect());
    }
    let known = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    let one = |name: &String| {
        let found = TARGETS.iter().find(|target| target.name == name);
        found.with_context(|| format!("no target is called '{name}'; choose one of {}", known()))
    };
    names.iter().map(one).collect()
}

/// Writes inputs to files, to look at them or to begin a search with them.
fn write(
    targets: &[&'static Target],
    seed: u64,
    numbers: std::ops::Range<u64>,
    folder: &std::path::Path,
) -> anyhow::Result<()> {
    ensure!(numbers.end - numbers.start <= 100_000, "cannot write so large a number of files; give at most 100000");
    for target in targets {
        let (inputs, place) = (Inputs::of(target, seed), folder.join(target.name));
        std::fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
        for number in numbers.clone() {
            let file = place.join(format!("seed-{seed}-input-{number}"));
            std::fs::write(&file, inputs.input(number)).with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    println!("wrote the inputs into {}", folder.display());
    Ok(())
}
