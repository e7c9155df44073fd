//! Running the real binary.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The binary with one thread: tests run side by side, and more threads than cores are slower, not
/// faster.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cifar-train"));
    command.env("OMP_NUM_THREADS", "1").env_remove("LD_LIBRARY_PATH");
    command
}

pub(crate) fn run(words: &str) -> Output {
    program().args(words.split_whitespace()).output().unwrap()
}

pub(crate) fn succeed(words: &str) -> String {
    let output = run(words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Runs something that must fail, and returns its one line of error.
pub(crate) fn fail(words: &str) -> String {
    let output = run(words);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}\n{error}");
    let lines: Vec<&str> = error.lines().filter(|l| l.starts_with("error:")).collect();
    assert_eq!(lines.len(), 1, "not one clear line: {error}");
    assert!(!error.contains("panicked"), "{error}");
    lines[0].to_owned()
}

/// A network and a schedule small enough for a test.
pub(crate) fn tiny_config(dir: &Path) -> String {
    let path = dir.join("tiny.toml");
    let text = "preset = \"quickstart\"\nsteps = 12\nbatch_size = 8\nwarmup_steps = 4\nlog_every = 5\nsave_every = 4\nsample_every = 0\nnum_workers = 2\n\
                coupling = \"exact\"\nkeep_checkpoints = 0\n\
                ema_decay = [0.9, 0.99]\nmicro_batch_size = 3\n[optimizer]\nrule = \"muon\"\nweight_decay = 0.01\n[model]\nchannels = 32\nchannel_mult = [1]\nres_blocks = 1\nattention_at = []\n";
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The shared CIFAR-10 records, where they are at hand.
pub(crate) fn cifar_mini() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/cifar10-mini");
    path.is_dir().then_some(path)
}

pub(crate) fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
