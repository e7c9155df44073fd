//! Random crops, rotations and translations, through the real program.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, read, succeed, tiny_config};

const AUGMENT: &str = "--random-crop 1 --random-rotation 10 --random-translation 1";

#[test]
fn augmented_runs_resume_exactly_with_any_number_of_workers() {
    let dir = tempfile::tempdir().unwrap();
    let (config, d) = (tiny_config(dir.path()), dir.path().display().to_string());
    let train = |run: &str, flags: &str| succeed(&format!("train --config {config} {flags} --out {d}/{run}"));
    let weights = |run: &str| read(dir.path().join(run).join("checkpoints/step-12/model.safetensors"));
    let said = train("whole", AUGMENT);
    assert!(said.contains("crops of 1, rotations of 10 degrees, translations of 1"), "{said}");
    train("alone", &format!("{AUGMENT} --num-workers 0"));
    assert!(weights("whole") == weights("alone"), "the number of workers changed the result");
    train("parts", AUGMENT);
    std::fs::remove_dir_all(dir.path().join("parts/checkpoints/step-12")).unwrap();
    succeed(&format!("train --resume --out {d}/parts"));
    assert!(weights("whole") == weights("parts"), "a resumed run differs");
    train("plain", "");
    assert!(weights("whole") != weights("plain"), "the images were not augmented");
    for flag in ["--random-crop 1", "--random-rotation 10", "--random-translation 1"] {
        train(&flag[9..13], flag);
        assert!(weights(&flag[9..13]) != weights("plain"), "{flag} changes nothing");
    }
    let changed = fail(&format!("train --resume --random-crop 2 --out {d}/parts"));
    assert!(changed.contains("'random_crop' cannot change"), "{changed}");
}

/// A run that was written before these options existed has none of them.
#[test]
fn runs_without_the_options_are_not_augmented() {
    let dir = tempfile::tempdir().unwrap();
    let (config, d) = (tiny_config(dir.path()), dir.path().display().to_string());
    succeed(&format!("train --config {config} --steps 4 --out {d}/run"));
    let toml = String::from_utf8(read(dir.path().join("run/config.toml"))).unwrap();
    let before: String =
        toml.lines().filter(|line| !line.starts_with("random_")).map(|line| format!("{line}\n")).collect();
    assert_eq!(toml.lines().count() - before.lines().count(), 3);
    std::fs::write(dir.path().join("old.toml"), before).unwrap();
    succeed(&format!("train --config {d}/old.toml --steps 4 --out {d}/again"));
    let weights = |run: &str| read(dir.path().join(run).join("checkpoints/step-4/model.safetensors"));
    assert!(weights("run") == weights("again"));
}
