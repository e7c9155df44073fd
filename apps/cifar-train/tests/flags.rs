//! Every flag with invalid and extreme values.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "../../../tests/support/flags.rs"]
mod flags;

mod common;

use common::{succeed, tiny_config};
use flags::Commands;
use std::cell::Cell;
use std::path::Path;

/// Checks commands of the program in a directory with a trained run; `calls` makes their names and
/// words from its path.
fn check(seed: u64, calls: impl Fn(&str) -> Vec<(&'static str, String)>) {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny_config(dir.path());
    let run = dir.path().join("run").display().to_string();
    succeed(&format!("train --config {config} --data digits --steps 2 --out {run}"));
    let commands =
        Commands { program: env!("CARGO_BIN_EXE_cifar-train"), directory: dir.path(), seed, calls: Cell::default() };
    let cases: usize = calls(&run).iter().map(|(name, words)| commands.check(name, words)).sum();
    assert!(cases >= 100, "{cases}");
}

#[test]
fn no_value_of_a_flag_of_training_ends_in_a_panic() {
    check(1, |run| {
        let config = Path::new(run).with_file_name("tiny.toml");
        let train = format!("--config {} --data digits --steps 2 --out OUT --dry-run", config.display());
        vec![
            ("train", train),
            ("vqvae", "--data digits --steps 2 --batch-size 4 --sample-every 0 --out OUT".into()),
            ("objective", "--picture objective.png".into()),
        ]
    });
}

#[test]
fn no_value_of_a_flag_of_a_trained_model_ends_in_a_panic() {
    check(2, |run| {
        let model = format!("--checkpoint {run} --num-steps 2");
        vec![
            ("sample", format!("{model} --num-samples 2 --out samples.png")),
            ("evaluate", format!("{model} --data digits --num-samples 8 --metrics kid,nn --cache cache")),
            ("likelihood", format!("--checkpoint {run} --data digits --num-images 1")),
            ("reflow pairs", format!("{model} --num-pairs 4 --out OUT")),
        ]
    });
}
