//! Running the real binary.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test that cannot go on should stop")]

use std::path::Path;
use std::process::Command;

pub(crate) fn run(words: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tabular-train"));
    let output = command.env("OMP_NUM_THREADS", "1").args(words.split_whitespace()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

pub(crate) fn succeed(words: &str) -> String {
    let (code, out, error) = run(words);
    assert_eq!(code, Some(0), "{words}\n{out}{error}");
    out
}

/// The one line of error of a command that must fail.
pub(crate) fn fail(words: &str) -> String {
    let (code, _, error) = run(words);
    assert_eq!((code, error.lines().count()), (Some(2), 1), "{words}\n{error}");
    error
}

/// The rows of a CSV file after `skip` lines.
pub(crate) fn columns(path: &Path, skip: usize) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().skip(skip).map(|l| l.split(',').map(|f| f.parse().unwrap()).collect()).collect()
}
