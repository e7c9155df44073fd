//! Numbers that no memory can hold, and files of a cache that were damaged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, run, succeed, tiny_config};
use std::fs;
use std::path::{Path, PathBuf};

fn trained(dir: &Path) -> String {
    let out = dir.join("run").display().to_string();
    succeed(&format!("train --config {} --steps 2 --save-every 0 --out {out}", tiny_config(dir)));
    out
}

#[test]
fn counts_beyond_memory_are_refused_before_anything_is_computed() {
    let dir = tempfile::tempdir().unwrap();
    let (d, model) = (dir.path().display(), trained(dir.path()));
    let many = "1000000000000";
    for (command, says) in [
        (format!("reflow compare {model} --num-samples {many}"), "give a smaller --num-samples"),
        (format!("reflow compare {model} --trajectories {many}"), "give a smaller --trajectories"),
        (format!("reflow compare {model} --nfe 1,{many}"), "--nfe is 1000000000000; choose 1 to 1000000"),
        (format!("reflow --teacher {model} --teacher-steps {many} --out {d}/rounds"), "choose 1 to 1000000"),
        (format!("vqvae --data digits --batch-size {many} --out {d}/vqvae"), "give a smaller --batch-size"),
        (format!("vqvae --data digits --codes {many} --out {d}/vqvae"), "give 2 to 2^20 codes"),
    ] {
        let told = fail(&command);
        assert!(told.contains(says), "{command}: {told}");
    }
    assert!(!dir.path().join("vqvae").exists() && !dir.path().join("rounds").exists());
    // A file may have room for more pairs than there are.
    succeed(&format!(
        "reflow pairs --checkpoint {model} --num-pairs 4 --num-steps 1 --shard-size {} --out {d}/pairs",
        i64::MAX
    ));
}

/// The only `.npz` file below a folder.
fn archive(folder: &Path) -> PathBuf {
    let inside = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut all = inside(folder).into_iter().flat_map(|store| inside(&store));
    all.find(|path| path.extension().is_some_and(|end| end == "npz")).unwrap()
}

#[test]
fn damaged_statistics_of_a_cache_are_computed_again() {
    let dir = tempfile::tempdir().unwrap();
    let (d, model) = (dir.path().display(), trained(dir.path()));
    let evaluate = format!(
        "evaluate --checkpoint {model} --num-samples 70 --num-steps 1 --metrics fd-pixels --cache {d}/cache --json {d}/r.json"
    );
    succeed(&evaluate);
    let result = || fs::read(dir.path().join("r.json")).unwrap();
    let whole = result();
    let kept = archive(&dir.path().join("cache"));
    let good = fs::read(&kept).unwrap();
    for at in [100, good.len() / 2, good.len() - 5] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&kept, if at == good.len() - 5 { &bytes[..at] } else { &bytes }).unwrap();
        let output = run(&evaluate);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("is damaged; it is computed again"), "{at}: {said}");
        assert_eq!((result(), fs::read(&kept).unwrap()), (whole.clone(), good.clone()), "{at}");
    }
}

#[test]
fn options_of_what_is_not_asked_for_are_refused() {
    for (command, needs) in [
        ("sample --checkpoint x --out x.png --samples-per-class 3", "--class-grid"),
        ("sample --checkpoint x --out x.png --trajectory-times 3", "--trajectory"),
        ("evaluate --checkpoint x --sweep-solvers euler", "--sweep"),
    ] {
        let told = fail(command);
        assert!(told.contains("required") && told.contains(needs), "{told}");
    }
}
