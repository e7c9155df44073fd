//! Remedies of error messages that name a flag or a command, followed through the real binary.
//!
//! `cargo xtask tidy` checks that each such text of the source code has a row here, in the same
//! file of another program, or in its list of those that no test can follow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "../common/mod.rs"]
mod common;
mod maps;
mod rows;

use common::{fail, program, succeed};
use maps::MAPS;
use rows::{EVALUATION, Row, SAMPLES, TRAINING, VARIABLES};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Beginnings of commands; `{d}` is the directory of the test.
const SHORT: [(&str, &str); 8] = [
    (
        "DRAWN",
        "evaluate --data digits --cache {d}/cache --checkpoint {d}/run --num-samples 8 --num-steps 1 --metrics kid-pixels",
    ),
    ("IMAGES", "evaluate --data digits --cache {d}/cache --samples digits --num-samples 64 --metrics kid-pixels"),
    ("SAMPLE", "sample --checkpoint {d}/run --num-steps 1 --num-samples 2 --out {d}/s.png"),
    ("GRID", "sample --checkpoint {d}/run --num-steps 1 --out {d}/s.png --class-grid"),
    ("COMPARE", "reflow compare {d}/run --num-samples 8 --trajectories 8 --nfe 1"),
    ("VELOCITY", "velocity {d}/x.npy --checkpoint {d}/run --out {d}/v.npy"),
    ("TRAIN", "train --config {d}/tiny.toml --dry-run --out {d}/new"),
    ("PAIRS", "reflow pairs --checkpoint {d}/run --num-steps 1"),
];

/// Makes the runs and files that the rows name.
const FIXTURES: [&str; 8] = [
    "evaluate --samples digits --data digits --metrics fd-pixels --save-statistics {d}/st.npz --cache {d}/cache",
    "train --config {d}/tiny.toml --steps 2 --save-every 0 --out {d}/run",
    "train --config {d}/tiny.toml --steps 1 --conditional false --out {d}/plain",
    "train --config {d}/tiny.toml --steps 1 --label-drop 0 --out {d}/no-null",
    "reflow pairs --checkpoint {d}/run --num-pairs 8 --num-steps 1 --out {d}/pairs",
    "vqvae --data digits --codes 16 --channels 32 --channel-mult 1,1 --steps 1 --batch-size 8 --save-every 0 --out {d}/vq",
    "convert {d}/run {d}/net.safetensors",
    "sample --checkpoint {d}/run --num-samples 2 --num-steps 1 --out {d}/x.png --npy {d}/x.npy",
];

/// Settings of a run that takes no time.
const TINY: &str = "preset = \"quickstart\"\nsteps = 2\nbatch_size = 8\nlog_every = 1\nsave_every = 1\nsample_every = 0\nnum_workers = 1\n\
                  coupling = \"exact\"\n[model]\nchannels = 32\nchannel_mult = [1]\nres_blocks = 1\nattention_at = []\n";

fn spelled(words: &str, directory: &Path) -> String {
    let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
    let first = SHORT.iter().find(|(short, _)| *short == first).map_or(first, |(_, long)| long);
    format!("{first} {rest}").replace("{d}", &directory.display().to_string())
}

fn follow(rows: &[Row]) {
    let dir = tempfile::tempdir().unwrap();
    fixtures(dir.path());
    for (wrong, says, right) in rows {
        let error = fail(&spelled(wrong, dir.path()));
        assert!(error.contains(says), "{wrong}: {error}");
        succeed(&spelled(right, dir.path()));
    }
}

fn fixtures(dir: &Path) {
    fs::write(dir.join("tiny.toml"), TINY).unwrap();
    fs::create_dir(dir.join("mixed")).unwrap();
    for side in 8..12 {
        image::RgbImage::from_fn(side, 8, |x, y| image::Rgb([(x * 7 + y * 13) as u8; 3]))
            .save(dir.join(format!("mixed/{side}.png")))
            .unwrap();
    }
    FIXTURES.iter().for_each(|words| drop(succeed(&spelled(words, dir))));
    sets(dir, "sets.safetensors", ["model", "ema_model"]);
    sets(dir, "two.safetensors", ["model", "other"]);
}

/// A file with several sets of the same weights.
fn sets(dir: &Path, file: &str, names: [&str; 2]) {
    let bytes = fs::read(dir.join("net.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors();
    let named = |set: &str| tensors.iter().map(move |(name, view)| (format!("{set}.{name}"), view)).collect();
    let all: Vec<HashMap<_, _>> = names.iter().map(|set| named(set)).collect();
    let all: HashMap<_, _> = all.into_iter().flatten().collect();
    fs::write(dir.join(file), safetensors::serialize(all, None).unwrap()).unwrap();
}

#[test]
fn remedies_for_variables_work() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tiny.toml"), TINY).unwrap();
    for (variables, says, right) in VARIABLES {
        let right = spelled(right, dir.path());
        let wrong = right.replace(&format!("--cache {}/cache ", dir.path().display()), "");
        let variables = variables.split(' ').map(|set| set.split_once('=').unwrap());
        let output = program().envs(variables).args(wrong.split_whitespace()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(says), "{wrong}: {error}");
        succeed(&right);
    }
}

#[test]
fn remedies_for_training_work() {
    follow(TRAINING);
}

#[test]
fn remedies_for_flow_maps_and_averages_work() {
    follow(MAPS);
}

#[test]
fn remedies_for_samples_work() {
    follow(SAMPLES);
}

#[test]
fn remedies_for_evaluation_and_reflow_work() {
    follow(EVALUATION);
}
