//! Toy distributions: held against torchcfm's points, drawn anew at every step or once, with
//! parameters, and with the meaning that they had for older runs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{fail, succeed};
use fm_data::points::toy;
use fm_metrics::energy::energy_distance;
use fm_metrics::two_sample::nearest_neighbour_accuracy;
use ndarray::{Array2, Axis, s};
use std::fs;

/// 4000 points that torchcfm drew; `crates/fm-data/tests/reference/toys.py` wrote them.
fn torchcfm(name: &str) -> Array2<f32> {
    let path = format!("{}/../../crates/fm-data/tests/reference/{name}.npy", env!("CARGO_MANIFEST_DIR"));
    ndarray_npy::read_npy(path).unwrap()
}

/// The energy distance and the accuracy of a two-sample test against torchcfm's points, and the
/// largest difference of means and of covariances.
fn against(name: &str, own: &str) -> [f64; 3] {
    let (theirs, ours) = (torchcfm(name), toy(own, 4000, 11).unwrap());
    let (half, other) = (s![..2000, ..], s![..;2, ..]);
    let accuracy = nearest_neighbour_accuracy(ours.slice(half), theirs.slice(other)).unwrap();
    let moments = |x: &Array2<f32>| {
        let x = x.mapv(f64::from);
        let mean = x.mean_axis(Axis(0)).unwrap();
        let centred = &x - &mean;
        let covariance = centred.t().dot(&centred) / 4000.0;
        mean.into_iter().chain(covariance).collect::<Vec<_>>()
    };
    let off = moments(&theirs).iter().zip(moments(&ours)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    [energy_distance(ours.view(), theirs.view()).unwrap(), accuracy, off]
}

#[test]
fn moons_and_eight_gaussians_are_torchcfms() {
    for (name, older, spread) in
        [("moons", "moons:noise=0,normal=0.2", 2.8), ("8gaussians", "8gaussians:variance=0.1", 12.9)]
    {
        let [energy, accuracy, off] = against(name, name);
        // Standard errors of 4000 points: .008 of the accuracy, and of the moments as below.
        assert!(energy < 0.004 && (accuracy - 0.5).abs() < 0.035, "{name}: {energy} {accuracy}");
        assert!(off < 5.0 * spread / 4000f64.sqrt(), "{name}: {off}");
        // The test distinguishes the distributions of older versions.
        let [_, accuracy, _] = against(name, older);
        assert!(accuracy > 0.56, "{older}: {accuracy}");
    }
}

#[test]
fn points_are_new_at_every_step_unless_their_number_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = "--data moons --source 8gaussians:variance=0.2 --coupling exact --ot-batch 2 --batch-size 32 --widths 8 \
                 --sample-every 0";
    let said = succeed(&format!("train {flags} --steps 10 --out {d}/whole"));
    assert!(said.contains("moons:noise=0.2,normal=0: new points at every step of 2 columns"), "{said}");
    succeed(&format!("train {flags} --steps 10 --save-every 5 --out {d}/parts"));
    fs::remove_dir_all(dir.path().join("parts/checkpoints/step-10")).unwrap();
    succeed(&format!("train --resume --out {d}/parts"));
    let read = |run: &str, file: &str| fs::read(dir.path().join(run).join(file)).unwrap();
    for file in ["checkpoints/step-10/model.safetensors", "metrics.jsonl"] {
        assert!(read("whole", file) == read("parts", file), "{file}");
    }
    let config = fs::read_to_string(dir.path().join("whole/config.toml")).unwrap();
    for line in ["data = \"moons:noise=0.2,normal=0\"", "source = \"8gaussians:scale=5,variance=0.2\"", "rows = 0"] {
        assert!(config.lines().any(|l| l == line), "{line} is not in\n{config}");
    }
    // A set of 100 points, and no more than that: the loss on it falls below that on new points.
    let fixed = succeed(&format!("train {flags} --rows 100 --steps 10 --out {d}/fixed"));
    assert!(fixed.contains(": 100 rows of 2 columns"), "{fixed}");
    assert!(
        read("whole", "checkpoints/step-10/model.safetensors")
            != read("fixed", "checkpoints/step-10/model.safetensors")
    );
    let error = fail(&format!("train --excess-loss true --out {d}/x"));
    assert!(error.contains("give --rows"), "{error}");
    succeed(&format!("evaluate --checkpoint {d}/whole --num-samples 200 --num-steps 3"));
}

#[test]
fn names_take_parameters_wherever_data_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let said = succeed("data gaussian:dim=3,seed=7");
    assert!(said.contains("gaussian:dim=3,seed=7: 20000 rows of 3 columns"), "{said}");
    let said = succeed("couple spiral:noise=0 spiral:noise=0 --rows 50");
    // Points of equal names are drawn apart.
    assert!(said.contains("50 rows of spiral:noise=0") && !said.contains("cost 0 of"), "{said}");
    for (words, says) in [
        (format!("train --data moons:noise=-1 --out {d}/x"), "noise from 0"),
        (format!("train --data moons:radius=1 --out {d}/x"), "it has noise, normal"),
        (format!("train --source gaussian:dim=3 --out {d}/x"), "has 3 columns where 2 are expected"),
        (format!("train --source gaussian:dims=3 --out {d}/x"), "it has dim, seed"),
        ("couple moons cube".to_owned(), "choose one of spiral"),
    ] {
        let error = fail(&words);
        assert!(error.contains(says), "{words}\n{error}");
    }
    // Mean and covariance of this distribution are known; errors of 1000 samples refer to them.
    let flags = "train --data gaussian:dim=3,seed=7 --steps 20 --widths 8 --batch-size 64 --sample-every 20";
    let said = succeed(&format!("{flags} --out {d}/run"));
    assert!(said.contains("relative error of the mean"), "{said}");
}

/// `tests/files/format-5` was written when `moons` was unlike torchcfm's, and stored 200 rows.
#[test]
fn older_runs_keep_the_distributions_of_their_time() {
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/format-5");
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let older = "moons:noise=0,normal=0.2";
    let said = succeed(&format!("evaluate --checkpoint {files} --num-samples 100 --num-steps 2"));
    assert!(said.contains(&format!("of {older}")), "{said}");
    // Its configuration starts a run on the same points, a flag one on the distribution of today.
    succeed(&format!("train --config {files}/config.toml --out {d}/same"));
    let config = fs::read_to_string(dir.path().join("same/config.toml")).unwrap();
    assert!(config.contains(&format!("data = \"{older}\"")) && config.contains("rows = 200"), "{config}");
    succeed(&format!("train --config {files}/config.toml --data moons --out {d}/today"));
    let config = fs::read_to_string(dir.path().join("today/config.toml")).unwrap();
    assert!(config.contains("data = \"moons:noise=0.2,normal=0\""), "{config}");
    let student = format!("reflow --teacher {files} --steps 2 --teacher-steps 2 --loss-aware 0 --out {d}/student");
    assert!(succeed(&student).contains(older));
    // A resumed run may repeat the name that it was started with.
    let run = dir.path().join("run");
    for part in ["", "checkpoints", "checkpoints/step-2"] {
        fs::create_dir_all(run.join(part)).unwrap();
        for entry in fs::read_dir(format!("{files}/{part}")).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), run.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    succeed(&format!("train --resume --data moons --device cpu --out {d}/run"));
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains(&format!("data = \"{older}\"")), "{config}");
}
