//! Event files: the same bytes as TensorBoard's own writer, and read by its own reader.
//! `reference/events.py` is both.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use base64::{Engine, prelude::BASE64_STANDARD};
use fm_train::tensorboard::EventWriter;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn png() -> Vec<u8> {
    let text = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    BASE64_STANDARD.decode(text).unwrap()
}

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

#[test]
fn the_bytes_are_those_of_tensorboards_own_writer() {
    let dir = tempfile::tempdir().unwrap();
    let mut events = EventWriter::create(dir.path(), 1.8e9, 40).unwrap();
    events.scalars(1.8e9 + 0.25, 50, &[("train/loss", 0.75), ("train/lr", 1e-3)]).unwrap();
    events.image(1.8e9 + 0.5, 50, "samples", (1, 1), png()).unwrap();
    let path = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    assert!(fs::read(path).unwrap() == fs::read(reference("events.tfevents")).unwrap());
}

/// Needs a Python with tensorboard: `FM_PYTHON=path/to/python`, or `python3`. Without one it says
/// so and passes.
#[test]
fn tensorboard_reads_a_resumed_run_as_one() {
    let python = std::env::var("FM_PYTHON").unwrap_or_else(|_| "python3".into());
    let known = Command::new(&python).env_remove("LD_LIBRARY_PATH").args(["-c", "import tensorboard"]).output();
    if !known.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: no Python with tensorboard at hand");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut first = EventWriter::create(dir.path(), 1.8e9, 0).unwrap();
    for step in [10, 20, 30] {
        first.scalars(1.8e9 + step as f64, step, &[("loss", step as f64)]).unwrap();
    }
    // Killed after step 30, resumed from the checkpoint of step 20.
    let mut second = EventWriter::create(dir.path(), 1.8e9 + 40.0, 20).unwrap();
    second.scalars(1.8e9 + 41.0, 30, &[("loss", 300.0)]).unwrap();
    second.image(1.8e9 + 42.0, 30, "samples", (1, 1), png()).unwrap();
    let script = reference("events.py");
    let output =
        Command::new(python).env_remove("LD_LIBRARY_PATH").arg(script).arg("read").arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["scalars"]["loss"], serde_json::json!([[10, 10.0], [20, 20.0], [30, 300.0]]));
    assert_eq!(found["images"]["samples"], serde_json::json!([[30, 1, 1]]));
}
