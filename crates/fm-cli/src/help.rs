//! Help of two lengths: `--help` has the options that most runs need, `--help-all` has all.
//!
//! An option with `hide = true` is in `--help-all` only.

use clap::{Arg, ArgAction, Command};
use std::ffi::OsString;

/// Makes `--help` compact, and adds `--help-all` to each command with hidden options.
pub fn with_help_all(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| command.mut_subcommand(name, with_help_all));
    let hides = command.get_arguments().any(Arg::is_hide_set);
    let flag = |name: &'static str, help| Arg::new(name).long(name).help(help).help_heading(None::<&str>);
    let short = flag("help", "Print help").short('h').action(ArgAction::HelpShort);
    let all = flag("help-all", "Print help with all options").action(ArgAction::HelpLong);
    let command = command.disable_help_flag(true).arg(short);
    if hides { command.arg(all) } else { command }
}

/// Shows the hidden options if `--help-all` is among the words of the command line.
pub fn shown_for(command: Command, mut words: impl Iterator<Item = OsString>) -> Command {
    if words.any(|word| word == "--help-all") { shown(command) } else { command }
}

fn shown(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| command.mut_subcommand(name, shown));
    command.mut_args(|arg| arg.hide(false))
}
