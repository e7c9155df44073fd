//! Every flag with invalid and extreme values.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "../../../tests/support/flags.rs"]
mod flags;

mod common;

use common::succeed;
use flags::Commands;
use std::cell::Cell;

/// A short training.
const SMALL: &str = "--data gaussian4 --batch-size 16 --widths 8 --sample-every 0 --log-every 1 --steps 2";

/// Checks commands of the program in a directory with two trained runs and files of rows; `calls`
/// makes their names and words from its path.
fn check(seed: u64, calls: impl Fn(&str) -> Vec<(&'static str, String)>) {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    succeed(&format!("train {SMALL} --hold-out 0.1 --out {d}/run"));
    succeed(&format!("train {} --out {d}/plane", SMALL.replace("gaussian4", "moons")));
    std::fs::write(dir.path().join("rows.csv"), "1,2,3,4\n0,1,0,2\n").unwrap();
    std::fs::write(dir.path().join("at.csv"), "1,2,3,4,0.5\n0,1,0,2,0.5\n").unwrap();
    let commands =
        Commands { program: env!("CARGO_BIN_EXE_tabular-train"), directory: dir.path(), seed, calls: Cell::default() };
    let cases: usize = calls(&d).iter().map(|(name, words)| commands.check(name, words)).sum();
    assert!(cases >= 100, "{cases}");
}

#[test]
fn no_value_of_a_flag_of_training_ends_in_a_panic() {
    check(2, |d| {
        vec![
            ("train", format!("{SMALL} --out OUT")),
            ("couple", "rows.csv rows.csv --out pairs.csv".into()),
            ("reflow", format!("--teacher {d}/run --teacher-steps 2 --steps 2 --out OUT")),
        ]
    });
}

#[test]
fn no_value_of_a_flag_of_a_trained_model_ends_in_a_panic() {
    check(3, |d| {
        let model = format!("--checkpoint {d}/run --num-steps 2");
        vec![
            ("sample", format!("{model} --num-samples 4 --out samples.csv")),
            ("evaluate", format!("{model} --num-samples 40")),
            ("trajectory", format!("{model} --num-samples 4 --out trajectory.npy")),
            ("picture", format!("--checkpoint {d}/plane --num-steps 2 --num-samples 4 --out picture.png")),
            ("likelihood", format!("rows.csv --checkpoint {d}/run --out likelihood.csv")),
            ("convert", format!("{d}/run net.safetensors")),
            ("inspect", format!("{d}/run")),
            ("velocity", format!("at.csv --checkpoint {d}/run --out velocity.csv")),
            ("solve", "rows.csv --num-samples 4 --num-steps 2 --out solved.csv".into()),
        ]
    });
}
