//! Every kind of run on the pretend GPU: no operator sees host and device tensors together, and the
//! losses are the CPU's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_pretend_gpu::{Counts, Runs, assert_launches};
use std::fs;

/// Relative difference of losses of the same run on both devices. Small networks on a CPU in
/// training are loops of ours instead of libtorch's operators, and add in another order.
const SAME: f64 = 1e-5;

struct Bench {
    dir: tempfile::TempDir,
    runs: Runs,
}

impl Bench {
    /// With a table of two classes in `t.csv`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let row =
            |i: u32| format!("{},{},{}\n", f64::from(i) / 50.0, f64::from(i * i % 97), ["a", "b"][i as usize % 2]);
        fs::write(dir.path().join("t.csv"), format!("x,y,kind\n{}", (0..200).map(row).collect::<String>())).unwrap();
        let runs = Runs::new(env!("CARGO_BIN_EXE_tabular-train"), dir.path());
        Self { dir, runs }
    }

    /// Runs a command that writes a table on both devices, and compares it.
    fn same_rows(&self, words: &str, header: usize) {
        self.runs.cpu(&format!("{words} --out DIR/cpu.csv"));
        self.runs.gpu(&format!("{words} --out DIR/gpu.csv"));
        let values = |name: &str| -> Vec<f64> {
            let text = fs::read_to_string(self.dir.path().join(name)).unwrap();
            text.lines().skip(header).flat_map(|line| line.split(',')).filter_map(|v| v.parse().ok()).collect()
        };
        let (here, there) = (values("cpu.csv"), values("gpu.csv"));
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 2e-3 * (1.0 + a.abs());
        assert!(here.len() == there.len() && here.iter().zip(&there).all(close), "{words}: {here:?} {there:?}");
    }
}

const TINY: &str = "--batch-size 16 --widths 16,16 --steps 4 --log-every 1 --sample-every 0";

#[test]
fn every_kind_of_training_is_the_cpus() {
    let bench = Bench::new();
    let spiral = "--data spiral --rows 300";
    let table = "--data DIR/t.csv --labels kind";
    for (name, flags) in [
        ("mlp", format!("{spiral} --model mlp")),
        ("gated", format!("{spiral} --model concat-squash")),
        ("pictures", format!("{spiral} --model mlp --sample-every 2")),
        ("classes", format!("{table} --model mlp --label-drop 0.3")),
        ("source", format!("{spiral} --model mlp --trainable-source true")),
        ("exact", format!("{spiral} --model mlp --coupling exact --ot-batch 2")),
        ("bridge", format!("{spiral} --model mlp --path schroedinger-bridge:sigma=0.5 --time-clip 0.01")),
        ("aware", format!("{spiral} --model mlp --loss-aware 4 --micro-batch-size 5")),
        ("muon", format!("{spiral} --model mlp --optimizer muon")),
    ] {
        let tiny =
            if flags.contains("--sample-every") { TINY.replace("--sample-every 0", "") } else { TINY.to_owned() };
        let counts = bench.runs.both(name, &format!("train {tiny} {flags}"), SAME);
        assert!(counts.launches > 50 && counts.uploads > 0, "{name}: {counts:?}");
    }
    // Resumed there, and on the other device.
    let train = format!("train {TINY} {spiral} --model mlp --save-every 2");
    bench.runs.both("whole", &train, SAME);
    for resumed in ["gpu", "cpu"] {
        let run = format!("parts-{resumed}");
        bench.runs.gpu(&format!("{train} --out DIR/{run}"));
        fs::remove_dir_all(bench.dir.path().join(&run).join("checkpoints/step-4")).unwrap();
        let again = format!("train --resume --out DIR/{run}");
        if resumed == "gpu" {
            bench.runs.gpu(&again);
        } else {
            bench.runs.cpu(&again);
        }
        bench.runs.same_losses("cpu-whole", &run, SAME);
    }
}

#[test]
fn a_teacher_is_where_its_student_is() {
    let bench = Bench::new();
    bench
        .runs
        .gpu(&format!("train {TINY} --data DIR/t.csv --labels kind --model mlp --trainable-source true --out DIR/run"));
    let words = "reflow --teacher DIR/run --teacher-steps 2 --steps 3 --batch-size 16 --log-every 1 --sample-every 0";
    let there = bench.runs.both("student", words, SAME);
    assert!(there.launches > 3 * 8 * 5, "the teacher does not run on the device: {there:?}");
    bench.runs.gpu("train --resume --steps 4 --out DIR/gpu-student");

    // A student on the CPU leaves the device alone, though there is one.
    let counts = bench.dir.path().join("here.json");
    let half = fm_pretend_gpu::build().unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_tabular-train"))
        .args(
            format!("{words} --device cpu").replace("DIR", &bench.dir.path().display().to_string()).split_whitespace(),
        )
        .arg("--out")
        .arg(bench.dir.path().join("here"))
        .env("LD_LIBRARY_PATH", half.parent().unwrap())
        .env("PRETEND_OUT", &counts)
        .output()
        .unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    // No counts: the CUDA half was never loaded.
    assert!(Counts::read(&counts).map_or(0, |counts| counts.launches) == 0);
}

#[test]
fn what_is_drawn_and_measured_is_the_cpus() {
    let bench = Bench::new();
    let plane = "train --batch-size 16 --widths 16,16 --steps 20 --sample-every 0 --data moons --rows 300 --model mlp --out DIR/run";
    bench.runs.gpu(plane);
    bench.runs.gpu(&format!("train {TINY} --data DIR/t.csv --labels kind --model mlp --label-drop 0.3 --out DIR/told"));
    for flags in [
        "--solver euler --num-steps 3",
        "--solver dopri5 --rtol 1e-3 --atol 1e-3",
        "--solver tsit5 --rtol 1e-3 --atol 1e-3 --pace per-batch",
        "--sde sigma --num-steps 3",
        "--schedule trigonometric --num-steps 3",
    ] {
        bench.same_rows(&format!("sample --checkpoint DIR/run --num-samples 20 {flags}"), 0);
    }
    bench.same_rows("sample --checkpoint DIR/told --num-samples 20 --num-steps 3 --cfg-scale 2 --class a", 1);
    bench.same_rows("trajectory --checkpoint DIR/run --num-samples 5 --num-steps 4", 1);
    bench.runs.gpu("evaluate --checkpoint DIR/run --num-samples 50 --num-steps 2");
    bench.runs.gpu("picture --checkpoint DIR/run --num-samples 50 --num-steps 2 --out DIR/pictures");
    fs::write(bench.dir.path().join("rows.csv"), "0.5,0.2\n-1,1\n0.1,0.9\n").unwrap();
    for probes in [0, 1] {
        bench.same_rows(&format!("likelihood DIR/rows.csv --checkpoint DIR/run --tolerance 1e-3 --probes {probes}"), 0);
    }
    bench.runs.gpu("likelihood --checkpoint DIR/run --tolerance 1e-1 --resolution 8 --picture DIR/density.png");
    fs::write(bench.dir.path().join("points.csv"), "0.5,0.2,0.1\n-1,1,0.7\n").unwrap();
    bench.same_rows("velocity DIR/points.csv --checkpoint DIR/run", 0);
}

const NETWORKS: [&str; 2] = ["mlp", "concat-squash"];

#[test]
fn every_step_is_within_its_bounds() {
    let bench = Bench::new();
    for name in NETWORKS {
        for flags in ["--data spiral --rows 300", "--data DIR/t.csv --labels kind --coupling exact --label-drop 0.3"] {
            let words = format!("train --batch-size 16 --widths 16,16 --model {name} {flags}");
            let run = format!("{name}{}", flags.len());
            bench.runs.step(&run, &words).assert_training(&format!("{name} {flags}"));
        }
    }
}

#[test]
fn a_samplers_step_sends_and_reads_nothing() {
    let bench = Bench::new();
    for name in NETWORKS {
        let train = format!("train --batch-size 16 --widths 16,16 --steps 2 --data moons --rows 300 --model {name}");
        bench.runs.gpu(&format!("{train} --sample-every 0 --out DIR/{name}"));
        for flags in ["--solver euler", "--solver rk4", "--sde sigma"] {
            let words = format!("sample --checkpoint DIR/{name} --num-samples 20 {flags} --out DIR/s.csv");
            bench.runs.sampler_step(&words).assert_sampling(&words, flags.contains("--sde"));
        }
    }
}

#[test]
fn a_step_launches_as_many_kernels_as_before() {
    let bench = Bench::new();
    for name in NETWORKS {
        let words = format!("train --batch-size 16 --widths 16,16 --data spiral --rows 300 --model {name}");
        assert_launches(name, &bench.runs.step(name, &words));
    }
}
