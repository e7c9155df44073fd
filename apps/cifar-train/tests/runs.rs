//! Runs through the real binary: epochs, the final artefact, names of other trainers, reflow in
//! rounds, and reports that compare.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, read, succeed, tiny_config};
use fm_data::ImageSource;
use fm_metrics::energy::energy_distance;
use ndarray::{Array2, Array4};
use ndarray_npy::read_npy;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn lines(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// 1797 digits are 28 steps of 64 rows, to the nearest step, and 29 that pass over all of them.
#[test]
fn epochs_are_intervals_and_totals() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let config = tiny_config(dir.path());
    let flags =
        "--data digits --batch-size 64 --micro-batch-size 0 --coupling independent --save-every 1e --log-every 1e";
    let said = succeed(&format!("train --config {config} {flags} --epochs 1 --out {d}/run"));
    assert!(said.contains("29 steps of 64 images") && said.contains("checkpoint every 1 epochs"), "{said}");
    let log = lines(&dir.path().join("run"));
    let steps: Vec<u64> = log.iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [28, 29]);
    assert!(log[0].get("epoch_loss").is_none() && log[1]["epoch_loss"].as_f64().unwrap() > 0.0);
    assert!((log[1]["epoch"].as_f64().unwrap() - 29.0 * 64.0 / 1797.0).abs() < 1e-12);
    assert!(dir.path().join("run/checkpoints/step-28").is_dir());
    // The autoencoder counts them too.
    let said = succeed(&format!(
        "vqvae --data digits --batch-size 600 --epochs 1 --codes 8 --channels 32 --channel-mult 1 --sample-every 0 --out {d}/vq"
    ));
    assert!(said.contains("3 steps of 600 images"), "{said}");
}

#[test]
fn a_finished_run_has_its_weights_and_their_description_at_its_root() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let config = tiny_config(dir.path());
    let said =
        succeed(&format!("train --config {config} --data digits --conditional true --flow-type ot_cfm --out {d}/run"));
    assert!(said.contains("model.safetensors, config.json"), "{said}");
    let about: Value = serde_json::from_slice(&read(dir.path().join("run/config.json"))).unwrap();
    assert_eq!((about["step"].as_u64(), about["model"]["kind"].as_str()), (Some(12), Some("unet")));
    assert_eq!(about["path"], "linear-sigma-min:sigma_min=0.001");
    assert_eq!(about["config"]["coupling"], "sinkhorn-absolute:epsilon=0.01");
    let sample = |from: &str| {
        succeed(&format!(
            "sample --checkpoint {d}/{from} --num-samples 4 --num-steps 2 --out {d}/s.png --npy {d}/s.npy"
        ));
        read(dir.path().join("s.npy"))
    };
    assert!(sample("run/model.safetensors") == sample("run"));
    // Stopped before its end, a run has none.
    succeed(&format!(
        "evaluate --checkpoint {d}/run/model.safetensors --data digits --num-samples 8 --metrics kid --cache {d}/cache"
    ));
}

#[test]
fn reflow_in_rounds_is_one_command() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let config = tiny_config(dir.path());
    succeed(&format!("train --config {config} --data digits --coupling independent --out {d}/teacher"));
    let rounds = |more: &str, out: &str| {
        format!(
            "reflow --teacher {d}/teacher --teacher-steps 2 --num-pairs 24 --num-samples 20 --steps 4 --save-every 2 {more} --out {d}/{out}"
        )
    };
    let said = succeed(&rounds("--rounds 2", "whole"));
    assert!(said.contains("round     2 of 2") && said.contains("NFE 32"), "{said}");
    let table: Value = serde_json::from_slice(&read(dir.path().join("whole/steps.json"))).unwrap();
    let models: Vec<&str> = table.as_array().unwrap().iter().map(|m| m["model"].as_str().unwrap()).collect();
    assert_eq!(models, ["teacher", "round-1", "round-2"]);
    assert!(image::open(dir.path().join("whole/steps.png")).unwrap().height() > 100);
    succeed(&rounds("--rounds 1", "parts"));
    let said = succeed(&rounds("--rounds 2", "parts"));
    assert!(said.contains("round     1 of 2 is done"), "{said}");
    // The values without the header, which has the fingerprint of the pairs and their teacher's
    // path.
    let weights = |run: &str| {
        let bytes = read(dir.path().join(run).join("checkpoints/step-4/model.safetensors"));
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    };
    assert!(weights("parts/round-2") == weights("whole/round-2"));
    // A round that was killed before its last checkpoint.
    fs::remove_dir_all(dir.path().join("parts/round-2/checkpoints/step-4")).unwrap();
    fs::remove_file(dir.path().join("parts/round-2/model.safetensors")).unwrap();
    fs::write(dir.path().join("parts/done.json"), "1\n").unwrap();
    assert!(succeed(&rounds("--rounds 2", "parts")).contains("resumed "));
    assert!(weights("parts/round-2") == weights("whole/round-2"));
    // One that was killed before its last file.
    fs::remove_file(dir.path().join("parts/round-2/config.json")).unwrap();
    fs::write(dir.path().join("parts/done.json"), "1\n").unwrap();
    succeed(&rounds("--rounds 2", "parts"));
    assert!(dir.path().join("parts/round-2/config.json").is_file());
    assert!(fail(&rounds("--rounds 2 --fresh", "parts")).contains("other settings"));
    assert!(fail(&format!("reflow --teacher {d}/teacher")).contains("give --out DIR"));
    assert!(fail(&rounds("--pairs x", "no")).contains("drop --pairs"));
}

/// The samples of the command and the digits have the energy distance of the log.
#[test]
fn the_quality_of_samples_is_measured_during_training() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let config = tiny_config(dir.path());
    let flags = "--data digits --log-every 2 --quality-every 6 --quality-samples 30 --monitor quality --keep-best 1";
    let said = succeed(&format!("train --config {config} {flags} --out {d}/run"));
    assert!(said.contains(", quality "), "{said}");
    let value = |line: &Value| Some((line["step"].as_u64()?, line.get("quality")?.as_f64()?));
    let found: Vec<(u64, f64)> = lines(&dir.path().join("run")).iter().filter_map(value).collect();
    assert_eq!(found.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [6, 12]);
    succeed(&format!("sample --checkpoint {d}/run --num-samples 30 --seed 0 --out {d}/s.png --npy {d}/s.npy"));
    let samples: Array4<f32> = read_npy(dir.path().join("s.npy")).unwrap();
    let samples = samples.into_shape_with_order((30, 64)).unwrap();
    let digits = "digits".parse::<ImageSource>().unwrap().open(0, &mut Vec::new()).unwrap();
    let mut real = Array2::zeros((digits.len(), 64));
    real.outer_iter_mut()
        .enumerate()
        .for_each(|(i, mut row)| digits.write_normalised(i, false, row.as_slice_mut().unwrap()));
    let expected = energy_distance(samples.view(), real.view()).unwrap();
    assert!((found[1].1 - expected).abs() < 1e-6 * expected.abs(), "{found:?} {expected}");
    assert_eq!(fs::read_dir(dir.path().join("run/best")).unwrap().count(), 1);
    succeed(&format!("report {d}/run --plots {d}/plots"));
    assert!(dir.path().join("plots/quality.svg").exists());
}

#[test]
fn a_report_compares_runs() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let config = tiny_config(dir.path());
    let flags = "--data digits --log-every 1 --sample-every 12 --hold-out 0.1 --validate-every 4";
    for (name, lr) in [("low", "1e-4"), ("high", "1e-2")] {
        succeed(&format!("train --config {config} {flags} --lr {lr} --out {d}/{name}"));
    }
    succeed(&format!(
        "evaluate --checkpoint {d}/low --data digits --num-samples 8 --metrics kid --cache {d}/cache --json {d}/low/evaluation.json"
    ));
    succeed(&format!("report {d}/low {d}/high --log --out {d}/both.html --plots {d}/plots"));
    let page = fs::read_to_string(dir.path().join("both.html")).unwrap();
    for text in [
        "Differences of the configurations",
        "<th>lr</th><td>0.0001</td><td>0.01</td>",
        "low, step 12",
        "high, step 12",
        "Evaluation",
        "held-out loss",
        "Throughput",
        "Update ratio",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // Both runs are in a chart, and pictures of both on the page.
    assert_eq!(page.matches("data:image/png;base64,").count(), 2);
    let loss = fs::read_to_string(dir.path().join("plots/loss.svg")).unwrap();
    assert!(loss.contains("low") && loss.contains("high") && loss.matches("<polyline").count() >= 2);
    assert!(dir.path().join("plots/val-loss.svg").exists());
    // Runs of the same name are named by their paths.
    fs::create_dir(dir.path().join("other")).unwrap();
    succeed(&format!("train --config {config} {flags} --out {d}/other/low"));
    succeed(&format!("report {d}/low {d}/other/low"));
    let page = fs::read_to_string(dir.path().join("low/comparison.html")).unwrap();
    assert!(page.contains(&format!("{d}/other/low")));
    assert!(fail(&format!("report {d}/low {d}/cache")).contains("give the --out directory of a run"));
}
