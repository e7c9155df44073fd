//! The semidiscrete coupling of images through the real binary.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{read, succeed, tiny_config};
use std::fs;
use std::path::Path;

fn result(run: &Path) -> [Vec<u8>; 3] {
    ["checkpoints/step-12/ema.safetensors", "metrics.jsonl", "potentials.txt"].map(|name| read(run.join(name)))
}

/// Classes, mirrored images, any number of workers, images on the device, and a resumed run.
#[test]
fn workers_devices_and_resumption_change_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny_config(dir.path());
    let flags = "--coupling semidiscrete:draws=1 --horizontal-flip true --label-drop 0.3 --hold-out 0.95";
    let train = |name: &str, more: &str| {
        let out = dir.path().join(name);
        let said = succeed(&format!("train --config {config} {flags} {more} --out {}", out.display()));
        assert!(said.contains("180 potentials fitted in") && said.contains("semidiscrete:draws=1 coupling"), "{said}");
        out
    };
    let whole = result(&train("whole", ""));
    assert!(String::from_utf8_lossy(&whole[1]).contains("coupling_gain"));
    assert!(result(&train("resident", "--data-on-device always")) == whole);
    let parts = train("parts", "--num-workers 0 --save-every 8");
    fs::remove_dir_all(parts.join("checkpoints/step-12")).unwrap();
    let said = succeed(&format!("train --resume --num-workers 3 --out {}", parts.display()));
    assert!(said.contains("180 potentials of the run"), "{said}");
    assert!(result(&parts) == whole);
}
