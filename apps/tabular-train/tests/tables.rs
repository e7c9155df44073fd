//! Tables with names and classes, pictures, reflow and evaluation through the real binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{columns, fail, succeed};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Counts of two genes in two kinds of cells that differ tenfold, with a name in front.
fn counts(path: &Path) {
    let row = |i: usize| {
        let (kind, a, b) =
            if i.is_multiple_of(4) { ("rare, red", 3 + i % 5, 90 + i % 30) } else { ("common", 40 + i % 20, i % 3) };
        format!("cell{i},{a},{b},\"{kind}\"\n")
    };
    fs::write(path, "id,first,second,kind\n".to_owned() + &(0..400).map(row).collect::<String>()).unwrap();
}

#[test]
fn counts_with_classes_come_out_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    counts(&dir.path().join("c.csv"));
    let data = format!("--data {d}/c.csv --labels kind --ignore id --preprocess counts");
    let said =
        succeed(&format!("train {data} --label-drop 0.1 --steps 600 --sample-every 300 --batch-size 64 --out {d}/run"));
    assert!(
        said.contains("360 rows of 2 columns, 40 more held out, 2 classes; preprocessing ln(1 + x) of counts"),
        "{said}"
    );
    let from = format!("--checkpoint {d}/run --num-steps 20 --solver heun");
    succeed(&format!("sample {from} --num-samples 200 --out {d}/s.csv"));
    let text = fs::read_to_string(dir.path().join("s.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines.len()), ("first,second,kind", 201));
    let rare = lines.iter().filter(|l| l.ends_with(",\"rare, red\"")).count();
    assert!((40..=60).contains(&rare), "{rare} of 200");
    for line in &lines[1..] {
        let values: Vec<f64> = line.split(',').take(2).map(|v| v.parse().unwrap()).collect();
        assert!(values.iter().all(|v| *v >= 0.0 && v.fract() == 0.0), "{line}");
    }
    // Asked for one class, that class has more of the second gene.
    let mean = |class: &str, scale: &str| {
        succeed(&format!("sample {from} --num-samples 100 --class {class} {scale} --out {d}/one.npy"));
        let drawn: ndarray::Array2<f64> = ndarray_npy::read_npy(dir.path().join("one.npy")).unwrap();
        drawn.column(1).sum() / 100.0
    };
    assert!(mean("1", "--cfg-scale 1.5") > 60.0 && mean("common", "") < 20.0);
    succeed(&format!("evaluate {from} --num-samples 200 --json {d}/e.json --picture {d}/e.png"));
    assert!(image::open(dir.path().join("e.png")).is_ok());
    let found = json(&dir.path().join("e.json"));
    assert_eq!((found["real"].as_u64(), found["against"].as_str()), (Some(40), Some("rows held out")));
    assert_eq!(found["columns"][1]["column"], "second");
    let [accuracy, w2] =
        ["nearest_neighbour_accuracy", "sliced_wasserstein_2"].map(|key| found["found"][key].as_f64().unwrap());
    assert!(accuracy < 0.9 && w2 < 0.5, "{found}");
    succeed(&format!("trajectory {from} --num-samples 7 --out {d}/t.npy"));
    let paths: ndarray::Array3<f64> = ndarray_npy::read_npy(dir.path().join("t.npy")).unwrap();
    assert_eq!(paths.dim(), (21, 7, 2));
    for (words, says) in [
        (format!("train --data {d}/c.csv --out {d}/x"), "line 2, column 1 (id): 'cell0' is not a finite number"),
        (
            format!("train --data {d}/c.csv --labels sort --out {d}/x"),
            "no column 'sort'; name one of id, first, second, kind",
        ),
        (format!("train --data moons --labels kind --out {d}/x"), "--labels names a column of a CSV file"),
        (format!("train --data moons --label-drop 0.1 --out {d}/x"), "give --labels"),
        (format!("velocity {d}/c.csv --checkpoint {d}/run --out {d}/x.csv"), "this model is conditioned on classes"),
        (format!("sample {from} --class blue --out {d}/x.csv"), "choose one of common, rare, red"),
        (format!("picture --checkpoint {d}/none --out {d}/x"), "No such file or directory"),
        (
            format!("likelihood --checkpoint {d}/run --picture {d}/x.png"),
            "densities are known for columns that are shifted and scaled",
        ),
        (format!("train --preset genes2 --out {d}/x"), "did you mean genes?"),
        (
            format!("train --data {d}/c.csv --labels kind --ignore id --hold-out 1 --out {d}/x"),
            "choose a share below 1",
        ),
    ] {
        let error = fail(&words);
        assert!(error.contains(says), "{words}\n{error}");
    }
}

#[test]
fn tables_of_any_shape_are_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("empty.csv", "");
    write("header.csv", "a,b\n");
    write("ragged.csv", "1,2\n3,4,5\n");
    write("nan.csv", "a,b\n1,2\n3,nan\n");
    write("one.csv", "1,2,3\n");
    write("constant.csv", &(0..60).map(|i| format!("{i},7\n")).collect::<String>());
    for (name, says) in [
        ("empty", "it is empty"),
        ("header", "it has a header, but no rows"),
        ("ragged", "line 2 has 3 columns, not 2"),
        ("nan", "line 3, column 2 (b): 'nan' is not a finite number"),
    ] {
        let error = fail(&format!("train --data {d}/{name}.csv --out {d}/x"));
        assert!(error.contains(says) && error.contains(&format!("{name}.csv")), "{error}");
    }
    for name in ["one", "constant"] {
        succeed(&format!("train --data {d}/{name}.csv --steps 5 --sample-every 0 --out {d}/{name}"));
        succeed(&format!("sample --checkpoint {d}/{name} --num-samples 20 --num-steps 3 --out {d}/s.csv"));
        let rows = columns(&dir.path().join("s.csv"), 0);
        // What never changes does not change in samples.
        assert!(rows.iter().all(|row| if name == "one" { row == &[1.0, 2.0, 3.0] } else { row[1] == 7.0 }), "{rows:?}");
    }
    // A million rows.
    write("large.csv", &(0..1_000_000).map(|i| format!("{},{}\n", i % 977, i % 13)).collect::<String>());
    let said = succeed(&format!("train --data {d}/large.csv --steps 2 --sample-every 0 --out {d}/large"));
    assert!(said.contains("900000 rows of 2 columns, 100000 more held out"), "{said}");
}

#[test]
fn a_student_has_straighter_paths_and_is_resumed_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!("train --data 8gaussians --rows 4000 --steps 800 --sample-every 0 --out {d}/teacher"));
    let reflow =
        format!("reflow --teacher {d}/teacher --teacher-steps 8 --batch-size 128 --sample-every 0 --save-every 100");
    let said = succeed(&format!("{reflow} --steps 300 --out {d}/student"));
    assert!(said.contains("learned are the pairs of") && said.contains("warp:s=0.5"), "{said}");
    let measured = |run: &str, steps: usize| {
        succeed(&format!(
            "evaluate --checkpoint {d}/{run} --num-samples 2000 --solver euler --num-steps {steps} --json {d}/e.json"
        ));
        let found = json(&dir.path().join("e.json"));
        [&found["straightness"], &found["found"]["sliced_wasserstein_2"]].map(|v| v.as_f64().unwrap())
    };
    let ([bent, one_before], [straight, one_after]) = (measured("teacher", 1), measured("student", 1));
    assert!(straight < 0.25 * bent, "{bent} before and {straight} after");
    assert!(one_after < 0.4 * one_before, "{one_before} before and {one_after} after");
    succeed(&format!("{reflow} --steps 300 --out {d}/parts"));
    fs::remove_dir_all(dir.path().join("parts/checkpoints/step-300")).unwrap();
    succeed(&format!("train --resume --sample-every 0 --out {d}/parts"));
    let weights = |run: &str| fs::read(dir.path().join(run).join("checkpoints/step-300/model.safetensors")).unwrap();
    assert!(weights("student") == weights("parts"));
    let error = fail(&format!("{reflow} --widths 32,32 --out {d}/x"));
    assert!(error.contains("has another network") && error.contains("--fresh"), "{error}");
    // Pictures of both.
    succeed(&format!(
        "picture --checkpoint {d}/teacher --num-samples 300 --num-steps 10 --untrained --velocities --out {d}/pictures"
    ));
    for name in ["samples", "paths", "field", "velocities"] {
        let picture = image::open(dir.path().join(format!("pictures/{name}.png"))).unwrap().to_rgb8();
        let coloured = picture.pixels().filter(|p| p.0.iter().max().unwrap() - p.0.iter().min().unwrap() > 60).count();
        assert!(coloured > 300, "{name}: {coloured}");
    }
    // Four clouds, the last of them of the untrained network.
    let samples = image::open(dir.path().join("pictures/samples.png")).unwrap();
    assert!(samples.width() > 3 * samples.height(), "{} x {}", samples.width(), samples.height());
    let refused = fail(&format!(
        "picture --checkpoint {d}/teacher/model.safetensors --num-samples 9 --num-steps 2 --untrained --out {d}/x"
    ));
    assert!(refused.contains("give the run, or drop --untrained"), "{refused}");
    succeed(&format!("objective --time warp --gif {d}/warp.gif"));
    assert!(fs::read(dir.path().join("warp.gif")).unwrap().starts_with(b"GIF89a"));
    assert!(fail(&format!("objective --time uniform --gif {d}/x.gif")).contains("such as --time warp"));
    succeed(&format!(
        "animate --checkpoint {d}/teacher --beside {d}/student --num-samples 100 --num-steps 6 --out {d}/a.gif"
    ));
    let gif = fs::read(dir.path().join("a.gif")).unwrap();
    assert!(gif.starts_with(b"GIF89a") && gif.windows(3).filter(|w| *w == [0x21, 0xf9, 0x04]).count() == 7);
    succeed(&format!("likelihood --checkpoint {d}/teacher --resolution 20 --tolerance 1e-2 --picture {d}/density.png"));
    assert!(image::open(dir.path().join("density.png")).is_ok());
}

#[test]
fn moments_are_looked_at_on_the_way_and_a_source_can_be_trained() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let flags = "train --preset gaussian4-tuned --steps 300 --sample-every 100 --save-every 100";
    let said = succeed(&format!("{flags} --trainable-source true --out {d}/run"));
    assert!(said.matches("relative error of the mean").count() == 3, "{said}");
    fs::remove_dir_all(dir.path().join("run/checkpoints/step-300")).unwrap();
    succeed(&format!("train --resume --sample-every 100 --out {d}/run"));
    let log = fs::read_to_string(dir.path().join("run/moments.jsonl")).unwrap();
    let steps: Vec<u64> =
        log.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [100, 200, 300]);
    // The source has moved and become narrower, and sampling starts from it.
    succeed(&format!(
        "trajectory --checkpoint {d}/run --num-samples 2000 --solver euler --num-steps 1 --out {d}/t.npy"
    ));
    let paths: ndarray::Array3<f64> = ndarray_npy::read_npy(dir.path().join("t.npy")).unwrap();
    let start = paths.index_axis(ndarray::Axis(0), 0);
    let bytes = fs::read(dir.path().join("run/checkpoints/step-300/ema.safetensors")).unwrap();
    let learned = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let of = |name: &str| -> Vec<f64> {
        let tensor = learned.tensor(name).unwrap();
        let values = tensor.data().as_chunks::<4>().0.iter().map(|value| f64::from(f32::from_le_bytes(*value)));
        values.collect()
    };
    for (k, (mean, raw)) in of("source.mean").into_iter().zip(of("source.variance")).enumerate() {
        let (found, wanted) = (start.column(k).std(1.0), raw.exp().ln_1p().sqrt());
        assert!(wanted < 1.0 && (found / wanted - 1.0).abs() < 0.06, "column {k}: {found} instead of {wanted}");
        assert!((start.column(k).mean().unwrap() - mean).abs() < 0.1, "column {k}: {mean}");
    }
    // The density of the rows follows in closed form from that of the source.
    fs::write(dir.path().join("rows.csv"), "1,0.6,0.5,0.2\n0.5,0.1,1,-1\n").unwrap();
    let said = succeed(&format!("likelihood {d}/rows.csv --checkpoint {d}/run"));
    assert!(said.contains("2 rows: mean log-density"), "{said}");
    // A student keeps the source of its teacher.
    succeed(&format!("reflow --teacher {d}/run --steps 20 --teacher-steps 2 --sample-every 0 --out {d}/student"));
    let bytes = fs::read(dir.path().join("student/checkpoints/step-20/ema.safetensors")).unwrap();
    let student = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for name in ["source.mean", "source.variance"] {
        assert!(student.tensor(name).unwrap().data() == learned.tensor(name).unwrap().data(), "{name}");
    }
    let error = fail(&format!("{flags} --trainable-source true --coupling exact --out {d}/x"));
    assert!(error.contains("drop --coupling"), "{error}");
}

/// The preset measures the raw weights after every epoch, and prints every 100th measurement.
#[test]
fn gaussian4_prints_a_line_every_hundred_epochs() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let said = succeed(&format!("train --preset gaussian4 --steps 300 --out {d}/run"));
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("samples ")).collect();
    assert_eq!(lines.len(), 3, "{said}");
    let parts = ["epoch 200: loss ", "(mu_loss) ", "(std_loss) "];
    assert!(parts.iter().all(|part| lines[1].contains(part)), "{said}");
    let log = fs::read_to_string(dir.path().join("run/moments.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 300);
    let read = |file: &str| fs::read(dir.path().join("run/checkpoints/step-300").join(file)).unwrap();
    let tensor = |bytes: &[u8]| {
        safetensors::SafeTensors::deserialize(bytes).unwrap().tensor("layers.0.lin1.weight").unwrap().data().to_vec()
    };
    assert!(tensor(&read("model.safetensors")) == tensor(&read("ema.safetensors")), "the weights are not averaged");
    // The samples of two seeds start from other noise.
    let first = |seed: u64| {
        let flags = "--steps 1 --lr 1e-12 --save-every 0 --sample-every 1 --log-every 1";
        succeed(&format!("train --preset gaussian4 {flags} --seed {seed} --out {d}/{seed}"));
        fs::read_to_string(dir.path().join(format!("{seed}/moments.jsonl"))).unwrap()
    };
    assert_ne!(first(1), first(2));
}

/// Layers, activations, polynomial features, and networks without hidden layers, by name.
#[test]
fn networks_take_layers_activations_and_features() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    fs::write(dir.path().join("none.toml"), "widths = []\n").unwrap();
    for (k, flags) in [
        "--layer concat --activation softplus",
        "--layer squash --degree 3 --widths 8",
        "--layer hyper --widths 4",
        "--layer gate --activation relu --config NONE",
    ]
    .iter()
    .enumerate()
    {
        let train = "train --data moons --model concat-squash --steps 3 --batch-size 16 --sample-every 0";
        let flags = flags.replace("NONE", &format!("{d}/none.toml"));
        succeed(&format!("{train} {flags} --out {d}/{k}"));
        succeed(&format!("sample --checkpoint {d}/{k} --num-samples 5 --num-steps 2 --out {d}/s.csv"));
    }
    succeed(&format!(
        "train --data moons --config {d}/none.toml --activation elu --steps 3 --sample-every 0 --out {d}/linear"
    ));
    let error = fail(&format!("train --data moons --layer concat --steps 3 --out {d}/x"));
    assert!(error.contains("choose --model concat-squash"), "{error}");
    let error = fail(&format!("train --data moons --activation sine --steps 3 --out {d}/x"));
    assert!(error.contains("choose one of gelu"), "{error}");
}

/// torchcfm's network from eight Gaussians to moons. Its file names no source.
#[test]
fn a_foreign_network_starts_from_the_source_that_is_named() {
    let weights = format!(
        "{}/../../crates/fm-models/tests/reference/flow-weights/8gaussian-moons__otcfm_v1.pt",
        env!("CARGO_MANIFEST_DIR")
    );
    let dir = tempfile::tempdir().unwrap();
    let distance = |flags: &str| {
        let out = dir.path().join("e.json");
        let json_flag = format!("--json {}", out.display());
        let (code, _, said) = common::run(&format!(
            "evaluate --checkpoint {weights} {flags} --num-samples 3000 --solver euler --num-steps 100 {json_flag}"
        ));
        assert_eq!(code, Some(0), "{said}");
        (json(&out)["found"]["energy_distance"].as_f64().unwrap(), said)
    };
    let (named, said) = distance("--source 8gaussians");
    assert!(named < 0.03 && !said.contains("source ="), "{named} {said}");
    let (assumed, said) = distance("");
    assert!(assumed > 0.3 && said.contains("assumed   source = gaussian"), "{assumed} {said}");
}
