//! Outputs to pipes, devices and links, closed pipes, full disks and closed terminals; and resuming
//! a run that was killed between writing two of its files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, succeed};
use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TINY: &str = "--data gaussian4 --batch-size 16 --widths 8 --log-every 1";

fn program(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tabular-train"));
    command.env("OMP_NUM_THREADS", "1").args(words.split_whitespace());
    command
}

fn lines(run: &str, log: &str) -> usize {
    fs::read_to_string(Path::new(run).join(log)).map_or(0, |text| text.lines().count())
}

#[test]
fn pipes_devices_and_links_are_written_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train {TINY} --steps 2 --sample-every 0 --out {d}/run"));
    let sample = format!("sample --checkpoint {d}/run --num-steps 2 --num-samples 3");
    let found = |name: &str| fs::symlink_metadata(dir.path().join(name)).unwrap().file_type();

    // A pipe with a reader.
    assert!(Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap().success());
    let mut reader = Command::new("cat").arg(dir.path().join("pipe")).stdout(Stdio::piped()).spawn().unwrap();
    let written = program(&format!("{sample} --out {d}/pipe")).output().unwrap();
    if !written.status.success() {
        reader.kill().unwrap();
    }
    let text = String::from_utf8(reader.wait_with_output().unwrap().stdout).unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    assert!(found("pipe").is_fifo() && text.lines().count() == 3, "{text}");

    // Links to devices.
    symlink("/dev/null", dir.path().join("null")).unwrap();
    succeed(&format!("{sample} --out {d}/null"));
    succeed(&format!("train {TINY} --steps 2 --sample-every 0 --profile {d}/null --out {d}/profiled"));
    symlink("/dev/full", dir.path().join("full")).unwrap();
    assert!(fail(&format!("{sample} --out {d}/full")).contains("No space left"));
    assert!(found("null").is_symlink() && found("full").is_symlink());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    // A link to a file, and one to standard output.
    fs::write(dir.path().join("file.csv"), "old").unwrap();
    symlink("file.csv", dir.path().join("link.csv")).unwrap();
    succeed(&format!("{sample} --out {d}/link.csv"));
    assert!(found("link.csv").is_symlink());
    assert_eq!(fs::read_to_string(dir.path().join("file.csv")).unwrap(), text);
    let out = program(&format!("{sample} --out /dev/stdout")).output().unwrap();
    assert!(out.status.success() && String::from_utf8(out.stdout).unwrap().starts_with(&text));
    // Redirected to a file, it has the rows and the messages.
    let file = fs::File::create(dir.path().join("redirected")).unwrap();
    assert!(program(&format!("{sample} --out /dev/stdout")).stdout(file).status().unwrap().success());
    let both = fs::read_to_string(dir.path().join("redirected")).unwrap();
    assert!(both.contains(&text) && both.contains("wrote /dev/stdout"), "{both}");
    // A link to a file that is not there yet.
    symlink("new.csv", dir.path().join("ahead.csv")).unwrap();
    succeed(&format!("{sample} --out {d}/ahead.csv"));
    assert!(found("ahead.csv").is_symlink());
    assert_eq!(fs::read_to_string(dir.path().join("new.csv")).unwrap(), text);
}

#[test]
fn a_reader_that_has_gone_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let closed = |words: &str| {
        let mut child = program(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        child.wait().unwrap().code()
    };
    let out = format!("{d}/run");
    assert_eq!(closed(&format!("train {TINY} --steps 6 --sample-every 2 --out {out}")), Some(0));
    assert_eq!((lines(&out, "metrics.jsonl"), lines(&out, "moments.jsonl")), (6, 3));
    for words in ["data moons".into(), format!("evaluate --checkpoint {out} --num-samples 50"), "train --help".into()] {
        assert_eq!(closed(&words), Some(0), "{words}");
    }
}

#[test]
fn a_full_standard_output_is_an_error_but_does_not_end_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let out = format!("{}/run", dir.path().display());
    let full = |words: &str| {
        let device = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = program(words).stdout(device).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = full(&format!("train {TINY} --steps 6 --sample-every 0 --out {out}"));
    assert_eq!((code, lines(&out, "metrics.jsonl")), (Some(0), 6), "{said}");
    assert!(said.contains("warning: standard output was lost"), "{said}");
    let (code, said) = full("data moons");
    assert_eq!((code, said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("cannot write standard output"), "{said}");
}

/// Starts a long run, and returns after it has logged its first step.
fn started(shell: &str, out: &str) -> Child {
    let words = format!("train {TINY} --steps 200000 --sample-every 0 --out {out}");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell} exec \"$0\" {words}"), env!("CARGO_BIN_EXE_tabular-train")]);
    let child = command.env("OMP_NUM_THREADS", "1").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while lines(out, "metrics.jsonl") == 0 {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_closed_terminal_stops_a_run_with_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let out = format!("{}/run", dir.path().display());
    let mut child = started("", &out);
    // The terminal is gone, and both the kernel and the shell say so.
    drop((child.stdout.take(), child.stderr.take()));
    send("-HUP", &child);
    send("-HUP", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let steps = lines(&out, "metrics.jsonl");
    assert!(Path::new(&out).join(format!("checkpoints/step-{steps}/meta.json")).exists());
    succeed(&format!("train --resume --steps {} --out {out}", steps + 3));
    assert_eq!(lines(&out, "metrics.jsonl"), steps + 3);
}

#[test]
fn ignored_signals_stay_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let out = format!("{}/run", dir.path().display());
    // As nohup does, and as shells do for background jobs.
    let mut child = started("trap '' HUP INT;", &out);
    send("-HUP", &child);
    send("-INT", &child);
    let steps = lines(&out, "metrics.jsonl");
    let end = Instant::now() + Duration::from_secs(60);
    while lines(&out, "metrics.jsonl") < steps + 100 {
        assert!(Instant::now() < end && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(10));
    }
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_picture_that_a_killed_run_lost_is_drawn_when_it_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = format!("{TINY} --steps 8 --save-every 4 --sample-every 4");
    // Of moons there are pictures, of a table with four columns there are moments.
    for (data, name, middle) in [("gaussian4", "moments.jsonl", true), ("moons", "samples/step-4.png", false)] {
        let flags = flags.replace("gaussian4", data);
        succeed(&format!("train {flags} --out {d}/{data}"));
        succeed(&format!("train {flags} --out {d}/{data}-killed"));
        let [whole, killed] = ["", "-killed"].map(|end| dir.path().join(format!("{data}{end}")));
        // Killed after the checkpoint of step 4 was saved, and before the picture was drawn.
        fs::remove_dir_all(killed.join("checkpoints/step-8")).unwrap();
        if middle {
            fs::write(killed.join(name), "").unwrap()
        } else {
            fs::remove_file(killed.join(name)).unwrap()
        }
        succeed(&format!("train --resume --out {}", killed.display()));
        let bytes = |run: &Path| fs::read(run.join(name)).unwrap();
        assert!(bytes(&whole) == bytes(&killed), "{name}");
    }
    // At the end of a run.
    let last = dir.path().join("moons/samples/step-8.png");
    let bytes = fs::read(&last).unwrap();
    fs::remove_file(&last).unwrap();
    succeed(&format!("train --resume --out {d}/moons"));
    assert!(fs::read(&last).unwrap() == bytes);
}

#[test]
fn an_early_stopped_run_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = format!("{TINY} --steps 400 --lr 1e-9 --early-stopping 5 --sample-every 0 --save-every 3");
    let said = succeed(&format!("train {flags} --out {d}/run"));
    assert!(said.contains("has not improved for 5 lines"), "{said}");
    let log = fs::read(dir.path().join("run/metrics.jsonl")).unwrap();
    let said = succeed(&format!("train --resume --out {d}/run"));
    assert!(said.contains("has not improved for 5 lines"), "{said}");
    assert!(fs::read(dir.path().join("run/metrics.jsonl")).unwrap() == log);
}

#[test]
fn names_of_other_formats_are_refused_before_the_work() {
    // The runs and tables do not exist, and are not opened.
    for (words, ending) in [
        ("sample --checkpoint none --out x.txt", ".csv or .npy"),
        ("trajectory --checkpoint none --out x", ".csv or .npy"),
        ("animate --checkpoint none --out anim.mp4", "end it in .gif"),
        ("couple none.csv none.csv --out q.npy", "end it in .csv"),
        ("data moons --picture m.pdf", ".png, .jpg"),
        ("objective --gif o.png", "end it in .gif"),
    ] {
        let (code, _, error) = common::run(words);
        assert!(code == Some(2) && error.contains("names no format of") && error.contains(ending), "{words}: {error}");
    }
}

/// A profile would wait for the reader of a pipe in the middle of a run.
#[test]
fn a_profile_is_not_written_into_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    assert!(Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap().success());
    let told = fail(&format!("train {TINY} --steps 9 --sample-every 0 --profile {d}/pipe --out {d}/run"));
    assert!(
        told.contains("cannot write a profile into the pipe") && told.contains("give the name of a file"),
        "{told}"
    );
}
