//! Flags that a command line gives and that change nothing in its run.
//!
//! Whether a flag has an effect is often known only once the model or the data are. A command then
//! lists its flags with what they belong to, and each one that is given in vain is told.
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

/// Those of this program, which has one command line.
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
        idle.map(|(name, _, of)| format!("--{} has no effect without {of}", name.replace('_', "-"))).collect()
    }
}

/// Keeps the flags of this program.
pub(crate) fn keep(given: Given) {
    let _ = GIVEN.set(given);
}

/// A line for each flag of the program's command line that has no effect.
pub fn without_effect(effects: &[Effect]) -> Vec<String> {
    GIVEN.get().map_or_else(Vec::new, |given| given.without_effect(effects))
}

/// Warns of each flag of the program's command line that has no effect.
pub fn warn(effects: &[Effect]) {
    without_effect(effects).iter().for_each(|line| eprintln!("warning: {line}"));
}

/// Warns of each of a group of flags that is given; all need the same.
pub fn warn_of_all<A: Args>(need: &'static str) {
    let command = A::augment_args(Command::new(""));
    let names = command.get_arguments().map(|arg| arg.get_id().as_str());
    let lines = |given: &Given| {
        let idle = names.filter(|name| given.0.contains(*name));
        idle.map(|name| format!("--{} has no effect without {need}", name.replace('_', "-"))).collect::<Vec<_>>()
    };
    GIVEN.get().map_or_else(Vec::new, lines).iter().for_each(|line| eprintln!("warning: {line}"));
}
