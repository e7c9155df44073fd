//! Paths that are not UTF-8: they name the files of exactly these bytes, or are refused on one
//! line.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::succeed;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program with a path after its last flag.
fn run(words: &str, path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tabular-train"));
    command.env("OMP_NUM_THREADS", "1").args(words.split_whitespace()).arg(path);
    command.output().unwrap()
}

fn refused(words: &str, path: &Path, says: &str) {
    let output = run(words, path);
    let error = String::from_utf8_lossy(&output.stderr);
    let lines = error.lines().filter(|line| line.starts_with("error: ")).count();
    assert!(output.status.code() == Some(2) && lines == 1 && error.contains(says), "{words}: {error}");
}

#[test]
fn paths_that_are_not_utf8_are_used_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display().to_string();
    let small = "--data moons --rows 50 --widths 8 --batch-size 8 --steps 1 --save-every 0 --sample-every 0";
    succeed(&format!("train {small} --out {d}/run"));
    let at = |name: &[u8]| dir.path().join(OsStr::from_bytes(name));
    let sample = format!("sample --checkpoint {d}/run --num-samples 4 --num-steps 1 --out");
    assert!(run(&sample, &at(b"s\xff.csv")).status.success());
    assert!(run(&format!("train {small} --out"), &at(b"r\xffn")).status.success());
    refused(&format!("train --steps 1 --out {d}/x --data"), &at(b"t\xff.csv"), "invalid UTF-8");
    refused(&sample, &at(b"s\xff.\xff"), "end it in .csv or .npy");
    refused(&format!("reflow --steps 1 --out {d}/student --teacher"), &at(b"r\xffn"), "it is not UTF-8; rename it");
    let mut names: Vec<OsString> = dir.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [OsStr::from_bytes(b"run"), OsStr::from_bytes(b"r\xffn"), OsStr::from_bytes(b"s\xff.csv")]);
}
