//! Every flag with invalid and extreme values.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "../../common/tests/support/flags.rs"]
mod flags;

mod common;

use common::succeed;
use flags::Commands;
use std::cell::Cell;

#[test]
fn no_value_of_a_flag_ends_in_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let small = "--data gaussian4 --batch-size 16 --widths 8 --sample-every 0 --log-every 1 --steps 2";
    succeed(&format!("train {small} --hold-out 0.1 --out {d}/run"));
    succeed(&format!("train {} --out {d}/plane", small.replace("gaussian4", "moons")));
    std::fs::write(dir.path().join("rows.csv"), "1,2,3,4\n0,1,0,2\n").unwrap();
    std::fs::write(dir.path().join("at.csv"), "1,2,3,4,0.5\n0,1,0,2,0.5\n").unwrap();
    let model = format!("--checkpoint {d}/run --num-steps 2");
    let plane = format!("--checkpoint {d}/plane --num-steps 2");
    let commands = Commands {
        program: env!("CARGO_BIN_EXE_tabular-train"),
        directory: dir.path(),
        seed: 2,
        calls: Cell::default(),
    };
    let cases = [
        commands.check("train", &format!("{small} --out OUT")),
        commands.check("sample", &format!("{model} --num-samples 4 --out samples.csv")),
        commands.check("evaluate", &format!("{model} --num-samples 40")),
        commands.check("trajectory", &format!("{model} --num-samples 4 --out trajectory.npy")),
        commands.check("picture", &format!("{plane} --num-samples 4 --out picture.png")),
        commands.check("likelihood", &format!("rows.csv --checkpoint {d}/run --out likelihood.csv")),
        commands.check("velocity", &format!("at.csv --checkpoint {d}/run --out velocity.csv")),
        commands.check("couple", "rows.csv rows.csv --out pairs.csv"),
        commands.check("solve", "rows.csv --num-samples 4 --num-steps 2 --out solved.csv"),
        commands.check("reflow", &format!("--teacher {d}/run --teacher-steps 2 --steps 2 --out OUT")),
    ];
    assert!(cases.iter().sum::<usize>() >= 200, "{cases:?}");
}
