//! The real binary: train, go on, sample in the table's own units, refuse bad input.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{columns, run, succeed};
use std::fs;

#[test]
fn a_table_is_learned_in_its_own_units() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    // x uniform on 1000..1002, y = -5 x + 7000 up to rounding: far from standard normal, strongly correlated.
    let rows = (0..400).map(|i| 1000.0 + f64::from(i) / 200.0).map(|x| format!("{x},{}\n", 7000.0 - 5.0 * x));
    fs::write(dir.path().join("t.csv"), format!("a,b\n{}", rows.collect::<String>())).unwrap();
    let flags = format!("--data {d}/t.csv --coupling exact --batch-size 64 --out {d}/run");
    assert!(succeed(&format!("train {flags} --steps 200")).contains("400 rows of 2 columns"));
    succeed(&format!("train --resume --steps 500 --out {d}/run"));
    let text =
        succeed(&format!("sample --checkpoint {d}/run --num-samples 500 --solver heun --num-steps 20 --out {d}/s.csv"));
    assert!(text.contains("NFE 40") && text.contains("step 500"), "{text}");
    let rows = columns(&dir.path().join("s.csv"), 0);
    assert_eq!(rows.len(), 500);
    let mean = |i: usize| rows.iter().map(|r| r[i]).sum::<f64>() / 500.0;
    assert!((mean(0) - 1001.0).abs() < 0.2 && (mean(1) - 1995.0).abs() < 1.0, "{} {}", mean(0), mean(1));
    let residual = rows.iter().map(|r| (r[1] - (7000.0 - 5.0 * r[0])).powi(2)).sum::<f64>() / 500.0;
    let spread = rows.iter().map(|r| (r[1] - mean(1)).powi(2)).sum::<f64>() / 500.0;
    assert!(residual < 0.15 * spread, "the correlation is lost: {residual} against {spread}");
    assert!(dir.path().join("run/samples/step-500.png").exists());
}

#[test]
fn every_toy_runs_and_bad_input_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    for toy in ["spiral", "moons", "8gaussians", "checkerboard"] {
        succeed(&format!("train --data {toy} --rows 500 --steps 3 --sample-every 0 --out {d}/{toy}"));
    }
    fs::write(dir.path().join("bad.csv"), "1,2\n3,x\n").unwrap();
    for (words, says) in [
        (format!("train --data {d}/bad.csv --out {d}/x"), "line 2, column 2"),
        (format!("train --data {d}/none.csv --out {d}/x"), "none.csv"),
        (format!("train --data cube --out {d}/x"), "choose one of spiral"),
        (format!("train --batch-size 0 --out {d}/x"), "--batch-size"),
        (format!("train --out {d}/moons"), "already holds a run"),
        (format!("sample --checkpoint {d}/none --out {d}/s.csv"), "no checkpoint found"),
    ] {
        let (code, _, error) = run(&words);
        assert_eq!((code, error.lines().count()), (Some(2), 1), "{words}\n{error}");
        assert!(error.contains(says), "{words}\n{error}");
    }
    assert!(!dir.path().join("x").exists());
}
