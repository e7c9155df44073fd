//! Every named option, run through the real binary; and what the outputs hold.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{cifar_mini, read, succeed, tiny_config};
use safetensors::SafeTensors;
use std::path::Path;

fn losses(run: &Path) -> Vec<f64> {
    let text = String::from_utf8(read(run.join("metrics.jsonl"))).unwrap();
    text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["loss"].as_f64().unwrap()).collect()
}

#[test]
fn every_training_option_runs_and_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny_config(dir.path());
    for (i, (flags, key, value)) in [
        ("--model unet", "kind", "unet"),
        ("--model dit", "kind", "dit"),
        ("--coupling independent", "coupling", "independent"),
        ("--coupling exact", "coupling", "exact"),
        ("--coupling sinkhorn:epsilon=0.1 --pairing drawn", "pairing", "drawn"),
        ("--coupling partial:mass=0.5 --cost cosine", "coupling", "partial:mass=0.5,epsilon=0"),
        ("--coupling unbalanced:reg_m=2 --cost euclidean", "cost", "euclidean"),
        ("--coupling c2ot:weight=3", "coupling", "c2ot:weight=3"),
        ("--time uniform", "time", "uniform"),
        ("--time logit-normal:scale=2", "time", "logit-normal:loc=0,scale=2"),
        ("--time-draw stratified", "time_draw", "stratified"),
        ("--source matched", "source", "matched:deviation="),
        ("--path linear-sigma-min:0.01", "path", "linear-sigma-min:sigma_min=0.01"),
        ("--path constant-noise", "path", "constant-noise:sigma=0.1"),
        ("--prediction noise --time-clip 0.001", "prediction", "noise"),
        (
            "--path trigonometric --prediction data --time-clip 0.001 --weighting min-snr",
            "weighting",
            "min-snr:gamma=5",
        ),
        ("--precision f32", "precision", "f32"),
        ("--precision bf16", "precision", "bf16"),
        ("--data digits", "data", "digits"),
        ("--device cpu", "device", "cpu"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = dir.path().join(format!("run{i}"));
        // A file that sizes a U-Net cannot size a transformer; there the preset's transformer is
        // taken.
        let base = if flags.ends_with("dit") {
            "--preset quickstart --batch-size 4".to_owned()
        } else {
            format!("--config {config}")
        };
        succeed(&format!("train {base} {flags} --steps 2 --log-every 1 --sample-every 0 --out {}", run.display()));
        let meta: serde_json::Value = serde_json::from_slice(&read(run.join("checkpoints/step-2/meta.json"))).unwrap();
        assert!(meta["config"].to_string().contains(&format!("\"{key}\":\"{value}")), "{flags}: {}", meta["config"]);
        // A fresh network predicts zero, so the first loss of velocity prediction is E[(x1 -
        // x0)^2] = 1 + E[x1^2].
        let first = losses(&run)[0];
        let velocity = !flags.contains("--prediction") && !flags.contains("--source");
        assert!(if velocity { (1.2..2.2).contains(&first) } else { first > 0.0 }, "{flags}: first loss {first}");
        if !velocity {
            succeed(&format!(
                "sample --checkpoint {} --num-samples 2 --num-steps 3 --out {}/x.png",
                run.display(),
                run.display()
            ));
        }
    }
}

/// Ways to compute the same: the losses of a few steps agree.
#[test]
fn memory_can_be_saved_and_laid_out_otherwise_with_the_same_losses() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny_config(dir.path());
    // Dropout draws otherwise when blocks are seeded one by one.
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + "dropout = 0.0\n").unwrap();
    let losses = |flags: &str, name: &str| {
        let run = dir.path().join(name);
        let plain = "--model unet --steps 4 --log-every 1 --lr 0.003 --warmup-steps 0";
        succeed(&format!("train --config {config} {plain} {flags} --out {}", run.display()));
        losses(&run)
    };
    let plain = losses("", "plain");
    for flags in ["--checkpoint-activations true", "--channels-last true"] {
        let other = losses(flags, flags.split(' ').next().unwrap());
        assert!(plain.iter().zip(&other).all(|(a, b)| (a / b - 1.0).abs() < 1e-4), "{flags}: {plain:?} {other:?}");
    }
    let out = dir.path().join("dit").display().to_string();
    assert!(
        common::fail(&format!("train --preset cifar10-dit --channels-last true --out {out}")).contains("for the U-Net")
    );
    let sized = succeed(&format!("train --dit S/4 --data digits --dry-run --out {out}"));
    assert!(sized.contains("dit, 32"), "{sized}");
    assert!(common::fail(&format!("train --dit M/2 --out {out}")).contains("S, B, L or XL"));
    let plan = succeed(&format!("train --preset guide --data digits --image-size 8 --dry-run --out {out}"));
    assert!(plan.contains("parameters"), "{plan}");
}

#[test]
fn every_solver_counts_what_it_evaluates_and_they_agree() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    succeed(&format!(
        "train --config {} --steps 30 --lr 0.003 --save-every 0 --out {}",
        tiny_config(dir.path()),
        run.display()
    ));
    let sample = |flags: &str, npy: &str| {
        let d = dir.path().display();
        let text = succeed(&format!(
            "sample --checkpoint {} --num-samples 6 {flags} --out {d}/a.png --npy {d}/{npy}.npy",
            run.display()
        ));
        let array: ndarray::Array4<f32> = ndarray_npy::read_npy(dir.path().join(format!("{npy}.npy"))).unwrap();
        assert_eq!(array.dim(), (6, 1, 8, 8));
        (text, array)
    };
    let (_, exact) = sample("--solver dopri5 --rtol 1e-6 --atol 1e-6", "exact");
    for (flags, nfe, tolerance) in [
        ("--solver euler --num-steps 40", "NFE 40;", 0.1),
        ("--solver midpoint --num-steps 20", "NFE 40;", 0.02),
        ("--solver heun --num-steps 20", "NFE 40;", 0.02),
        ("--solver rk4 --num-steps 10", "NFE 40;", 2e-3),
        ("--solver rk4-38 --num-steps 10", "NFE 40;", 2e-3),
        ("--solver dopri5 --num-steps 6", "NFE 36;", 2e-3),
        ("--solver tsit5 --num-steps 6", "NFE 36;", 2e-3),
        ("--solver dopri5", "per-sample steps", 1e-3),
        ("--solver dopri5 --pace per-batch", "NFE ", 1e-3),
        ("--solver bogacki-shampine --rtol 1e-4 --atol 1e-4", "per-sample steps", 1e-2),
    ] {
        let (text, array) = sample(flags, "other");
        assert!(text.contains(nfe), "{flags}: {text}");
        let rms = ((&array - &exact).mapv(|d| d * d).mean().unwrap() / exact.mapv(|d| d * d).mean().unwrap()).sqrt();
        assert!(rms < tolerance, "{flags}: {rms} from the exact solution");
    }
    // Sample i does not depend on how many are drawn or in which batches.
    let (_, many) = sample("--solver euler --num-steps 40 --batch-size 4", "many");
    let (_, once) = sample("--solver euler --num-steps 40", "once");
    assert!((&many - &once).iter().all(|d| d.abs() < 1e-5));
}

#[test]
fn pictures_and_class_requests() {
    let dir = tempfile::tempdir().unwrap();
    let (run, d) = (dir.path().join("run"), dir.path().display().to_string());
    succeed(&format!("train --config {} --steps 2 --sample-every 2 --out {}", tiny_config(dir.path()), run.display()));
    for file in ["config.toml", "loss.png", "samples/step-2.png", "metrics.jsonl", "timing.jsonl"] {
        assert!(run.join(file).exists(), "{file}");
    }
    let checkpoint = format!("--checkpoint {} --num-steps 3", run.display());
    let text = succeed(&format!(
        "sample {checkpoint} --class-grid --samples-per-class 2 --cfg-scale 2 --out {d}/g.png --gif {d}/g.gif"
    ));
    assert!(text.contains("20 samples") && text.contains("guidance 2") && text.contains("EMA weights"), "{text}");
    assert_eq!(&read(dir.path().join("g.gif"))[..6], b"GIF89a");
    let raw = succeed(&format!("sample {checkpoint} --class-label 7 --num-samples 3 --raw-weights --out {d}/r.png"));
    assert!(raw.contains("raw weights"), "{raw}");
    // Guidance at no time is none; adaptive steps of each image make an animation too; so does
    // noise on the way.
    let values = |flags: &str, name: &str| {
        let said = succeed(&format!(
            "sample {checkpoint} --solver euler --num-samples 4 {flags} --out {d}/v.png --npy {d}/{name}.npy"
        ));
        (said, ndarray_npy::read_npy::<_, ndarray::Array4<f32>>(dir.path().join(format!("{name}.npy"))).unwrap())
    };
    let ((_, plain), (_, guided)) = (values("--cfg-scale 1", "plain"), values("--cfg-scale 3", "guided"));
    let (said, never) = values("--cfg-scale 3 --cfg-interval 0.99,1", "never");
    assert!(plain == never && plain != guided && said.contains("for t from 0.99 to 1"), "{said}");
    let run_only = format!("--checkpoint {} --num-samples 4", run.display());
    let said =
        succeed(&format!("sample {run_only} --solver tsit5 --rtol 1e-2 --atol 1e-2 --out {d}/a.png --gif {d}/a.gif"));
    assert!(said.contains("per-sample steps") && read(dir.path().join("a.gif")).len() > 1000, "{said}");
    let said = succeed(&format!("sample {run_only} --sde sigma --num-steps 3 --out {d}/n.png"));
    assert!(said.contains("NFE 5;") && said.contains("stochastic heun"), "{said}");
    // The likelihood of a network that has learned next to nothing: about what independent uniform
    // pixels would have.
    let said = succeed(&format!(
        "likelihood --checkpoint {} --num-images 3 --batch-size 2 --probes 1 --out {d}/bits.csv",
        run.display()
    ));
    let bits: f64 = said.split(": ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(bits > 0.0 && bits < 20.0 && said.contains("3 images of digits"), "{said}");
    let each = |name: &str| -> Vec<f64> {
        String::from_utf8(read(dir.path().join(name))).unwrap().lines().map(|l| l.parse().unwrap()).collect()
    };
    // An image keeps its noise and its probes, whatever batch it comes in.
    succeed(&format!(
        "likelihood --checkpoint {} --num-images 3 --batch-size 3 --probes 1 --out {d}/once.csv",
        run.display()
    ));
    let (parts, once) = (each("bits.csv"), each("once.csv"));
    assert!(parts.len() == 3 && parts.iter().zip(&once).all(|(a, b)| (a - b).abs() < 2e-4), "{parts:?} {once:?}");
    assert!(succeed(&format!("inspect {} --tensors", run.display())).contains("time_embed.0.weight"));
}

#[test]
fn checkpoints_use_the_fields_names_and_a_dry_run_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let plan = succeed(&format!("train --preset cifar10-unet --data digits --dry-run --out {}", run.display()));
    for part in ["parameters", "GiB", "400000 steps", "exact coupling"] {
        assert!(plan.contains(part), "{plan}");
    }
    assert!(!run.exists());
    succeed(&format!("train --config {} --steps 1 --out {}", tiny_config(dir.path()), run.display()));
    let bytes = read(run.join("checkpoints/step-1/ema.safetensors"));
    let names: Vec<String> = SafeTensors::deserialize(&bytes).unwrap().names().into_iter().map(String::from).collect();
    for name in [
        "time_embed.0.weight",
        "input_blocks.1.0.in_layers.2.bias",
        "middle_block.1.qkv.weight",
        "label_emb.weight",
        "out.2.weight",
    ] {
        assert!(names.iter().any(|n| n == name), "{name} is not among {names:?}");
    }
}

/// The settings of the published U-Net on real CIFAR-10 records, narrowed: same loss, same first
/// value.
#[test]
fn the_first_cifar10_loss_is_one_plus_the_data_power_and_it_falls() {
    let Some(mini) = cifar_mini() else { return eprintln!("skipped: no CIFAR-10 records at hand") };
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let flags = "--preset cifar10-tiny --warmup-steps 0 --batch-size 64 --steps 12 --log-every 1 --lr 0.002 --sample-every 0 --num-workers 0";
    succeed(&format!("train {flags} --data cifar10:{} --out {}", mini.display(), run.display()));
    let curve = losses(&run);
    // Standard error at 64 images, from the spread of |x1|^2 over the data set: 0.02.
    assert!((curve[0] - 1.256).abs() < 4.0 * 0.02, "first loss {}", curve[0]);
    assert!(curve[11] < 0.9 * curve[0], "{curve:?}");
}
