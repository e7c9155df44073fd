//! Every kind of run on the pretend GPU: no operator sees host and device tensors together, and the
//! losses are the CPU's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::read;
use fm_pretend_gpu::{Runs, assert_launches};
use ndarray::{Array4, s};
use ndarray_npy::{read_npy, write_npy};
use safetensors::{Dtype, SafeTensors};
use std::fs;
use std::path::Path;

/// Relative difference of losses of the same run on both devices.
const SAME: f64 = 1e-6;
/// The same under bf16.
const SAME_BF16: f64 = 1e-3;

/// With few images, so that the fit takes seconds.
const CHOSEN: &str =
    "--coupling semidiscrete:draws=1 --hold-out 0.95 --horizontal-flip true --label-drop 0.3 --data-on-device always";

struct Bench {
    dir: tempfile::TempDir,
    runs: Runs,
}

impl Bench {
    /// With configurations of small networks in `unet.toml` and `dit.toml`, without dropout: its
    /// draws differ between devices.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let common = "preset = \"quickstart\"\nsteps = 3\nbatch_size = 8\nwarmup_steps = 0\nlog_every = 1\nsample_every = 0\nnum_workers = 1\n\
                      keep_checkpoints = 0\nprecision = \"f32\"\n";
        let unet = "[model]\nchannels = 32\nchannel_mult = [1, 1]\nres_blocks = 1\nattention_at = [2]\ndropout = 0.0\n";
        let dit = "[model]\nkind = \"dit\"\nwidth = 32\ndepth = 2\nheads = 2\npatch = 2\n";
        fs::write(dir.path().join("unet.toml"), format!("{common}{unet}")).unwrap();
        fs::write(dir.path().join("dit.toml"), format!("{common}{dit}")).unwrap();
        let runs = Runs::new(env!("CARGO_BIN_EXE_cifar-train"), dir.path());
        Self { dir, runs }
    }

    /// Values of a file of images that the program wrote.
    fn images(&self, name: &str) -> Array4<f32> {
        read_npy(self.dir.path().join(name)).unwrap()
    }

    /// Runs a command that writes images on both devices, and compares them.
    fn same_images(&self, words: &str, tolerance: f32) {
        self.runs.cpu(&words.replace("OUT", "--npy DIR/cpu.npy --out DIR/cpu.png"));
        self.runs.gpu(&words.replace("OUT", "--npy DIR/gpu.npy --out DIR/gpu.png"));
        let off = (self.images("cpu.npy") - self.images("gpu.npy")).iter().fold(0f32, |most, d| most.max(d.abs()));
        assert!(off < tolerance, "{words}: images differ by {off}");
    }
}

fn weights(file: &Path) -> Vec<f32> {
    let bytes = read(file.into());
    let parsed = SafeTensors::deserialize(&bytes).unwrap();
    let mut named = parsed.tensors();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let floats =
        named.iter().filter(|(_, view)| view.dtype() == Dtype::F32).flat_map(|(_, view)| view.data().chunks(4));
    floats.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// |a - b| / |b|.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let difference = square(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    (difference / square(&mut b.iter().map(|v| f64::from(*v)))).sqrt()
}

#[test]
fn every_kind_of_training_is_the_cpus() {
    let bench = Bench::new();
    for (name, config, flags, tolerance) in [
        ("plain", "unet", "--data-on-device never", SAME),
        ("resident", "unet", "--data-on-device always --horizontal-flip true", SAME),
        ("pictures", "unet", "--sample-every 2", SAME),
        ("unconditional", "unet", "--conditional false", SAME),
        ("classes", "unet", "--label-drop 0.5 --data-on-device never", SAME),
        ("exact", "unet", "--coupling exact --ot-batch 2", SAME),
        // The GPU chooses the rows, in the fit and in the training.
        ("semidiscrete", "unet", CHOSEN, SAME),
        ("drawn", "unet", "--coupling sinkhorn:epsilon=0.1 --pairing drawn", SAME),
        ("bridge", "unet", "--path schroedinger-bridge:sigma=0.5 --time-clip 0.01", SAME),
        ("noise", "unet", "--prediction noise --time-clip 0.001", SAME),
        ("data", "unet", "--path trigonometric --prediction data --time-clip 0.001 --weighting min-snr", SAME),
        ("aware", "unet", "--loss-aware 8 --steps 53 --log-every 10 --batch-size 2", 1e-5),
        ("micro", "unet", "--micro-batch-size 3", SAME),
        ("recomputed", "unet", "--checkpoint-activations true", SAME),
        ("muon", "unet", "--optimizer muon", SAME),
        ("averages", "unet", "--ema-decay 0.9,0.99 --clip 0.1", SAME),
        ("huber", "unet", "--loss pseudo-huber --reduction sum", SAME),
        ("bf16", "unet", "--precision bf16 --batch-size 2", SAME_BF16),
        ("dit", "dit", "", SAME),
        ("dit-bf16", "dit", "--precision bf16 --batch-size 2 --checkpoint-activations true", SAME_BF16),
    ] {
        let counts = bench.runs.both(name, &format!("train --config DIR/{config}.toml {flags}"), tolerance);
        assert!(counts.launches > 100 && counts.uploads > 0 && counts.peak_bytes > 100_000, "{name}: {counts:?}");
    }
}

#[test]
fn the_quickstarts_weights_are_the_cpus_after_50_steps() {
    let bench = Bench::new();
    fs::write(bench.dir.path().join("still.toml"), "precision = \"f32\"\n[model]\ndropout = 0.0\n").unwrap();
    let words =
        "train --preset quickstart --config DIR/still.toml --batch-size 8 --steps 50 --sample-every 0 --log-every 5";
    bench.runs.both("long", words, SAME);
    let of = |run: &str| weights(&bench.dir.path().join(run).join("checkpoints/step-50/model.safetensors"));
    let off = relative(&of("gpu-long"), &of("cpu-long"));
    assert!(off < SAME, "weights differ by {off:.1e}");
}

#[test]
fn runs_resume_on_the_device_and_across() {
    let bench = Bench::new();
    let train =
        "train --config DIR/unet.toml --steps 6 --save-every 3 --loss-aware 4 --ema-decay 0.9,0.99 --optimizer muon";
    bench.runs.both("whole", train, SAME);
    let at = |name: &str| bench.dir.path().join(name);
    for (from, to) in [("gpu", "gpu"), ("gpu", "cpu"), ("cpu", "gpu")] {
        let run = format!("{from}-{to}");
        let command = format!("{train} --out DIR/{run}");
        if from == "gpu" {
            bench.runs.gpu(&command);
        } else {
            bench.runs.cpu(&command);
        }
        fs::remove_dir_all(at(&run).join("checkpoints/step-6")).unwrap();
        if to == "gpu" {
            bench.runs.gpu(&format!("train --resume --out DIR/{run}"));
        } else {
            bench.runs.cpu(&format!("train --resume --out DIR/{run}"));
        }
        bench.runs.same_losses("cpu-whole", &run, SAME);
        for file in ["model.safetensors", "ema-0.99.safetensors", "optimizer.safetensors"] {
            let file = |run: &str| at(run).join("checkpoints/step-6").join(file);
            let whole = if to == "gpu" { "gpu-whole" } else { "cpu-whole" };
            assert!(from != to || read(file(whole)) == read(file(&run)), "{run}: a resumed run differs");
            assert!(relative(&weights(&file(whole)), &weights(&file(&run))) < 1e-5, "{run}");
        }
    }
}

#[test]
fn samples_and_likelihoods_are_the_cpus() {
    let bench = Bench::new();
    bench.runs.gpu("train --config DIR/unet.toml --steps 20 --lr 0.003 --label-drop 0.2 --out DIR/run");
    for flags in [
        "--solver euler --num-steps 3",
        "--solver rk4 --num-steps 2 --cfg-scale 2 --cfg-interval 0.2,0.8",
        "--solver heun --num-steps 2 --class-label 3 --cfg-scale 1",
        "--solver dopri5 --rtol 1e-2 --atol 1e-2",
        "--solver tsit5 --rtol 1e-2 --atol 1e-2 --pace per-batch",
        "--sde sigma --num-steps 3",
        "--sde constant --sde-method euler-maruyama --num-steps 3 --gif DIR/frames.gif",
        "--schedule trigonometric --num-steps 3 --raw-weights",
    ] {
        bench.same_images(&format!("sample --checkpoint DIR/run --num-samples 4 --batch-size 3 {flags} OUT"), 1e-4);
    }
    // The exact divergence takes a backward pass per pixel.
    for flags in ["--probes 0 --num-images 1 --tolerance 1", "--probes 1 --num-images 2 --tolerance 0.1"] {
        let words = format!("likelihood --checkpoint DIR/run {flags}");
        bench.runs.cpu(&format!("{words} --out DIR/cpu.csv"));
        bench.runs.gpu(&format!("{words} --out DIR/gpu.csv"));
        let bits = |name: &str| -> Vec<f64> {
            let text = String::from_utf8(read(bench.dir.path().join(name))).unwrap();
            text.lines().map(|line| line.parse().unwrap()).collect()
        };
        let (here, there) = (bits("cpu.csv"), bits("gpu.csv"));
        assert!(here.iter().zip(&there).all(|(a, b)| (a - b).abs() < 1e-3), "{here:?} {there:?}");
    }
}

#[test]
fn evaluations_pairs_and_students_run_on_the_device() {
    let bench = Bench::new();
    let few = "--num-steps 2 --batch-size 10";
    // A transformer, because students are measured by a thousand samples.
    bench.runs.gpu("train --config DIR/dit.toml --out DIR/run");
    bench.runs.gpu(&format!(
        "evaluate --checkpoint DIR/run --num-samples 20 {few} --metrics kid,nn,nll --nll-images 1 --cache DIR/cache"
    ));
    // Features of a network, of colour images.
    let colours = Array4::from_shape_fn((24, 3, 32, 32), |(n, c, y, x)| (n * 7 + c * 50 + y * x) as u8);
    write_npy(bench.dir.path().join("real.npy"), &colours).unwrap();
    write_npy(bench.dir.path().join("fake.npy"), &colours.slice(s![..12, .., .., ..;-1])).unwrap();
    let counts = bench.runs.gpu(
        "evaluate --samples DIR/fake.npy --data DIR/real.npy --metrics kid-resnet20,is-resnet20 --cache DIR/cache",
    );
    assert!(counts.launches > 100, "{counts:?}");
    bench.runs.gpu(&format!("reflow pairs --checkpoint DIR/run {few} --num-pairs 16 --shard-size 10 --out DIR/pairs"));
    bench.runs.both("student", "train --pairs DIR/pairs --steps 3 --log-every 1", SAME);
    bench.runs.gpu("distill --pairs DIR/pairs --num-steps 2 --steps 2 --out DIR/few");
    bench.runs.gpu("reflow compare DIR/run DIR/few --nfe 1,2 --num-samples 10 --trajectories 4");
}

#[test]
fn autoencoders_and_their_latents_run_on_the_device() {
    let bench = Bench::new();
    let words = "vqvae --steps 4 --batch-size 16 --codes 32 --sample-every 4 --save-every 2";
    bench.runs.gpu(&format!("{words} --out DIR/vq"));
    fs::remove_dir_all(bench.dir.path().join("vq/checkpoints/step-4")).unwrap();
    bench.runs.gpu("vqvae --resume --out DIR/vq");
    bench.runs.cpu(&format!("{words} --out DIR/vq-cpu"));
    bench.runs.same_losses("vq-cpu", "vq", SAME);
    bench.runs.both("latent", "train --config DIR/unet.toml --latent DIR/vq --sample-every 3", SAME);
    bench.same_images("sample --checkpoint DIR/gpu-latent --num-samples 3 --num-steps 2 OUT", 1e-3);
}

#[test]
fn weights_of_files_run_on_the_device() {
    let bench = Bench::new();
    bench.runs.gpu("train --config DIR/dit.toml --out DIR/run");
    bench.runs.gpu("convert DIR/run DIR/ours.safetensors");
    bench.runs.gpu("convert DIR/ours.safetensors DIR/theirs.pt");
    let x = Array4::from_shape_fn((2, 1, 8, 8), |(n, _, y, x)| (n + y) as f32 / 8.0 - x as f32 / 4.0);
    write_npy(bench.dir.path().join("x.npy"), &x).unwrap();
    let words = "velocity DIR/x.npy --checkpoint DIR/ours.safetensors --at 0.2,0.7 --classes 1,2";
    bench.runs.cpu(&format!("{words} --out DIR/here.npy"));
    bench.runs.gpu(&format!("{words} --out DIR/there.npy"));
    let off = (bench.images("here.npy") - bench.images("there.npy")).iter().fold(0f32, |most, d| most.max(d.abs()));
    assert!(off < 1e-5, "velocities differ by {off}");
}

#[test]
fn every_step_is_within_its_bounds() {
    let bench = Bench::new();
    for (name, flags) in [
        ("unet", ""),
        ("unet", "--data-on-device never"),
        ("unet", CHOSEN),
        ("unet", "--coupling exact --path schroedinger-bridge:sigma=0.5 --time-clip 0.01"),
        ("dit", ""),
    ] {
        let run = format!("{name}{}", flags.len());
        let step = bench.runs.step(&run, &format!("train --config DIR/{name}.toml {flags}"));
        step.assert_training(&format!("{name} {flags}"));
        assert!(step.attention_fused >= 1.0, "{name}: {step:?}");
    }
}

#[test]
fn a_samplers_step_sends_and_reads_nothing() {
    let bench = Bench::new();
    for name in ["unet", "dit"] {
        bench.runs.gpu(&format!("train --config DIR/{name}.toml --label-drop 0.2 --out DIR/{name}"));
        for flags in [
            "--solver euler",
            "--solver rk4 --cfg-scale 2 --class-label 3",
            "--sde sigma",
            "--schedule trigonometric --solver heun",
        ] {
            let words = format!("sample --checkpoint DIR/{name} --num-samples 2 {flags} --out DIR/s.png");
            bench.runs.sampler_step(&words).assert_sampling(&words, flags.contains("--sde"));
        }
    }
}

#[test]
fn a_step_launches_as_many_kernels_as_before() {
    let bench = Bench::new();
    for name in ["unet", "dit"] {
        assert_launches(name, &bench.runs.step(name, &format!("train --config DIR/{name}.toml")));
    }
}
