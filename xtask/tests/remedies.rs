//! Remedies of error messages that name a flag, followed through the real binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

/// A command that fails, a part of its message, and the command after the remedy.
type Row = (&'static str, &'static str, &'static str);

const ROWS: [Row; 3] = [
    (
        "launch --nproc 1 --nnodes 2 --node-rank 5 --master-addr localhost -- true",
        "--node-rank is ",
        "launch --nproc 1 --nnodes 2 --node-rank 1 --master-addr localhost -- true",
    ),
    (
        "launch --nproc 1 --nnodes 2 -- true",
        "several machines need the host of rank 0; give --master-addr",
        "launch --nproc 1 --nnodes 2 --master-addr localhost -- true",
    ),
    (
        "fetch-libtorch --variant rocm --dry-run",
        "choose cpu, cu126, cu128 or cu130",
        "fetch-libtorch --variant cu130 --dry-run",
    ),
];

fn run(words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(words.split(' ')).output().unwrap()
}

#[test]
fn remedies_work() {
    for (wrong, says, right) in ROWS {
        let failed = run(wrong);
        let error = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(failed.status.code() == Some(2) && error.contains(says), "{wrong}: {error}");
        let worked = run(right);
        assert!(worked.status.success(), "{right}: {}", String::from_utf8_lossy(&worked.stderr));
    }
}
