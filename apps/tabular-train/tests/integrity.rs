//! What a resumed run depends on has not changed since: the log, held-out rows and the source. What
//! it left behind after the checkpoint that it goes on from is not taken for its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, run, succeed};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
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

/// A line that is damaged is not removed by a resume that is refused: the log can be repaired.
#[test]
fn a_refused_resume_leaves_the_log_so_that_its_remedy_works() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let log = dir.path().join("run/metrics.jsonl");
    succeed(&format!("train --data moons --rows 50 {FLAGS} --early-stopping 9 --steps 4 --out {d}/run"));
    let whole = fs::read_to_string(&log).unwrap();
    let damaged = whole.replacen("\"loss\":", "\"loss\" ", 2);
    fs::write(&log, &damaged).unwrap();
    let resume = format!("train --resume --steps 6 --out {d}/run");
    let told = fail(&resume);
    assert!(told.contains("restore it, or pass --allow-changed-data"), "{told}");
    assert_eq!(fs::read_to_string(&log).unwrap(), damaged);
    fs::write(&log, whole).unwrap();
    succeed(&resume);
}

#[test]
fn a_log_that_was_written_at_several_intervals_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let common = "--data moons --rows 50 --batch-size 8 --widths 8 --sample-every 0";
    succeed(&format!("train {common} --log-every 5 --steps 10 --out {d}/run"));
    for more in ["--steps 16 --log-every 1", "--steps 18"] {
        let (code, _, error) = run(&format!("train --resume {more} --out {d}/run"));
        assert!(code == Some(0) && !error.contains("warning"), "{error}");
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

/// Runs that were killed after their last best checkpoint and snapshot of averages, before the
/// checkpoint of that step. With more steps, the learning rates and the weights are others.
#[test]
fn what_a_killed_run_left_behind_is_not_taken_for_that_of_its_resumed_one() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = FLAGS.replace("--decay constant", "--warmup-steps 0 --lr 0.01");
    let tracked = "--keep-best 4 --ema-sigma 0.05,0.1";
    for name in ["killed", "clean"] {
        succeed(&format!("train --data moons {flags} {tracked} --steps 6 --out {d}/{name}"));
        for step in [4, 6] {
            fs::remove_dir_all(dir.path().join(format!("{name}/checkpoints/step-{step}"))).unwrap();
        }
    }
    for step in [3, 4, 5, 6] {
        let _ = fs::remove_dir_all(dir.path().join(format!("clean/best/step-{step}")));
        let _ = fs::remove_dir_all(dir.path().join(format!("clean/averages/step-{step}")));
    }
    let read = |name: &str| -> BTreeSet<(String, Vec<u8>)> {
        let run = dir.path().join(name);
        let inside =
            |path: &Path| fs::read_dir(path).into_iter().flatten().map(|e| e.unwrap().path()).collect::<Vec<_>>();
        let steps = ["best", "averages"].iter().flat_map(|part| inside(&run.join(part)));
        let files = steps.flat_map(|step| inside(&step)).filter(|path| !path.ends_with("meta.json"));
        files.map(|path| (path.strip_prefix(&run).unwrap().display().to_string(), fs::read(&path).unwrap())).collect()
    };
    let before = read("killed");
    for name in ["killed", "clean"] {
        succeed(&format!("train --resume --steps 8 --save-every 8 --out {d}/{name}"));
    }
    let (killed, clean) = (read("killed"), read("clean"));
    let names = |files: &BTreeSet<(String, Vec<u8>)>| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&killed), names(&clean));
    assert!(killed == clean, "other weights than those of the resumed run");
    // The test needs steps that both runs kept.
    let common = before.iter().filter(|(name, _)| names(&clean).contains(name));
    assert!(common.filter(|file| !clean.contains(*file)).count() > 0);
}

/// The advice of each command, followed.
#[test]
fn advice_on_damaged_runs_works() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let train = |out: &str| format!("train --data moons {FLAGS} --ema-sigma 0.05,0.1 --steps 4 --out {d}/{out}");
    succeed(&train("run"));
    let sample = format!("sample --checkpoint {d}/run --ema-sigma 0.07 --num-samples 2 --num-steps 1 --out {d}/s.csv");
    let snapshot = dir.path().join("run/averages/step-2");
    fs::write(snapshot.join("ema-sigma-0.1.safetensors"), "cut").unwrap();
    let told = fail(&sample);
    assert!(told.contains("is a damaged snapshot of averages") && told.contains("; remove it"), "{told}");
    fs::remove_dir_all(&snapshot).unwrap();
    succeed(&sample);
    assert!(fail(&train("run")).contains("pass --resume to continue it"));
    succeed(&format!("train --resume --out {d}/run"));
    for step in [2, 4] {
        fs::write(dir.path().join(format!("run/checkpoints/step-{step}/model.safetensors")), "cut").unwrap();
    }
    let told = fail(&train("run"));
    assert!(!told.contains("--resume") && told.contains("pass another --out"), "{told}");
    succeed(&train("other"));
}

#[test]
fn counts_beyond_memory_are_refused_before_anything_is_computed() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    fs::write(dir.path().join("means.csv"), "0,1\n1,0\n").unwrap();
    let decays: Vec<String> = (1..1000).map(|k| format!("{}", f64::from(k) / 1000.0)).collect();
    let many = "1000000000000";
    for (command, says) in [
        (format!("solve {d}/means.csv --num-samples {many} --out {d}/x.csv"), "give a smaller --num-samples"),
        (format!("reflow --teacher {d}/none --teacher-steps {many} --out {d}/run"), "choose 1 to 1000000"),
        (
            format!("train --data moons --widths 8000,8000,8000 --ema-decay {} --out {d}/run", decays.join(",")),
            "fewer averages (--ema-decay, --ema-sigma)",
        ),
    ] {
        let told = fail(&command);
        assert!(told.contains(says), "{told}");
    }
    assert!(!dir.path().join("run").exists());
}

/// Outputs named by a user replace nothing that a run needs, through links neither.
#[test]
fn outputs_do_not_replace_files_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train --data moons {FLAGS} --keep-best 1 --steps 2 --out {d}/run"));
    std::os::unix::fs::symlink(
        dir.path().join("run/checkpoints/step-2/new.safetensors"),
        dir.path().join("l.safetensors"),
    )
    .unwrap();
    let whole = fs::read(dir.path().join("run/checkpoints/step-2/model.safetensors")).unwrap();
    for out in [
        "run/checkpoints/step-2/model.safetensors",
        "run/checkpoints/step-2/other.safetensors",
        "run/best/../checkpoints/step-2/ema.safetensors",
        "run/model.safetensors",
        "l.safetensors",
    ] {
        let told = fail(&format!("convert {d}/run {d}/{out}"));
        assert!(told.contains("it would replace a file that a run needs; choose another path"), "{out}: {told}");
    }
    assert!(
        fail(&format!("evaluate --checkpoint {d}/run --num-samples 50 --json {d}/run/config.json"))
            .contains("choose another path")
    );
    assert_eq!(fs::read(dir.path().join("run/checkpoints/step-2/model.safetensors")).unwrap(), whole);
    succeed(&format!("convert {d}/run {d}/run/net.safetensors"));
    // A description of the other direction of time.
    let bytes = fs::read(dir.path().join("run/net.safetensors")).unwrap();
    let (ours, other) = (b"source at t = 0, data at t = 1", b"data at t = 0, source at t = 1");
    let at = bytes.windows(ours.len()).position(|window| window == ours).unwrap();
    let turned = [&bytes[..at], other, &bytes[at + other.len()..]].concat();
    fs::write(dir.path().join("turned.safetensors"), turned).unwrap();
    let told = fail(&format!("sample --checkpoint {d}/turned.safetensors --out {d}/s.csv"));
    assert!(told.contains("its time runs from the data at t = 0"), "{told}");
}

#[test]
fn options_of_what_is_not_asked_for_are_refused() {
    for (command, needs) in [
        ("likelihood --checkpoint x y.csv --resolution 30", "--picture"),
        ("likelihood --checkpoint x y.csv --probe gaussian", "--probes"),
    ] {
        let told = fail(command);
        assert!(told.contains("required") && told.contains(needs), "{told}");
    }
}
