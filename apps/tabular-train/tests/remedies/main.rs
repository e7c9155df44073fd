//! Remedies of error messages that name a flag or a command, followed through the real binary.
//!
//! `cargo xtask tidy` checks that each such text of the source code has a row here, in the same
//! file of another program, or in its list of those that no test can follow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "../common/mod.rs"]
mod common;
mod rows;

use common::succeed;
use rows::{Row, SAMPLES, TRAINING};
use std::fs;
use std::path::Path;

/// Beginnings of commands; `{d}` is the directory of the test, `{new}` a run of its own.
const SHORT: [(&str, &str); 5] = [
    ("GUIDED", "sample --checkpoint {d}/dropped --num-steps 1 --num-samples 4 --out {d}/s.csv --cfg-scale 2"),
    ("LEARN", "grid --checkpoint {d}/run --iterations 1 --out {d}/g.json"),
    ("SAMPLE", "sample --checkpoint {d}/run --num-steps 1 --num-samples 4 --out {d}/s.csv"),
    ("SOLVE", "solve {d}/points.csv --num-steps 1 --num-samples 4 --out {d}/e.csv"),
    ("TRAIN", "train --config {d}/tiny.toml --out {new}"),
];

/// Makes the runs that the rows name.
const FIXTURES: [&str; 10] = [
    "train --data {d}/t.csv --labels kind --label-drop 0.1 --prediction noise --time-clip 0.01 --widths 8 --steps 1 --batch-size 8 --save-every 0 --sample-every 0 --out {d}/noise",
    "train --data {d}/t.csv --labels kind --label-drop 0.1 --path schroedinger-bridge --prediction velocity+score --time-clip 0.01 --widths 8 --steps 1 --batch-size 8 --save-every 0 --sample-every 0 --out {d}/bridge",
    "train --data {d}/three.csv --preprocess quantile --widths 8 --steps 1 --batch-size 8 --save-every 0 --sample-every 0 --out {d}/normal",
    "train --config {d}/tiny.toml --data {d}/grown.csv --hold-out 0 --out {d}/grown",
    "train --data moons --rows 50 --widths 8 --steps 2 --batch-size 8 --save-every 0 --sample-every 0 --log-every 1 --out {d}/run",
    "train --data {d}/t.csv --labels kind --widths 8 --steps 2 --batch-size 8 --save-every 0 --sample-every 0 --log-every 1 --out {d}/labelled",
    "train --data {d}/t.csv --labels kind --label-drop 0.1 --widths 8 --steps 2 --batch-size 8 --save-every 1 --sample-every 0 --log-every 1 --out {d}/dropped",
    "train --data {d}/three.csv --widths 8 --steps 2 --batch-size 8 --save-every 0 --sample-every 0 --log-every 1 --out {d}/three",
    "train --config {d}/tiny.toml --task split --out {d}/map",
    "reflow --teacher {d}/run --rounds 1 --steps 1 --teacher-steps 1 --batch-size 8 --out {d}/rounds",
];

fn spelled(words: &str, directory: &Path) -> String {
    let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
    let first = SHORT.iter().find(|(short, _)| *short == first).map_or(first, |(_, long)| long);
    format!("{first} {rest}").replace("{d}", &directory.display().to_string())
}

fn follow(rows: &[Row]) {
    let dir = tempfile::tempdir().unwrap();
    fixtures(dir.path());
    for (at, (wrong, says, right)) in rows.iter().enumerate() {
        let new = dir.path().join(format!("new-{at}")).display().to_string();
        let [wrong, right] = [wrong, right].map(|words| spelled(words, dir.path()).replace("{new}", &new));
        let (_, _, error) = common::run(&wrong);
        let error = error.lines().find(|line| line.starts_with("error: ")).unwrap_or_default().to_owned();
        assert!(error.contains(says), "{wrong}: {error}");
        succeed(&right);
    }
}

/// Settings of a run that takes no time.
const TINY: &str =
    "data = 'moons'\nrows = 50\nwidths = [8]\nbatch_size = 8\nsteps = 1\nsave_every = 0\nsample_every = 0\n";

/// Rows of smooth numbers.
fn table(header: &str, line: impl Fn(f64) -> String) -> String {
    (0..60).fold(format!("{header}\n"), |text, i| text + &line(f64::from(i)) + "\n")
}

fn fixtures(dir: &Path) {
    let write = |name: &str, text: String| fs::write(dir.join(name), text).unwrap();
    let kind = |i: f64| if i % 2.0 == 0.0 { "x" } else { "y" };
    write("t.csv", table("a,b,kind", |i| format!("{:.4},{:.4},{}", (i * 0.7).sin(), (i * 1.3).cos(), kind(i))));
    write("three.csv", table("a,b,c", |i| format!("{:.4},{:.4},{:.4}", i.sin(), (i * 1.3).cos(), (i * 0.3).sin())));
    write("tiny.toml", TINY.into());
    write("points.csv", "a,b\n0.1,0.2\n-0.5,0.3\n".into());
    write("one.csv", "1,2\n3,4\n".into());
    write("classes.csv", "0\n1\n".into());
    write("half.csv", "0.5\n1\n".into());
    write("grown.csv", table("a,b", |i| format!("{:.4},{:.4}", i.sin(), i.cos())));
    fs::create_dir(dir.join("torn")).unwrap();
    write("torn/rounds.json", "{".into());
    fs::create_dir_all(dir.join("unread/rounds.json")).unwrap();
    FIXTURES.iter().for_each(|words| drop(succeed(&spelled(words, dir))));
    write("grown.csv", table("a,b", |i| format!("{:.4},{:.4}", i.sin(), (2.0 * i).cos())));
}

#[test]
fn remedies_for_training_work() {
    follow(TRAINING);
}

#[test]
fn remedies_for_samples_work() {
    follow(SAMPLES);
}
