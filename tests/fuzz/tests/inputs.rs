//! The finds of earlier runs, and 20,000 inputs of each target.

#![allow(missing_docs, reason = "tests")]

use fuzz::sweep::{Found, Plan, one, sweep};
use fuzz::{TARGETS, Target};
use std::path::{Path, PathBuf};

/// Inputs of each target; `FUZZ_INPUTS` sets another number.
const INPUTS: u64 = 20_000;

/// Seed of the inputs.
const SEED: u64 = 1;

/// Targets whose valid files are larger than all inputs.
const LARGE: [&str; 2] = ["cifar10-package", "inception"];

fn finds() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-finds")
}

#[test]
fn finds_of_earlier_runs_stay_mended() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
            // The formats of libtorch's crates are absent without the feature `tch`.
            if cfg!(feature = "tch") {
                problems.push(format!("corpus/{name} is not a target"));
            }
            continue;
        };
        let mut found = Found::default();
        for file in std::fs::read_dir(&entry).unwrap().map(|file| file.unwrap().path()) {
            let bytes = std::fs::read(&file).unwrap();
            one(target, &bytes, &file.file_name().unwrap().to_string_lossy(), &finds(), &mut found);
        }
        problems.extend(found.problems);
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn inputs_are_judged() {
    let inputs = std::env::var("FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(INPUTS);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let plan = Plan { seed: SEED, numbers: 0..inputs, threads, finds: finds() };
    let all: Vec<&'static Target> = TARGETS.iter().collect();
    let found = sweep(&all, &plan);
    let problems: Vec<&String> = found.iter().flat_map(|found| &found.problems).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    for found in &found {
        println!("{found:?}");
        // A target whose inputs all fail at once tests nothing.
        assert!(found.accepted * 200 > inputs || LARGE.contains(&found.target), "{found:?}");
    }
}

#[test]
fn equal_seeds_give_equal_inputs() {
    // The sum changes with the generator, the seeds and the packing: finds are named by number.
    let target = TARGETS.iter().find(|target| target.name == "choices").unwrap();
    let [first, again] = [7, 7].map(|seed| fuzz::inputs::Inputs::of(target, seed));
    let other = fuzz::inputs::Inputs::of(target, 8);
    let (from, to) = (first.unchanged(), first.unchanged() + 200);
    assert!((0..to).all(|number| first.input(number) == again.input(number)));
    assert!((from..to).filter(|number| first.input(*number) != other.input(*number)).count() > 190);
}
