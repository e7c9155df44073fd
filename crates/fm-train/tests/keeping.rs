//! What is removed from a run's directory: old checkpoints, if newer undamaged ones are there, and
//! temporary files of this crate. Everything else stays.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{damage, info, names, refused, save, set, state};
use fm_train::callbacks::{Callback, KeepBest};
use fm_train::checkpoint::{Meta, read_meta, verify};
use fm_train::record::LogRecord;
use fm_train::run_dir::{RunDir, latest_checkpoint};
use fm_train::{TrainError, files};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A run with checkpoints of steps 10, 20, 30 and 40.
fn run(root: &Path) -> RunDir {
    let run = RunDir::create(root).unwrap();
    [10, 20, 30, 40].iter().for_each(|step| drop(save(&run.checkpoints(), *step)));
    run
}

#[test]
fn damaged_checkpoints_do_not_push_out_good_ones() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    ["step-30", "step-40"].iter().for_each(|name| damage(&run.checkpoints().join(name)));
    // Resumed from step 20.
    for (step, left) in [(22, ["step-20", "step-22"]), (24, ["step-22", "step-24"]), (26, ["step-24", "step-26"])] {
        save(&run.checkpoints(), step);
        run.prune(2).unwrap();
        assert_eq!(names(&run.checkpoints()), &set(&left) | &set(&["step-30", "step-40"]));
        assert_eq!(latest_checkpoint(dir.path()).unwrap().1.step, step);
    }
    // A damaged one is replaced when its step is reached.
    save(&run.checkpoints(), 30);
    verify(&run.checkpoints().join("step-30")).unwrap();
}

/// Copies of an old checkpoint under later names are not the newest, and push out nothing.
#[test]
fn copies_under_other_names_are_no_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    let copies = ["step-100", "step-101", "step-102"];
    for name in copies {
        fs::create_dir(run.checkpoints().join(name)).unwrap();
        for entry in fs::read_dir(run.checkpoints().join("step-10")).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), run.checkpoints().join(name).join(entry.file_name())).unwrap();
        }
    }
    let (_, meta, damaged) = latest_checkpoint(dir.path()).unwrap();
    assert_eq!((meta.step, damaged.len()), (40, 3));
    assert!(damaged[0].to_string().contains("it is of step 10, so it is a copy or was renamed"), "{}", damaged[0]);
    save(&run.checkpoints(), 50);
    run.prune(2).unwrap();
    assert_eq!(names(&run.checkpoints()), &set(&["step-40", "step-50"]) | &set(&copies));
    // When its step is reached, a copy makes room and stays.
    save(&run.checkpoints(), 100);
    assert_eq!(latest_checkpoint(dir.path()).unwrap().1.step, 100);
    assert!(run.checkpoints().join("step-100.damaged-1").is_dir());
}

#[test]
fn nothing_is_removed_while_too_few_are_good() {
    for keep in [1, 2, 3] {
        let dir = tempfile::tempdir().unwrap();
        let run = run(dir.path());
        // Damaged in three ways: a value, the metadata, a file that is gone.
        damage(&run.checkpoints().join("step-40"));
        fs::write(run.checkpoints().join("step-30/meta.json"), "{}").unwrap();
        fs::remove_file(run.checkpoints().join("step-20/optimizer.safetensors")).unwrap();
        run.prune(keep).unwrap();
        assert_eq!(names(&run.checkpoints()), set(&["step-10", "step-20", "step-30", "step-40"]));
        assert_eq!(latest_checkpoint(dir.path()).unwrap().1.step, 10);
    }
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    run.prune(0).unwrap();
    assert_eq!(names(&run.checkpoints()).len(), 4);
    // Later than the clock steps of the file system, so that unchanged files are not read again.
    std::thread::sleep(std::time::Duration::from_millis(100));
    run.prune(3).unwrap();
    assert_eq!(names(&run.checkpoints()), set(&["step-20", "step-30", "step-40"]));
    // Damaged after it was verified, in the same process.
    damage(&run.checkpoints().join("step-40"));
    run.prune(2).unwrap();
    assert_eq!(names(&run.checkpoints()), set(&["step-20", "step-30", "step-40"]));
    fs::create_dir(run.checkpoints().join("step-007")).unwrap();
    run.prune(1).unwrap();
    assert_eq!(names(&run.checkpoints()), set(&["step-007", "step-30", "step-40"]));
}

#[test]
fn the_best_checkpoint_is_replaced_by_a_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let best = dir.path().join("best");
    let mut keeper = KeepBest::new(best.clone(), info(), "loss", 1).unwrap();
    let line = |step, loss| LogRecord {
        step,
        loss,
        ..serde_json::from_str(r#"{"step":1,"loss":0,"grad_norm":1,"lr":1}"#).unwrap()
    };
    for (step, loss, kept) in [(2, 3.0, "step-2"), (4, 5.0, "step-2"), (6, 1.0, "step-6")] {
        let _ = keeper.after_step(&mut state(step), Some(&line(step, loss))).unwrap();
        assert_eq!(names(&best), set(&[kept]));
    }
    fs::write(best.join("step-6/notes.txt"), "mine").unwrap();
    let _ = keeper.after_step(&mut state(8), Some(&line(8, 0.5))).unwrap();
    assert_eq!((names(&best), names(&best.join("step-6"))), (set(&["step-6", "step-8"]), set(&["notes.txt"])));
    assert!(keeper.warnings()[0].to_string().contains("not part of the checkpoint"), "{:?}", keeper.warnings());
}

#[test]
fn several_best_checkpoints_are_kept_across_a_resume() {
    let dir = tempfile::tempdir().unwrap();
    let best = dir.path().join("best");
    let keeper = || KeepBest::new(best.clone(), info(), "val_loss:max", 2).unwrap();
    let line = |(step, value): (u64, f64)| LogRecord {
        step,
        val_loss: (value != 0.0).then_some(value),
        ..serde_json::from_str(r#"{"step":1,"loss":0,"grad_norm":1,"lr":1}"#).unwrap()
    };
    let log: Vec<LogRecord> =
        [(2, 1.0), (4, 3.0), (6, 0.0), (8, 2.0), (10, 2.0), (12, f64::NAN), (14, 9.0)].map(line).into();
    let kept = [&["step-2"][..], &["step-2", "step-4"], &["step-2", "step-4"], &["step-4", "step-8"]];
    let kept = kept.into_iter().chain([&["step-4", "step-8"][..], &["step-4", "step-8"], &["step-14", "step-4"]]);
    let (mut whole, mut resumed) = (keeper(), keeper());
    for (k, (line, kept)) in log.iter().zip(kept).enumerate() {
        // The second half by a callback that received the lines of the first.
        let keeper = if k < 4 { &mut whole } else { &mut resumed };
        let _ = keeper.after_step(&mut state(line.step), Some(line)).unwrap();
        assert_eq!(names(&best), set(kept), "step {}", line.step);
        let _ = if k < 4 { resumed.replay(line) } else { whole.replay(line) };
    }
    assert!(KeepBest::new(best.clone(), info(), "loss", 0).is_err());
    assert!(KeepBest::new(best, info(), "val_loss:most", 1).is_err());
}

#[test]
fn files_of_others_inside_a_checkpoint_stay() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    let [note, folder, linked] = [10, 20, 30].map(|step| run.checkpoints().join(format!("step-{step}")));
    fs::write(note.join("notes.txt"), "mine").unwrap();
    fs::create_dir(folder.join("thesis")).unwrap();
    fs::write(folder.join("thesis/chapter.tex"), "mine").unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("chapter.tex"), "mine").unwrap();
    symlink(&outside, linked.join("link")).unwrap();
    let warnings = run.retain(1).unwrap();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings.iter().all(|w| matches!(w, TrainError::Kept { .. })));
    assert_eq!([names(&note), names(&folder), names(&linked)], [set(&["notes.txt"]), set(&["thesis"]), set(&["link"])]);
    assert_eq!((names(&folder.join("thesis")), names(&outside)), (set(&["chapter.tex"]), set(&["chapter.tex"])));

    // A link to a checkpoint, and a directory without readable metadata.
    let elsewhere = tempfile::tempdir().unwrap();
    let real = save(elsewhere.path(), 5);
    symlink(&real, run.checkpoints().join("step-5")).unwrap();
    fs::create_dir(run.checkpoints().join("step-6")).unwrap();
    fs::write(run.checkpoints().join("step-6/model.safetensors"), "mine").unwrap();
    fs::create_dir(run.checkpoints().join("step-7")).unwrap();
    run.retain(1).unwrap();
    verify(&real).unwrap();
    let left = set(&["step-5", "step-6", "step-10", "step-20", "step-30", "step-40"]);
    assert_eq!(names(&run.checkpoints()), left, "the empty directory is gone");

    // A step that is saved again over something that is not ours.
    save(&run.checkpoints(), 6);
    save(&run.checkpoints(), 10);
    let aside = ["step-6.damaged-1", "step-10.damaged-1"];
    assert_eq!(names(&run.checkpoints()), &left | &set(&aside));
    assert_eq!(fs::read_to_string(run.checkpoints().join(aside[0]).join("model.safetensors")).unwrap(), "mine");
}

/// A temporary name as a killed process leaves it, found by writing.
fn partial(name: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut made = String::new();
    files::publish(&dir.path().join(name), |path| {
        made = path.file_name().unwrap().to_string_lossy().into_owned();
        files::write_plain(path, b"")
    })
    .unwrap();
    made
}

/// A name as long as the file system permits leaves room for no temporary name with all of it.
#[test]
fn long_names_are_written() {
    let dir = tempfile::tempdir().unwrap();
    for length in [200, 250, 255] {
        let path = dir.path().join("n".repeat(length));
        files::write(&path, b"x").unwrap();
        assert_eq!(fs::read(path).unwrap(), b"x");
    }
}

#[test]
fn cleaning_removes_our_temporary_files_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    drop(run(&root));
    let (ours, checkpoint) = (partial("config.toml"), partial("step-50"));
    let process = std::process::id().to_string();
    assert!(ours.contains(&process), "{ours}");
    let others = [
        ".thesis.partial".to_owned(),
        ours.replace(&process, ""),
        ours.replace(&process, "0x1"),
        ours.replace(&process, "+1"),
        ours.replacen('.', "", 1),
        format!("{ours}.part"),
    ];
    for directory in [root.clone(), root.join("checkpoints"), root.join("samples")] {
        for name in others.iter().chain([&ours]) {
            fs::write(directory.join(name), "x").unwrap();
        }
        for name in [".folder.partial", ".step-50.partial", &checkpoint] {
            fs::create_dir(directory.join(name)).unwrap();
            fs::write(directory.join(name).join("model.safetensors"), "x").unwrap();
        }
    }
    let nested = root.join(partial("step-60"));
    fs::create_dir_all(nested.join("thesis")).unwrap();
    fs::write(nested.join("thesis/chapter.tex"), "mine").unwrap();
    let link = partial("link");
    symlink(dir.path(), root.join(&link)).unwrap();

    let before: Vec<_> = [root.clone(), root.join("checkpoints")].iter().map(|d| names(d)).collect();
    let opened = RunDir::open(&root).unwrap();
    refused(RunDir::open(&root), "in use by another run");
    refused(RunDir::create(&root), "already holds a run");
    let after: Vec<_> = [root.clone(), root.join("checkpoints")].iter().map(|d| names(d)).collect();
    assert_eq!(before, after, "nothing changes before the run begins");
    opened.begin().unwrap();
    for directory in [root.clone(), root.join("checkpoints"), root.join("samples")] {
        let left = names(&directory);
        assert!(!left.contains(&ours) && !left.contains(&checkpoint), "{left:?}");
        assert!(others.iter().all(|name| left.contains(name)), "{left:?}");
        for name in [".folder.partial", ".step-50.partial"] {
            assert_eq!(names(&directory.join(name)), set(&["model.safetensors"]));
        }
    }
    assert!(nested.join("thesis/chapter.tex").exists() && names(&root).contains(&link));
}

#[test]
fn a_checkpoint_that_was_removed_halfway_is_removed_later() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path());
    let old = run.checkpoints().join("step-10");
    let Meta { files, .. } = read_meta(&old).unwrap();
    fs::remove_file(old.join(files.keys().next().unwrap())).unwrap();
    run.prune(3).unwrap();
    assert_eq!(names(&run.checkpoints()), set(&["step-20", "step-30", "step-40"]));
}
