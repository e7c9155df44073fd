//! Warnings of flags without an effect, and no warnings of flags with one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::run;
use std::fs;

/// The flags without effect in a command that must succeed, by its warnings and advice.
fn idle(words: &str) -> Vec<String> {
    let (code, said, error) = run(words);
    assert_eq!(code, Some(0), "{words}\n{said}{error}");
    let text = said + &error;
    let lines = text.lines().filter(|line| line.contains("has no effect without"));
    lines.map(|line| line.split_once("--").unwrap().1.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn flags_without_effect_cause_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let train = "train --data moons --rows 60 --steps 2 --widths 8";
    assert!(idle(&format!("{train} --out {d}/run")).is_empty());
    fs::write(dir.path().join("rows.csv"), "0.5,1\n1,2\n-1,0\n").unwrap();
    fs::write(dir.path().join("classes.csv"), "0\n1\n0\n").unwrap();
    let rows = format!("{d}/rows.csv");
    let (model, out) = (format!("--checkpoint {d}/run"), format!("--out {d}/out.csv"));
    let solve = format!("solve {rows} --num-steps 3 {out}");
    for (words, want) in [
        (
            format!("{train} --weight-decay 0 --decay-on all --reduce-in bf16 --out {d}/a"),
            &["decay-on", "reduce-in"][..],
        ),
        (
            format!("{train} --importance true --ema-decay 0 --ema-warmup true --out {d}/b"),
            &["ema-warmup", "importance"],
        ),
        (format!("{train} --importance true --time u-shaped --time-clip 0.01 --ema-warmup true --out {d}/c"), &[]),
        (
            "data moons --separator tab --encoding latin1 --header no --stride 2".into(),
            &["stride", "separator", "encoding", "header"],
        ),
        (format!("data {rows} --separator comma --header no"), &[]),
        (format!("sample {model} --from {rows} --num-samples 3 --seed 3 {out}"), &["seed"]),
        (
            format!(
                "sample {model} --from {rows} --num-samples 3 --seed 3 --sde constant:scale=0.5 --num-steps 4 {out}"
            ),
            &[],
        ),
        (format!("sample {model} --from moons --num-samples 3 --seed 3 {out}"), &[]),
        (format!("sample {model} --num-samples 3 --seed 3 {out}"), &[]),
        (format!("{solve} --start {rows} --seed 3"), &["seed"]),
        (format!("{solve} --seed 3"), &[]),
        (format!("likelihood {rows} {model} --seed 3"), &["seed"]),
        (format!("likelihood {rows} {model} --probes 2 --seed 3"), &[]),
        (
            format!("couple {rows} {rows} --rows 7 --seed 3 --path linear --classes {d}/classes.csv"),
            &["rows", "path", "classes", "seed"],
        ),
        (format!("couple {rows} moons --rows 3 --seed 3 --coupling c2ot --classes {d}/classes.csv"), &[]),
        (format!("couple {rows} {rows} --pairing drawn --seed 3"), &[]),
        (format!("couple {rows} {rows} --coupling semidiscrete --pairing drawn --seed 3"), &["pairing"]),
    ] {
        assert_eq!(idle(&words), want, "{words}");
    }
}
