//! A trained flow becomes a flow map whose last blocks see the end of the interval, through the
//! real binary.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{read, succeed};
use std::fs;

#[test]
fn a_flow_is_the_start_of_a_decoupled_map_which_resumes_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let dit = "preset = \"quickstart\"\nsteps = 4\nbatch_size = 8\nsave_every = 2\nsample_every = 0\nnum_workers = 1\n\
               [model]\nkind = \"dit\"\nwidth = 16\ndepth = 3\nheads = 2\npatch = 4\n";
    fs::write(dir.path().join("dit.toml"), dit).unwrap();
    succeed(&format!("train --config {d}/dit.toml --out {d}/flow"));
    let map = format!("train --config {d}/dit.toml --task meanflow --decoder-blocks 2 --init {d}/flow");
    succeed(&format!("{map} --out {d}/map"));
    let config = fs::read_to_string(dir.path().join("map/config.toml")).unwrap();
    assert!(config.contains("decoder_blocks = 2"), "{config}");
    succeed(&format!("{map} --steps 2 --out {d}/parts"));
    succeed(&format!("train --resume --steps 4 --out {d}/parts"));
    let weights = |run: &str| read(dir.path().join(format!("{run}/checkpoints/step-4/model.safetensors")));
    assert!(weights("map") == weights("parts"));
    // The same parameters as the flow's, with other values.
    assert!(weights("map").len().abs_diff(weights("flow").len()) < 1000 && weights("map") != weights("flow"));
    let sample = |solver: &str| {
        succeed(&format!(
            "sample --checkpoint {d}/map --solver {solver} --num-steps 1 --num-samples 4 --out {d}/s.png --npy {d}/s.npy"
        ));
        read(dir.path().join("s.npy"))
    };
    assert!(sample("map") != sample("euler"));
}
