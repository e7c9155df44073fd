//! Warnings of flags that have no effect.
//!
//! Whether a flag has an effect often depends on the model or the data. A command therefore lists
//! such flags, each with what it needs, and prints a warning for each one that is given without it.
//!
//! ```
//! use fm_cli::given::Given;
//! use clap::{Arg, Command};
//! let flag = |name: &'static str| Arg::new(name).long(name).default_value("0");
//! let command = Command::new("program").subcommand(Command::new("sample").args([flag("seed"), flag("steps")]));
//! let given = Given::of(&command.get_matches_from(["program", "sample", "--seed", "3"]));
//! let effects = [("seed", false, "--draw"), ("steps", false, "--solve")];
//! assert_eq!(given.without_effect(&effects), ["--seed has no effect without --draw"]);
//! ```

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};
use fm_terminal::eprintln;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// A flag, as the name of its field, whether it has an effect in this run, and what it needs.
pub type Effect = (&'static str, bool, &'static str);

/// The flags of a command line, as the names of their fields.
#[derive(Debug, Default)]
pub struct Given(BTreeSet<String>);

/// Those of this process, which has one command line.
static GIVEN: OnceLock<Given> = OnceLock::new();

impl Given {
    /// The flags that a parsed command line gives to its command; values of defaults are not given.
    pub fn of(matches: &ArgMatches) -> Self {
        let mut command = matches;
        while let Some((_, inner)) = command.subcommand() {
            command = inner;
        }
        let given = |name: &&clap::Id| command.value_source(name.as_str()) == Some(ValueSource::CommandLine);
        Self(command.ids().filter(given).map(|name| name.as_str().to_owned()).collect())
    }

    /// A line for each flag that is given and has no effect.
    pub fn without_effect(&self, effects: &[Effect]) -> Vec<String> {
        let idle = effects.iter().filter(|(name, effective, _)| !effective && self.0.contains(*name));
        idle.map(|(name, _, need)| line(name, need)).collect()
    }
}

fn line(name: &str, need: &str) -> String {
    format!("--{} has no effect without {need}", name.replace('_', "-"))
}

/// Stores the flags of this process.
pub(crate) fn keep(given: Given) {
    let _ = GIVEN.set(given);
}

/// A line for each flag of this process that has no effect.
pub fn without_effect(effects: &[Effect]) -> Vec<String> {
    GIVEN.get().map_or_else(Vec::new, |given| given.without_effect(effects))
}

/// Prints a warning for each flag of this process that has no effect.
pub fn warn(effects: &[Effect]) {
    without_effect(effects).iter().for_each(|line| eprintln!("warning: {line}"));
}

/// Prints a warning for each flag of a group that is given; all of them need `need`.
pub fn warn_of_all<A: Args>(need: &'static str) {
    let command = A::augment_args(Command::new(""));
    let names = command.get_arguments().map(|arg| arg.get_id().as_str());
    let idle = names.filter(|name| GIVEN.get().is_some_and(|given| given.0.contains(*name)));
    idle.for_each(|name| eprintln!("warning: {}", line(name, need)));
}
