//! What a resumed run depends on has not changed since: the log, held-out rows and the source.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, run, succeed};
use std::fs;
use std::process::Command;

const FLAGS: &str = "--batch-size 8 --widths 8 --save-every 2 --log-every 1 --sample-every 0 --decay constant";

/// A flipped bit of a loss would move the step at which the run stops.
#[test]
fn a_log_by_which_a_run_stops_is_that_of_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let log = dir.path().join("run/metrics.jsonl");
    for (flags, decides) in [("--early-stopping 3", true), ("--keep-best 1", true), ("", false)] {
        let _ = fs::remove_dir_all(dir.path().join("run"));
        succeed(&format!("train --data moons --rows 50 {FLAGS} {flags} --steps 2 --out {d}/run"));
        let whole = fs::read_to_string(&log).unwrap();
        let at = whole.find("\"loss\":").unwrap() + 7;
        let mut flipped = whole.clone().into_bytes();
        flipped[at] = if flipped[at] == b'9' { b'8' } else { b'9' };
        fs::write(&log, &flipped).unwrap();
        let resume = format!("train --resume --steps 4 --out {d}/run");
        let (code, _, error) = run(&resume);
        if decides {
            assert!(code == Some(2) && error.contains("restore it, or pass --allow-changed-data"), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            succeed(&format!("{resume} --allow-changed-data"));
        } else {
            assert!(code == Some(0) && error.contains("is not the log that the checkpoint was saved with"), "{error}");
        }
        // An unchanged log gives no warning.
        let (code, _, error) = run(&format!("train --resume --steps 6 --out {d}/run"));
        assert!(code == Some(0) && !error.contains("metrics.jsonl"), "{error}");
    }
}

#[test]
fn changed_held_out_rows_and_sources_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let rows = |seed: f64| {
        let row = |i: i32| format!("{:.3},{:.3}\n", (f64::from(i) * 0.7 + seed).sin(), (f64::from(i) * 1.3).cos());
        format!("a,b\n{}", (0..40).map(row).collect::<String>())
    };
    let (data, source) = (dir.path().join("data.csv"), dir.path().join("source.csv"));
    fs::write(&data, rows(0.0)).unwrap();
    fs::write(&source, rows(1.0)).unwrap();
    let flags = format!("{FLAGS} --preprocess none --hold-out 0.5 --source {d}/source.csv");
    succeed(&format!("train --data {d}/data.csv {flags} --steps 2 --out {d}/run"));
    let resume = format!("train --resume --steps 4 --out {d}/run");
    let changed = "the data or the teacher changed since the run began";
    fs::write(&source, rows(2.0)).unwrap();
    assert!(fail(&resume).contains(changed));
    fs::write(&source, rows(1.0)).unwrap();
    // One value after another, so that it is in a held-out row at least once.
    let lines: Vec<String> = rows(0.0).lines().map(str::to_owned).collect();
    for at in 1..=8 {
        let mut other = lines.clone();
        other[at] = "0.5,0.5".into();
        fs::write(&data, other.join("\n")).unwrap();
        assert!(fail(&resume).contains(changed), "row {at}");
    }
    fs::write(&data, rows(0.0)).unwrap();
    succeed(&resume);
}

/// A run of data from data is used from any directory, and its file of weights without its source.
#[test]
fn a_source_travels_with_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let rows = |offset: f64| {
        let row = |i: i32| {
            format!("{},{:.3},{:.3}\n", i % 2, offset + (f64::from(i) * 0.7).sin(), (f64::from(i) * 1.3).cos())
        };
        format!("kind,a,b\n{}", (0..40).map(row).collect::<String>())
    };
    fs::write(dir.path().join("data.csv"), rows(0.0)).unwrap();
    fs::write(dir.path().join("source.csv"), rows(5.0)).unwrap();
    // By relative paths; the source has the column of classes too.
    let train =
        format!("train --data data.csv --labels kind {FLAGS} --hold-out 0 --source source.csv --steps 2 --out run");
    let trained = Command::new(env!("CARGO_BIN_EXE_tabular-train"))
        .args(train.split_whitespace())
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let sample = |from: &str| format!("sample --checkpoint {d}/{from} --num-samples 20 --num-steps 3 --out {d}/s.csv");
    let drawn = |from: &str| {
        succeed(&sample(from));
        fs::read_to_string(dir.path().join("s.csv")).unwrap()
    };
    let samples = drawn("run");
    assert_eq!(drawn("run/model.safetensors"), samples);
    fs::write(dir.path().join("source.csv"), rows(6.0)).unwrap();
    assert!(fail(&sample("run")).contains("changed since the run began"));
    fs::remove_file(dir.path().join("source.csv")).unwrap();
    assert!(fail(&sample("run")).contains("source.csv"));
    assert_eq!(drawn("run/model.safetensors"), samples);
}

/// A link or a pipe inside a run is replaced by the run's file: nothing is written through it, and
/// nobody waits for it.
#[test]
fn links_and_pipes_inside_a_run_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let run = dir.path().join("run");
    let train = format!("--batch-size 8 --widths 8 --save-every 2 --log-every 1 --sample-every 2 --out {d}/run");
    succeed(&format!("train --data moons --rows 50 {train} --steps 2"));
    fs::write(dir.path().join("mine"), "mine").unwrap();
    for name in ["loss.png", "report.html"] {
        let _ = fs::remove_file(run.join(name));
        std::os::unix::fs::symlink(dir.path().join("mine"), run.join(name)).unwrap();
    }
    assert!(Command::new("mkfifo").arg(run.join("samples/step-4.png")).status().unwrap().success());
    succeed(&format!("train --resume --steps 4 --out {d}/run"));
    succeed(&format!("report {d}/run"));
    assert_eq!(fs::read_to_string(dir.path().join("mine")).unwrap(), "mine");
    for name in ["loss.png", "report.html", "samples/step-4.png"] {
        assert!(fs::symlink_metadata(run.join(name)).unwrap().is_file(), "{name}");
    }
}
