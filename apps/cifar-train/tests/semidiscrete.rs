//! The semidiscrete coupling of images through the real binary.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, program, read, succeed, tiny_config};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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

/// A fit that Ctrl-C stops is continued by the same command, to the same bytes.
#[test]
fn an_interrupted_fit_continues() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny_config(dir.path());
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let command = |out: &Path| {
        format!("train --config {config} --coupling semidiscrete:draws=1 --hold-out 0.95 --out {}", out.display())
    };
    succeed(&command(&whole));
    let mut started = program();
    started.args(command(&parts).split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = started.spawn().unwrap();
    // The directory is made just before the fit, which takes seconds.
    let begun = Instant::now();
    while !parts.join("samples").exists() {
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("saving the fit of the coupling") && said.contains("stopped   in the fit"), "{said}");
    let unfinished = String::from_utf8(read(parts.join("potentials.txt"))).unwrap();
    assert_eq!(unfinished.lines().nth(1).unwrap().split(' ').count(), 4);
    assert!(!parts.join("checkpoints/step-12").exists());
    let error = fail(&format!("train --resume --out {}", parts.display()));
    assert!(error.contains("stopped before its first one; start it again in the same directory"), "{error}");
    let said = succeed(&command(&parts));
    assert!(said.contains("coupling  continues the fit of the run after"), "{said}");
    assert!(result(&parts) == result(&whole));
}
