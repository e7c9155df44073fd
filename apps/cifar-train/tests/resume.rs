//! A run that is killed loses nothing that was saved, and goes on to the very same bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{program, read, succeed, tiny_config};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const FILES: [&str; 4] = ["model.safetensors", "ema.safetensors", "ema-0.99.safetensors", "optimizer.safetensors"];
/// Kills of one run, at the least.
const KILLS: u64 = 20;

fn train(dir: &Path, run: &str, flags: &str) {
    let out = dir.join(run);
    succeed(&format!("train --config {} {flags} --out {}", tiny_config(dir), out.display()));
}

fn assert_same(dir: &Path, a: &str, b: &str, step: u64) {
    for file in FILES {
        let path = |run: &str| dir.join(run).join(format!("checkpoints/step-{step}")).join(file);
        assert!(read(path(a)) == read(path(b)), "{file} of step {step} differs");
    }
    let log = |run: &str| String::from_utf8(read(dir.join(run).join("metrics.jsonl"))).unwrap();
    assert_eq!(log(a), log(b), "metrics.jsonl");
}

#[test]
fn stopping_and_resuming_gives_the_same_bytes_with_any_number_of_workers() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), "whole", "");
    // Step 8 lies between two lines of the log, so that the running sum has to survive too.
    train(dir.path(), "parts", "--num-workers 0 --save-every 8");
    let parts = dir.path().join("parts");
    fs::remove_dir_all(parts.join("checkpoints/step-12")).unwrap();
    succeed(&format!("train --resume --num-workers 3 --out {}", parts.display()));
    assert_same(dir.path(), "whole", "parts", 12);
    let steps: Vec<u64> = String::from_utf8(read(parts.join("metrics.jsonl")))
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [5, 10, 12]);
}

/// A flow map with guidance in its target, and averages of relative widths.
/// A run that was killed between a picture and its copy for TensorBoard has both after it resumes.
#[test]
fn the_picture_of_the_step_is_written_for_tensorboard_again() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), "run", "--steps 8 --sample-every 4 --save-every 4");
    let run = dir.path().join("run");
    fs::remove_dir_all(run.join("checkpoints/step-8")).unwrap();
    fs::remove_dir_all(run.join("tensorboard")).unwrap();
    succeed(&format!("train --resume --out {}", run.display()));
    let events: Vec<_> = fs::read_dir(run.join("tensorboard")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(events.len(), 1);
    let bytes = read(events[0].clone());
    for step in [4, 8] {
        let png = read(run.join(format!("samples/step-{step}.png")));
        assert!(bytes.windows(png.len()).any(|part| part == png), "the picture of step {step}");
    }
}

#[test]
fn guided_flow_maps_resume_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let flags = "--task meanflow:omega=1.5,kappa=0.3 --ema-sigma 0.05,0.1";
    train(dir.path(), "whole", flags);
    train(dir.path(), "parts", flags);
    let parts = dir.path().join("parts");
    fs::remove_dir_all(parts.join("checkpoints/step-12")).unwrap();
    fs::remove_dir_all(parts.join("averages/step-12")).unwrap();
    succeed(&format!("train --resume --out {}", parts.display()));
    assert_same(dir.path(), "whole", "parts", 12);
    for step in [4, 8, 12] {
        let file = |run: &str| read(dir.path().join(format!("{run}/averages/step-{step}/ema-sigma-0.1.safetensors")));
        assert!(file("whole") == file("parts"), "{step}");
    }
    // Another target gives other weights.
    train(dir.path(), "plain", "--task meanflow");
    let weights = |run: &str| read(dir.path().join(run).join("checkpoints/step-12/model.safetensors"));
    assert!(weights("plain") != weights("whole"));
}

#[test]
fn kill_9_at_any_moment_leaves_a_loadable_checkpoint_and_the_same_end() {
    let dir = tempfile::tempdir().unwrap();
    let flags = "--steps 120 --save-every 1";
    // Other moments each time; printed, so that a failure can be looked into.
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let mut moments = StdRng::seed_from_u64(u64::from(seed));
    println!("moments of seed {seed}");
    train(dir.path(), "whole", flags);
    let out = dir.path().join("killed");
    let config = tiny_config(dir.path());
    let mut kills = 0;
    for attempt in 0u64.. {
        let mut command = program();
        command.args(["train", "--out"]).arg(&out);
        match attempt {
            0 => command.args(["--config", &config]).args(flags.split(' ')),
            _ => command.arg("--resume"),
        };
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Wait for progress, then kill at a random moment of the steps and saves that follow.
        let before = newest(&out);
        let deadline = Instant::now() + Duration::from_secs(120);
        while newest(&out) <= before && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "no progress in two minutes");
            std::thread::sleep(Duration::from_millis(2));
        }
        if attempt < KILLS {
            std::thread::sleep(Duration::from_micros(moments.random_range(0..40_000)));
        }
        if attempt >= KILLS {
            assert!(child.wait().unwrap().success());
            break;
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it was killed {KILLS} times");
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        let text = succeed(&format!("inspect {}", out.display()));
        assert!(text.contains("(verified)"), "{text}");
    }
    assert_eq!(kills, KILLS);
    assert_same(dir.path(), "whole", "killed", 120);
    let meta = |run: &str| read(dir.path().join(run).join("checkpoints/step-120/meta.json"));
    assert!(meta("whole") == meta("killed"), "meta.json differs");
    let leftovers = fs::read_dir(out.join("checkpoints")).unwrap().flatten();
    assert!(
        leftovers.into_iter().all(|e| e.file_name().to_string_lossy().starts_with("step-")),
        "a half-written checkpoint stayed"
    );
}

fn newest(out: &Path) -> Option<u64> {
    let entries = fs::read_dir(out.join("checkpoints")).ok()?.flatten();
    entries.filter_map(|e| e.file_name().to_str()?.strip_prefix("step-")?.parse().ok()).max()
}

#[test]
fn one_interrupt_saves_and_two_processes_do_not_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut child = program()
        .args([
            "train",
            "--config",
            &tiny_config(dir.path()),
            "--steps",
            "100000",
            "--save-every",
            "0",
            "--log-every",
            "1",
            "--out",
        ])
        .arg(&out)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !out.join("metrics.jsonl").exists() || read(out.join("metrics.jsonl")).is_empty() {
        assert!(Instant::now() < deadline, "no progress in two minutes");
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = common::fail(&format!("train --config {} --out {}", tiny_config(dir.path()), out.display()));
    assert!(second.contains("in use by another run"), "{second}");
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let step = newest(&out).expect("a checkpoint after the interrupt");
    assert!(succeed(&format!("inspect {}", out.display())).contains(&format!("step             {step}")));
}

/// A limit on the size of files refuses writes as a full disk does.
#[test]
fn a_full_disk_is_told_and_loses_nothing_that_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path(), "whole", "");
    train(dir.path(), "full", "");
    let out = dir.path().join("full");
    for step in [8, 12] {
        fs::remove_dir_all(out.join(format!("checkpoints/step-{step}"))).unwrap();
    }
    let (words, binary) = (["train", "--resume", "--out"], env!("CARGO_BIN_EXE_cifar-train"));
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", r#"ulimit -f 128; trap "" XFSZ; exec "$0" "$@""#, binary]).args(words).arg(&out);
    let output = limited.env("OMP_NUM_THREADS", "1").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    let told = ["cannot write", "safetensors", "raise the limit (ulimit -f)", "last good checkpoint", "step-4"];
    assert!(told.iter().all(|part| error.contains(part)), "{error}");
    assert!(succeed(&format!("inspect {}", out.display())).contains("step             4"));
    let left: Vec<_> = fs::read_dir(out.join("checkpoints")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["step-4"], "nothing half-written stays");
    succeed(&format!("train --resume --out {}", out.display()));
    assert_same(dir.path(), "whole", "full", 12);
}
