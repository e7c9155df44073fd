//! `cifar-train`: train and sample flow-matching models of images. `cifar-train --help` is the
//! manual.

mod args;
mod config;
mod convert;
mod evaluate;
mod grid;
mod inspect;
mod likelihood;
mod model;
mod networks;
mod plan;
mod presets;
mod reflow;
mod request;
mod resolve;
mod sample;
mod train;
mod velocity;
mod weak;

use args::{Cli, Command, ReflowCommand};
use fm_cli::{options, program};
use fm_images::{data_report, vqvae};
use fm_run::solvers;
use std::process::ExitCode;

fn main() -> ExitCode {
    let complete = |command: clap::Command| {
        let command = command.mut_subcommand("vqvae", |c| options::with_defaults(c, &vqvae::config::Config::default()));
        solvers::of_runs(command.mut_subcommand("reflow", reflow::rounds::without_fixed))
    };
    program::run(|| match program::parse::<Cli>(complete).command {
        Command::Train(args) => train::run(&args, None),
        Command::Distill(args) => train::run(&args.train, Some(args.num_steps)),
        Command::Reflow(args) => match &args.command {
            None => reflow::rounds::run(&args),
            Some(ReflowCommand::Pairs(args)) => reflow::pairs::run(args),
            Some(ReflowCommand::Compare(args)) => reflow::compare::run(args),
        },
        Command::Data(args) => data_report::run(&args),
        Command::Report(args) => fm_run::report::run(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Grid(args) => grid::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Vqvae(args) => vqvae::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Velocity(args) => velocity::run(&args),
        Command::Likelihood(args) => likelihood::run(&args),
        Command::Objective(args) => fm_run::objective_report::run(&args),
        Command::Inspect(args) => inspect::run(&args),
    })
}
