//! A run's directory: new runs overwrite nothing, locks do not follow links, logs are cut exactly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{damage, names, pipe, refused, save, set};
use fm_train::TrainError;
use fm_train::record::LogRecord;
use fm_train::run_dir::{RunDir, holds_checkpoints};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The contents of all files below a directory, apart from the lock.
fn contents(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for name in names(root).iter().filter(|name| *name != "run.lock") {
        let path = root.join(name);
        if path.is_dir() {
            found.extend(contents(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.push((name.clone(), fs::read(&path).unwrap()));
        }
    }
    found
}

/// A finished run with checkpoints of steps 1 and 2.
fn finished(root: &Path) {
    let run = RunDir::create(root).unwrap();
    run.append("metrics.jsonl", &serde_json::json!({ "step": 1 })).unwrap();
    fs::write(run.join("config.toml"), "steps = 2").unwrap();
    for step in [1, 2] {
        save(&run.checkpoints(), step);
        run.prune(3).unwrap();
    }
}

fn each(root: &Path, change: fn(&Path)) {
    [1, 2].iter().for_each(|step| change(&root.join(format!("checkpoints/step-{step}"))));
}

#[test]
fn a_new_run_does_not_begin_where_a_run_is() {
    type Change = fn(&Path);
    let unusable = "none of its checkpoints is usable";
    let changes: [(&str, Change); 7] = [
        ("resume it", |_| ()),
        (unusable, |root| each(root, damage)),
        (unusable, |root| each(root, |checkpoint| fs::remove_file(checkpoint.join("meta.json")).unwrap())),
        (unusable, |root| each(root, |checkpoint| fs::write(checkpoint.join("meta.json"), "{\"format\": 4}").unwrap())),
        (unusable, |root| fs::remove_dir_all(root.join("checkpoints")).unwrap()),
        (unusable, |root| {
            fs::rename(root.join("checkpoints"), root.join("best")).unwrap();
            fs::write(root.join(".flow-matching-run"), "A training run of flow-matching.\n").unwrap();
        }),
        // A run of an earlier version, without a marker.
        ("nothing else shows", |root| {
            fs::remove_file(root.join(".flow-matching-run")).unwrap();
            each(root, damage);
        }),
    ];
    for (words, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        finished(&root);
        change(&root);
        let before = contents(&root);
        refused(RunDir::refuse_used(&root), words);
        refused(RunDir::create(&root), words);
        assert_eq!(contents(&root), before);
    }
}

#[test]
fn a_new_run_does_not_begin_among_files_of_others() {
    for (name, words) in [
        ("config.toml", "config.toml"),
        ("metrics.jsonl", "metrics.jsonl"),
        ("loss.png", "loss.png"),
        ("checkpoints/notes", "checkpoints"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "mine").unwrap();
        let before = contents(dir.path());
        for result in [
            RunDir::create(dir.path()).map(drop),
            RunDir::open(dir.path()).map(drop),
            RunDir::refuse_foreign(dir.path()),
        ] {
            refused(result, words);
        }
        assert_eq!(contents(dir.path()), before);
        assert!(!dir.path().join("run.lock").exists());
    }
    // Under a file.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "mine").unwrap();
    for name in ["file", "file/run"] {
        refused(RunDir::create(&dir.path().join(name)), "cannot create");
    }
    // Of a checkpoint, and of a directory of checkpoints.
    let dir = tempfile::tempdir().unwrap();
    finished(&dir.path().join("run"));
    refused(RunDir::create(&dir.path().join("run/checkpoints")), "choose a new directory");
    refused(RunDir::create(&dir.path().join("run/checkpoints/step-2")), "choose a new directory");
}

#[test]
fn what_can_be_begun_or_resumed_is() {
    let dir = tempfile::tempdir().unwrap();
    for name in [".gitkeep", "lost+found", "run.lock"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    // Killed before its first checkpoint.
    let run = RunDir::create(dir.path()).unwrap();
    fs::write(run.join("config.toml"), "steps = 2").unwrap();
    drop(run);
    let run = RunDir::create(dir.path()).unwrap();
    save(&run.checkpoints(), 5);
    drop(run);
    assert!(holds_checkpoints(dir.path()));
    drop(RunDir::open(dir.path()).unwrap());
    // A directory of an earlier version, which has no marker.
    fs::remove_file(dir.path().join(".flow-matching-run")).unwrap();
    RunDir::open(dir.path()).unwrap().begin().unwrap();
    assert!(dir.path().join(".flow-matching-run").exists());
    refused(RunDir::create(dir.path()), "resume it");
}

#[test]
fn the_lock_is_a_plain_file_and_keeps_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let (root, target) = (dir.path().join("run"), dir.path().join("thesis.tex"));
    drop(RunDir::create(&root).unwrap());
    let lock = root.join("run.lock");
    fs::write(&lock, "content").unwrap();
    drop(RunDir::open(&root).unwrap());
    assert_eq!(fs::read_to_string(&lock).unwrap(), "content");
    fs::write(&target, "mine").unwrap();
    type Make = fn(&Path, &Path);
    let makes: [(&str, Make); 5] = [
        ("a symbolic link", |lock, target| symlink(target, lock).unwrap()),
        ("a symbolic link", |lock, target| symlink(target.with_extension("absent"), lock).unwrap()),
        ("a symbolic link", |lock, _| symlink("/dev/zero", lock).unwrap()),
        ("a pipe", |lock, _| pipe(lock)),
        ("a directory", |lock, _| fs::create_dir(lock).unwrap()),
    ];
    for (words, make) in makes {
        fs::remove_file(&lock).unwrap();
        make(&lock, &target);
        refused(RunDir::open(&root), words);
        refused(RunDir::open(&root), "move it away");
        assert_eq!(
            (fs::read_to_string(&target).unwrap(), names(dir.path())),
            ("mine".into(), set(&["run", "thesis.tex"]))
        );
        if lock.is_dir() {
            fs::remove_dir(&lock).unwrap();
        }
    }
}

#[test]
fn logs_are_plain_files() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::create(&dir.path().join("run")).unwrap();
    let (log, line) = (run.join("metrics.jsonl"), serde_json::json!({ "step": 1 }));
    run.sync(&["metrics.jsonl", "timing.jsonl"]).unwrap();
    let target = dir.path().join("thesis.tex");
    fs::write(&target, "mine").unwrap();
    symlink(&target, &log).unwrap();
    refused(run.append("metrics.jsonl", &line), "a symbolic link");
    refused(run.rewind("metrics.jsonl", 3), "a symbolic link");
    fs::remove_file(&log).unwrap();
    pipe(&log);
    refused(run.append("metrics.jsonl", &line), "a pipe");
    refused(run.rewind("metrics.jsonl", 3), "a pipe");
    refused(run.sync(&["metrics.jsonl"]), "a pipe");
    assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
}

const LINES: [&str; 5] = ["{\"step\":2}\n", "{\"step\":4}\n", "{\"step\":6}\n", "{\"step\":8}\n", "{\"step\":10}\n"];

/// Cuts a log of bytes to a step, and returns it with the counts of kept, later, foreign, repeated
/// and missing lines.
fn cut(log: &[u8], step: u64) -> (String, [u64; 5]) {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::create(dir.path()).unwrap();
    fs::write(run.join("metrics.jsonl"), log).unwrap();
    let found = run.rewind("metrics.jsonl", step).unwrap();
    let after = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(run.rewind("metrics.jsonl", step).unwrap().kept, found.kept);
    let faults = found.missing(2) + found.foreign + found.repeated;
    assert_eq!(found.problem(2).is_some(), faults > 0, "{found:?}");
    (after, [found.kept, found.later, found.foreign, found.repeated, found.missing(2)])
}

#[test]
fn logs_are_cut_by_bytes_and_what_is_lost_is_counted() {
    let whole = LINES.concat();
    assert_eq!(cut(whole.as_bytes(), 10), (whole.clone(), [5, 0, 0, 0, 0]));
    assert_eq!(cut(whole.as_bytes(), 7), (LINES[..3].concat(), [3, 2, 0, 0, 0]));
    // Killed while it wrote a line, and before it wrote the end of a line.
    assert_eq!(cut(format!("{whole}{{\"step\":1").as_bytes(), 10), (whole.clone(), [5, 0, 0, 0, 0]));
    assert_eq!(cut(whole.trim_end().as_bytes(), 10), (whole.clone(), [5, 0, 0, 0, 0]));
    // A byte that is not UTF-8, in a line that stays, in one that goes, and in a line of its own.
    for (place, kept, counts) in
        [(9, LINES[1..4].concat(), [3, 1, 1, 0, 1]), (53, LINES[..4].concat(), [4, 0, 1, 0, 0])]
    {
        let mut bytes = whole.clone().into_bytes();
        bytes[place] = 0xff;
        assert_eq!(cut(&bytes, 8), (kept, counts));
    }
    let mut bytes = whole.clone().into_bytes();
    bytes.splice(11..11, *b"\xff\xfe\n");
    assert_eq!(cut(&bytes, 8), (LINES[..4].concat(), [4, 1, 1, 0, 0]));
    // Lines of something else, repeated, missing and short lines.
    let note = format!("note\n\n[3]\n{{\"loss\":1}}\n{{\"step\":-1}}\n{whole}");
    assert_eq!(cut(note.as_bytes(), 10), (whole.clone(), [5, 0, 5, 0, 0]));
    assert_eq!(cut(format!("{whole}{whole}").as_bytes(), 10), (whole.clone(), [5, 0, 0, 5, 0]));
    assert_eq!(cut([LINES[0], LINES[4]].concat().as_bytes(), 10).1, [2, 0, 0, 0, 3]);
    assert_eq!(cut([LINES[0], "{\"ste\n", LINES[2]].concat().as_bytes(), 10).1, [2, 0, 1, 0, 3]);
    assert_eq!(cut(b"", 10).1, [0, 0, 0, 0, 5]);
    assert_eq!(cut(b"", 0).1, [0; 5]);
}

#[test]
fn lines_of_another_kind_are_not_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::create(dir.path()).unwrap();
    let line = |step| format!("{{\"step\":{step},\"loss\":1.5,\"grad_norm\":1,\"lr\":1}}\n");
    fs::write(run.join("metrics.jsonl"), line(1) + "{\"step\":2}\n" + &line(3)).unwrap();
    let (records, found) = run.rewind_as::<LogRecord>("metrics.jsonl", 3).unwrap();
    assert_eq!(
        (records.iter().map(|r| r.step).collect::<Vec<_>>(), found.foreign, found.missing(1)),
        (vec![1, 3], 1, 1)
    );
    let problem = found.problem(1).unwrap();
    let warning = TrainError::Log { path: "metrics.jsonl".into(), problem }.to_string();
    assert!(warning.contains("1 lines missing, 1 lines damaged") && warning.len() <= 300, "{warning}");
    assert_eq!(found.missing(0), 0);
}
