//! Every flag with invalid and extreme values.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "../../common/tests/support/flags.rs"]
mod flags;

mod common;

use common::{succeed, tiny_config};
use flags::Commands;
use std::cell::Cell;

#[test]
fn no_value_of_a_flag_ends_in_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny_config(dir.path());
    let run = dir.path().join("run");
    succeed(&format!("train --config {config} --data digits --steps 2 --out {}", run.display()));
    let train = format!("--config {config} --data digits --steps 2 --out OUT --dry-run");
    let model = format!("--checkpoint {} --num-steps 2", run.display());
    let commands =
        Commands { program: env!("CARGO_BIN_EXE_cifar-train"), directory: dir.path(), seed: 1, calls: Cell::default() };
    let cases = [
        commands.check("train", &train),
        commands.check("sample", &format!("{model} --num-samples 2 --out samples.png")),
        commands.check("evaluate", &format!("{model} --data digits --num-samples 8 --metrics kid,nn --cache cache")),
        commands.check("vqvae", "--data digits --steps 2 --batch-size 4 --sample-every 0 --out OUT"),
        commands.check("likelihood", &format!("--checkpoint {} --data digits --num-images 1", run.display())),
        commands.check("objective", "--picture objective.png"),
        commands.check("reflow pairs", &format!("{model} --num-pairs 4 --out OUT")),
    ];
    assert!(cases.iter().sum::<usize>() >= 200, "{cases:?}");
}
