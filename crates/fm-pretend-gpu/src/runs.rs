//! Runs of a program on the CPU and on the pretend GPU, for the tests of the apps. A failure
//! panics, as in any test.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should stop")]

use crate::{Counts, PerStep, build};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program and the directory of its runs.
#[derive(Debug)]
pub struct Runs {
    program: PathBuf,
    half: PathBuf,
    dir: PathBuf,
}

impl Runs {
    /// Builds the pretend GPU if it does not exist. `DIR` in the arguments of a command stands for
    /// `dir`.
    pub fn new(program: &str, dir: &Path) -> Self {
        let half = build().unwrap_or_else(|error| panic!("{error}"));
        Self { program: program.into(), half: half.parent().expect("a file").into(), dir: dir.into() }
    }

    /// Runs a command on the CPU, and returns what it prints.
    pub fn cpu(&self, words: &str) -> String {
        self.run(&format!("{words} --device cpu"), None)
    }

    /// Runs a command on the pretend GPU, and returns its counts.
    pub fn gpu(&self, words: &str) -> Counts {
        let counts = self.dir.join("counts.json");
        let _ = fs::remove_file(&counts);
        self.run(&format!("{words} --device cuda"), Some(&counts));
        Counts::read(&counts).unwrap_or_else(|error| panic!("{words}: {error}"))
    }

    /// Counts of one training step: the difference between runs of 3 and 13 steps, each with one
    /// line in the log.
    pub fn step(&self, name: &str, words: &str) -> PerStep {
        let run = |steps: u64| {
            let rest = "--log-every 1000 --save-every 0 --sample-every 0";
            self.gpu(&format!("{words} --steps {steps} {rest} --out DIR/{name}-{steps}"))
        };
        run(3).per_step(&run(13), 10)
    }

    /// Counts of one sampler step: the difference between commands with 3 and 13 steps.
    pub fn sampler_step(&self, words: &str) -> PerStep {
        let run = |steps: u64| self.gpu(&format!("{words} --num-steps {steps}"));
        run(3).per_step(&run(13), 10)
    }

    fn run(&self, words: &str, counts: Option<&Path>) -> String {
        let words = words.replace("DIR", &self.dir.display().to_string());
        let mut command = Command::new(&self.program);
        command.env("OMP_NUM_THREADS", "1").env_remove("LD_LIBRARY_PATH").args(words.split_whitespace());
        if let Some(counts) = counts {
            command.env("LD_LIBRARY_PATH", &self.half).env("PRETEND_OUT", counts);
        }
        let output = command.output().expect("the program starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Runs a training command on both devices, into `DIR/cpu-NAME` and `DIR/gpu-NAME`, and
    /// compares the losses of their logs.
    pub fn both(&self, name: &str, words: &str, tolerance: f64) -> Counts {
        self.cpu(&format!("{words} --out DIR/cpu-{name}"));
        let counts = self.gpu(&format!("{words} --out DIR/gpu-{name}"));
        self.same_losses(&format!("cpu-{name}"), &format!("gpu-{name}"), tolerance);
        counts
    }

    /// Asserts that the logs of two runs have the same steps, and the same losses within a relative
    /// tolerance.
    pub fn same_losses(&self, a: &str, b: &str, tolerance: f64) {
        let (left, right) = (self.losses(a), self.losses(b));
        let off = left.iter().zip(&right).map(|((_, x), (_, y))| (x / y - 1.0).abs()).fold(0.0, f64::max);
        let steps = |losses: &[(u64, f64)]| losses.iter().map(|(step, _)| *step).collect::<Vec<_>>();
        assert!(!left.is_empty() && steps(&left) == steps(&right), "{a}, {b}: {left:?} {right:?}");
        assert!(off <= tolerance, "{a}, {b}: losses differ by {off:.1e}: {left:?} {right:?}");
    }

    fn losses(&self, run: &str) -> Vec<(u64, f64)> {
        let text = fs::read_to_string(self.dir.join(run).join("metrics.jsonl")).expect(run);
        let number = |line: &Value, key: &str| line[key].as_f64().unwrap_or(f64::NAN);
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect(run));
        lines.map(|line| (number(&line, "step") as u64, number(&line, "loss"))).collect()
    }
}

impl PerStep {
    /// Asserts that a training step makes at most one upload, from pinned memory, reads nothing,
    /// and stores no attention scores.
    pub fn assert_training(&self, what: &str) {
        self.assert_at_most(what, [1.0, 0.0]);
    }

    /// Asserts that a sampler step uploads nothing except the noise of a stochastic sampler, and
    /// reads nothing.
    pub fn assert_sampling(&self, what: &str, stochastic: bool) {
        assert!(self.launches > 0.0, "{what}: nothing ran on the device");
        let noise = f64::from(u8::from(stochastic));
        self.assert_at_most(what, [noise, noise]);
    }

    fn assert_at_most(&self, what: &str, [uploads, unpinned]: [f64; 2]) {
        for (kind, count, most) in [
            ("uploads", self.uploads, uploads),
            ("uploads from unpinned memory", self.unpinned_uploads, unpinned),
            ("downloads", self.downloads, 0.0),
            ("numbers read", self.numbers_read, 0.0),
            ("attention by matrices", self.attention_by_matrices, 0.0),
        ] {
            assert!(count <= most, "{what}: {count} {kind} per step, more than {most}");
        }
    }
}

/// Asserts that a training step of a network launches as many kernels as this crate's
/// `launches.json` states, within 10 %. If `UPDATE_LAUNCHES` is set in the environment, the file is
/// rewritten.
pub fn assert_launches(network: &str, step: &PerStep) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("launches.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|_| "{}".to_owned());
    let mut known: BTreeMap<String, f64> = serde_json::from_str(&text).unwrap();
    if std::env::var_os("UPDATE_LAUNCHES").is_some() {
        known.insert(network.to_owned(), step.launches);
        fs::write(&path, serde_json::to_string_pretty(&known).unwrap() + "\n").unwrap();
    }
    let expected =
        *known.get(network).unwrap_or_else(|| panic!("launches.json lacks {network}: set UPDATE_LAUNCHES=1"));
    let off = (step.launches / expected - 1.0).abs();
    let launches = step.launches;
    assert!(
        off <= 0.1,
        "a step of {network} launches {launches} kernels, launches.json says {expected}; if that is meant, set \
         UPDATE_LAUNCHES=1: {:?}",
        step.operators
    );
}
