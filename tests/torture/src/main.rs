//! `cargo xtask torture`: runs of both programs that are killed at each call that changes a file,
//! killed at random times, stopped, cut off from disk and terminal, and damaged.
//!
//! Each run is continued to its end. Its directory must then hold the bytes of an uninterrupted
//! run, without anything left over, and files of somebody else must be untouched. Configurations
//! are drawn from all options that the programs list.

mod foreign;
mod help;
mod log_damage;
mod named;
mod options;
mod programs;
mod report;
mod snapshot;
mod strikes;
mod subjects;
mod trial;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use fm_terminal::println;
use indicatif::{ProgressBar, ProgressStyle};
use programs::Programs;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use report::{Failure, Report};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};
use subjects::{Configuration, Subjects};
use trial::{First, Reference};

/// Interrupt the programs in every way.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Interrupt runs of both programs in every way, continue them, and compare them with
    /// uninterrupted runs.
    ///
    /// Strikes: kills at each call that writes and at random times, several kills of one run, full
    /// and failing disks, flipped bits in checkpoints, signals, closed and full outputs, closed
    /// terminals. The exit code is 1 if anything is lost, differs, is left over, or is not ours and
    /// was touched. On a memory file system (TMPDIR=/dev/shm), more strikes fit into the time.
    Torture(TortureArgs),
}

#[derive(Debug, Args)]
struct TortureArgs {
    /// Time for all strikes, in minutes.
    #[arg(long, default_value_t = 2.0, value_name = "N")]
    minutes: f64,
    /// Seed of configurations and strikes (default: from the clock; it is printed).
    #[arg(long)]
    seed: Option<u64>,
    /// Number of configurations (default: one for every two minutes, at least 4).
    #[arg(long, value_name = "N")]
    configurations: Option<usize>,
    /// Only this configuration, or only this strike of it, as the list of failures names them.
    #[arg(long, value_name = "C[.K]")]
    only: Option<Only>,
    /// Work in this new directory and keep it, instead of a temporary one; the last run stays.
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
}

/// A configuration, and perhaps one of its strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Only {
    configuration: usize,
    strike: Option<usize>,
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().map_err(|_| format!("'{text}' is not a number; give C or C.K"));
        match text.split_once('.') {
            Some((configuration, strike)) => {
                Ok(Self { configuration: number(configuration)?, strike: Some(number(strike)?) })
            }
            None => Ok(Self { configuration: number(text)?, strike: None }),
        }
    }
}

fn main() -> ExitCode {
    let Command::Torture(args) = Cli::parse().command;
    match run(&args) {
        Ok(report) => {
            println!("{report}");
            if report.failures().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => xtask_shell::exit_code(Err(error)),
    }
}

/// Everything that a torture needs besides its report.
struct Bench<'a> {
    programs: Programs,
    subjects: Subjects,
    args: &'a TortureArgs,
    seed: u64,
    /// The folder of the run that is struck.
    folder: PathBuf,
    bar: ProgressBar,
}

/// Attempts at a configuration that the program accepts; each halves the drawn options.
const ATTEMPTS: usize = 5;

fn run(args: &TortureArgs) -> anyhow::Result<Report> {
    ensure!((0.0..=10_000.0).contains(&args.minutes), "--minutes is {}: choose 0 to 10000", args.minutes);
    let temporary = tempfile::tempdir().context("cannot make a temporary directory")?;
    let work = args.work.clone().unwrap_or_else(|| temporary.path().into());
    if args.work.is_some() {
        std::fs::create_dir(&work).with_context(|| format!("cannot create {}; name a new one", work.display()))?;
    }
    let work = work.canonicalize()?;
    let programs = Programs::build(&work)?;
    let page =
        std::fs::read_to_string(xtask_shell::root().join("docs/options.md")).context("cannot read the options")?;
    let subjects = Subjects::prepare(&programs, &page, &work.join("base"))?;
    let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_millis() as u64 % 1_000_000);
    let seed = args.seed.unwrap_or_else(clock);
    println!("drawn     from {} options; seed {seed}", subjects.count());
    if !subjects.unknown.is_empty() {
        let names: Vec<&str> = subjects.unknown.iter().map(String::as_str).collect();
        println!("not drawn {}: no value is known; add them to tests/torture/src/options.rs", names.join(", "));
    }
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}")?);
    let bench = Bench { programs, subjects, args, seed, folder: work.join("struck"), bar };
    let report = bench.all()?;
    bench.bar.finish_and_clear();
    ensure!(report.strikes() > 0 || !report.failures().is_empty(), "no strike was made; give more --minutes");
    Ok(report)
}

/// A generator of random numbers for a strike, or for a configuration.
fn generator(seed: u64, configuration: usize, strike: Option<usize>) -> ChaCha8Rng {
    let mut key = [0; 32];
    let numbers = [seed, configuration as u64, strike.map_or(u64::MAX, |strike| strike as u64)];
    for (bytes, number) in key.chunks_exact_mut(8).zip(numbers) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

impl Bench<'_> {
    /// Strikes one configuration after the other, each for its share of the time.
    fn all(&self) -> anyhow::Result<Report> {
        let mut report = Report::default();
        let count = self.args.configurations.unwrap_or_else(|| ((self.args.minutes / 2.0) as usize).max(4));
        let end = Instant::now() + Duration::from_secs_f64(60.0 * self.args.minutes);
        let numbers = self.args.only.map_or(0..count, |only| only.configuration..only.configuration + 1);
        for number in numbers.clone() {
            let left = end.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(numbers.end - number).unwrap_or(1);
            self.configuration(number, Instant::now() + share, &mut report)?;
        }
        Ok(report)
    }

    fn configuration(&self, number: usize, end: Instant, report: &mut Report) -> anyhow::Result<()> {
        let started = Instant::now();
        let Some(reference) = self.reference(number, report)? else { return Ok(()) };
        report.configurations += 1;
        let (strikes, failures) = (report.strikes(), report.failures().len());
        let kills = strikes::kills(&reference.done, &mut generator(self.seed, number, None));
        let chosen = self.args.only.and_then(|only| only.strike);
        let mut strike = chosen.unwrap_or(0);
        while chosen.is_some_and(|chosen| strike == chosen) || chosen.is_none() && (strike == 0 || Instant::now() < end)
        {
            self.strike((number, strike), &reference, &kills, report);
            strike += 1;
        }
        let line = format!(
            "{number:<3} {} strikes, {} failed, {} calls, {:.0} s: {}",
            report.strikes() - strikes,
            report.failures().len() - failures,
            reference.done.calls.len(),
            started.elapsed().as_secs_f64(),
            reference.configuration.describe(),
        );
        self.bar.suspend(|| println!("{line}"));
        Ok(())
    }

    /// Draws a configuration that the program accepts, and runs it.
    fn reference(&self, number: usize, report: &mut Report) -> anyhow::Result<Option<Box<Reference>>> {
        let mut rng = generator(self.seed, number, None);
        let mut configuration = self.subjects.draw(number, self.seed, &mut rng);
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            self.bar.set_message(configuration.describe());
            self.bar.tick();
            match trial::first(&self.programs, configuration.clone(), &self.folder) {
                Ok(First::Done(reference)) => return Ok(Some(reference)),
                Ok(First::Refused(said)) => {
                    report.refused += 1;
                    reason = said;
                    configuration = configuration.halved(&mut rng);
                }
                Err(error) => {
                    report.fail(self.failure(&number.to_string(), &configuration, "no strike", &error));
                    return Ok(None);
                }
            }
        }
        let error = anyhow::anyhow!("it is refused without drawn options too: {reason}");
        report.fail(self.failure(&number.to_string(), &configuration, "no strike", &error));
        Ok(None)
    }

    fn strike(
        &self,
        (number, strike): (usize, usize),
        reference: &Reference,
        kills: &[programs::At],
        report: &mut Report,
    ) {
        let mut rng = generator(self.seed, number, Some(strike));
        let drawn = strikes::draw(strike, &reference.done, kills, &mut rng);
        let said = drawn.describe(&reference.done);
        let failures = report.failures().len();
        self.bar.set_message(format!("{number}.{strike} {said}; {} strikes, {failures} failed", report.strikes()));
        self.bar.tick();
        match trial::strike(&self.programs, reference, &drawn, &self.folder) {
            Ok(()) => report.add(drawn.kind(), None),
            Err(error) => {
                let only = format!("{number}.{strike}");
                report.add(drawn.kind(), Some(self.failure(&only, &reference.configuration, &said, &error)));
            }
        }
    }

    /// Prints a failure; `only` names its strike.
    fn failure(&self, only: &str, of: &Configuration, strike: &str, error: &anyhow::Error) -> Failure {
        let failure = Failure {
            strike: strike.into(),
            problem: self.shortened(&format!("{error:#}")),
            command: self.shortened(&of.describe()),
            again: format!("cargo xtask torture --seed {} --only {only}", self.seed),
        };
        self.bar.suspend(|| println!("{failure}"));
        failure
    }

    /// A text without the path of the working directory.
    fn shortened(&self, text: &str) -> String {
        let work = self.folder.parent().unwrap_or(Path::new("/"));
        text.replace(&format!("{}/", work.display()), "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn a_strike_has_its_own_random_numbers() {
        let draw = |seed, configuration, strike| generator(seed, configuration, strike).random::<u64>();
        let all =
            [draw(1, 2, Some(3)), draw(1, 3, Some(2)), draw(2, 2, Some(3)), draw(1, 2, None), draw(1, 2, Some(4))];
        assert_eq!(draw(1, 2, Some(3)), all[0]);
        assert!((1..all.len()).all(|i| !all[..i].contains(&all[i])));
    }

    #[test]
    fn only_names_a_configuration_or_one_of_its_strikes() {
        assert_eq!("3".parse(), Ok(Only { configuration: 3, strike: None }));
        assert_eq!("3.17".parse(), Ok(Only { configuration: 3, strike: Some(17) }));
        assert!("3.x".parse::<Only>().is_err());
    }
}
