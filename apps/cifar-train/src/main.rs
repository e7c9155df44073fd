//! `cifar-train`: train and sample flow-matching models of images. `cifar-train --help` is the manual.

#![allow(clippy::print_stdout, reason = "a program speaks on standard output")]

mod args;
mod batches;
mod config;
mod convert;
mod data;
mod evaluate;
mod generate;
mod inspect;
mod latent;
mod likelihood;
mod model;
mod plan;
mod presets;
mod sample;
mod train;
mod velocity;
mod vqvae;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    fm_app::cli::run(|| match Cli::parse().command {
        Command::Train(args) => train::run(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Vqvae(args) => vqvae::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Velocity(args) => velocity::run(&args),
        Command::Likelihood(args) => likelihood::run(&args),
        Command::Objective(args) => fm_app::show::run(&args),
        Command::Inspect(args) => inspect::run(&args),
    })
}
