//! `tabular-train`: train and sample flow-matching models of point clouds and tables.

mod args;
mod config;
mod convert;
mod draw;
mod evaluate;
mod grid;
mod inspect;
mod likelihood;
mod model;
mod picture;
mod presets;
mod reflow;
mod resolve;
mod sample;
mod saved;
mod teacher_batches;
mod train;
mod velocity;
mod weak;

use args::{Cli, Command};
use config::Config;
use fm_cli::{options, program};
use fm_tables::{couple, data_report, solve};
use std::process::ExitCode;

fn main() -> ExitCode {
    let train_defaults =
        |command: clap::Command| command.mut_subcommand("train", |c| options::with_defaults(c, &Config::default()));
    program::run(|| match program::parse::<Cli>(train_defaults).command {
        Command::Train(args) => train::run(&args),
        Command::Reflow(args) => reflow::run(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Grid(args) => grid::run(&args),
        Command::Trajectory(args) => sample::trajectory(&args),
        Command::Likelihood(args) => likelihood::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Picture(args) => picture::run(&args),
        Command::Animate(args) => picture::animate(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Velocity(args) => velocity::run(&args),
        Command::Solve(args) => solve::run(&args),
        Command::Data(args) => data_report::run(&args),
        Command::Report(args) => fm_run::report::run(&args),
        Command::Objective(args) => fm_run::objective_report::run(&args),
        Command::Couple(args) => couple::run(&args),
    })
}
