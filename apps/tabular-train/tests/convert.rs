//! Export for PyTorch, and import: the script beside an exported `.pt` is run where torch is
//! installed, and otherwise compared with a recorded run.
//!
//! `UPDATE_LOADERS=1` writes `reference/loader-*.json`, by running the scripts with the Python of
//! the variable PYTHON, which needs torch and NumPy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;
#[path = "../../../crates/fm-models/tests/common/mod.rs"]
mod weights;

use common::{columns, fail, succeed};
use fm_models::ModelConfig;
use fm_models::interchange::{self, About};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Networks, and the columns of their tables.
fn cases() -> Vec<(&'static str, Value, Value)> {
    let classes = json!([["healthy", 3], ["ill", 5]]);
    let plain = |dim: usize| {
        let (mean, deviation): (Vec<_>, Vec<_>) = (0..dim).map(|k| (2.0 + k as f64, 0.5 + k as f64)).unzip();
        json!({"mean": mean, "deviation": deviation, "log1p": false, "whole": false, "names": [], "classes": []})
    };
    let with = |mut columns: Value, more: Value| {
        columns.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        columns
    };
    let normal: Vec<f64> = (0..9).map(|k| f64::from(k * k) / 8.0).collect();
    let steps = json!([normal, [0.0, 1.0, 1.0, 1.0, 2.5]]);
    let unit = json!({"mean": [0.0, 0.0], "deviation": [1.0, 1.0]});
    let layer = |name: &str, more: Value| {
        with(json!({"kind": "concat-squash", "dim": 2, "widths": [5, 4], "layer": name, "activation": "silu"}), more)
    };
    let labelled = json!({"classes": 2, "null_class": true, "class_width": 3});
    vec![
        (
            "mlp",
            json!({"kind": "mlp", "dim": 3, "widths": [8, 6], "activation": "gelu", "classes": 2, "null_class": true}),
            with(plain(3), json!({"classes": classes, "label": "state", "names": ["age", "dose, \"mg\"", "x"]})),
        ),
        (
            "quantile",
            json!({"kind": "mlp", "dim": 2, "widths": [8], "activation": "selu"}),
            with(with(plain(2), unit), json!({"quantiles": steps, "limits": [[0.25, 7.0], [0.0, 2.5]]})),
        ),
        (
            "counts",
            json!({"kind": "mlp", "dim": 2, "widths": [], "activation": "tanh"}),
            with(plain(2), json!({"log1p": true, "whole": true})),
        ),
        ("concat-squash", layer("concat-squash", labelled.clone()), with(plain(2), json!({"classes": classes}))),
        ("concat", layer("concat", labelled.clone()), with(plain(2), json!({"classes": classes}))),
        ("concat-v2", layer("concat-v2", json!({"degree": 3})), plain(2)),
        ("concat-scale", layer("concat-scale", json!({})), plain(2)),
        ("squash", layer("squash", json!({})), with(plain(2), json!({"non_negative": true}))),
        ("scale", layer("scale", json!({})), plain(2)),
        ("hyper", layer("hyper", labelled), with(plain(2), json!({"classes": classes}))),
        ("blend", layer("blend", json!({})), plain(2)),
        ("gate", layer("gate", json!({})), plain(2)),
        ("ignore", layer("ignore", json!({})), plain(2)),
        (
            "sequence",
            json!({"kind": "sequence", "length": 4, "channels": 2, "width": 8, "depth": 2, "heads": 2, "classes": 2,
                "null_class": true}),
            with(plain(8), json!({"classes": classes, "series": {"length": 4, "channels": 2}})),
        ),
    ]
}

/// A described file of weights that every language computes alike, and rows for it.
fn prepare(d: &Path, run: &Value, config: &Value, columns: &Value) -> ModelConfig {
    let config: ModelConfig = serde_json::from_value(config.clone()).unwrap();
    let (store, _) = weights::build(&config);
    tch::no_grad(|| {
        for (name, mut variable) in store.variables() {
            variable.copy_(&weights::weight(&name, &variable.size()));
        }
    });
    let mut run = run.clone();
    run["label_drop"] = json!(if config.classes() > 0 { 0.1 } else { 0.0 });
    let about = About {
        program: "tabular-train".into(),
        model: Some(config.clone()),
        path: "linear".into(),
        prediction: "velocity".into(),
        time_direction: "source at t = 0, data at t = 1".into(),
        config: json!({"run": run, "columns": columns}),
        ..About::default()
    };
    fs::write(d.join("net.safetensors"), interchange::safetensors(&interchange::named(&store), &about).unwrap())
        .unwrap();
    let dim = config.data_shape()[0] as usize;
    let row = |i: usize| (0..dim).map(|k| (((i * dim + k) * 7 % 11) as f64 / 4.0).to_string()).collect::<Vec<_>>();
    let rows: String = (0..6).map(|i| row(i).join(",") + "\n").collect();
    fs::write(d.join("rows.csv"), rows).unwrap();
    config
}

fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "python3".into())
}

/// The velocity at t = 0.3 of the rows, and the ends of four steps of Euler's method from them, in
/// the table's units, of class 1 if there are classes: by the scripts.
fn by_scripts(d: &Path, names: &[&str]) -> Value {
    let program = "
import importlib.util, json, sys, numpy, torch
out = {}
for name in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location('net', f'{name}/net.py')
    net = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(net)
    model, rows = net.load(), numpy.loadtxt(f'{name}/rows.csv', delimiter=',')
    x = net.to_network(rows)
    labels = torch.ones(len(x), dtype=torch.int64) if net.LABELS else None
    v = [] if net.LABELS else model(x, 0.3)
    if net.LABELS:
        assert torch.equal(model(x, 0.3), model(x, 0.3, torch.full((len(x),), 2)))
    assert net.start(5).shape == (5, x.shape[1])
    with torch.no_grad():
        for i in range(4):
            x = x + model(x, i / 4, labels) / 4
    flat = lambda v: v if v == [] else v.detach().double().flatten().tolist()
    out[name] = dict(velocity=flat(v) if v != [] else [], ends=net.to_table(x).flatten().tolist())
print(json.dumps(out))";
    let mut command = Command::new(python());
    command.current_dir(d).args(["-c", &program.replace("if v != []", "if len(v)").replace("v == []", "len(v) == 0")]);
    let output = command.args(names).env_remove("LD_LIBRARY_PATH").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn close(name: &str, ours: &[f64], theirs: &Value, tolerance: f64) {
    let theirs = weights::numbers(theirs);
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let off = if ours.is_empty() { 0.0 } else { weights::relative(ours, &theirs) };
    assert!(off < tolerance, "{name}: off by {off}");
}

#[test]
fn the_scripts_compute_what_the_program_computes() {
    let update = std::env::var_os("UPDATE_LOADERS").is_some();
    let torch = Command::new(python()).args(["-c", "import torch, numpy"]).env_remove("LD_LIBRARY_PATH").output();
    let torch = update || torch.is_ok_and(|output| output.status.success());
    let dir = tempfile::tempdir().unwrap();
    succeed(&format!(
        "train --data moons --steps 1 --batch-size 8 --sample-every 0 --out {}/run",
        dir.path().display()
    ));
    let described: Value = serde_json::from_slice(&fs::read(dir.path().join("run/config.json")).unwrap()).unwrap();
    let run = &described["config"]["run"];
    let (mut names, mut computed, mut scripts) = (Vec::new(), Vec::new(), serde_json::Map::new());
    for (name, config, units) in cases() {
        let d = dir.path().join(name);
        fs::create_dir(&d).unwrap();
        let config = prepare(&d, run, &config, &units);
        let at = d.display();
        let said = succeed(&format!("convert {at}/net.safetensors {at}/net.pt"));
        assert!(said.contains("velocity of the linear path") && said.contains("Source (t = 0): gaussian."), "{said}");
        let script = fs::read_to_string(d.join("net.py")).unwrap();
        assert!(script.contains("t: (B) from 0 (source) to 1 (data)") && !script.contains("SUMMARY"), "{name}");
        // Everything below uses the `.pt`, which describes itself.
        let mut velocity = Vec::new();
        if config.classes() == 0 {
            let rows = fs::read_to_string(d.join("rows.csv")).unwrap();
            fs::write(d.join("at.csv"), rows.lines().map(|line| format!("{line},0.3\n")).collect::<String>()).unwrap();
            succeed(&format!("velocity {at}/at.csv --checkpoint {at}/net.pt --out {at}/v.csv"));
            velocity = columns(&d.join("v.csv"), 0).concat();
        }
        let class = if config.classes() > 0 { "--class 1" } else { "" };
        succeed(&format!(
            "sample --checkpoint {at}/net.pt --from {at}/rows.csv {class} --solver euler --num-steps 4 --out {at}/ends.npy"
        ));
        let ends: ndarray::ArrayD<f64> = ndarray_npy::read_npy(d.join("ends.npy")).unwrap();
        computed.push((velocity, ends.iter().copied().collect::<Vec<_>>()));
        scripts.insert(name.into(), script.into());
        names.push(name);
    }
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/loaders.json");
    if update {
        let made = json!({"scripts": scripts, "values": by_scripts(dir.path(), &names)});
        fs::write(&golden, format!("{made:#}\n")).unwrap();
    }
    // The recorded values are those of the recorded scripts.
    let recorded: Value = serde_json::from_slice(&fs::read(golden).unwrap()).unwrap();
    assert!(recorded["scripts"] == Value::Object(scripts), "a script changed: run with UPDATE_LOADERS=1");
    let values = if torch { vec![by_scripts(dir.path(), &names)] } else { Vec::new() };
    for values in values.iter().chain([&recorded["values"]]) {
        for (name, (velocity, ends)) in names.iter().zip(&computed) {
            close(name, velocity, &values[name]["velocity"], 1e-6);
            close(name, ends, &values[name]["ends"], 2e-6);
        }
    }
    if !torch {
        eprintln!("without torch and NumPy, compared with the recorded run only");
    }
}

/// A run, its exports and an import of one of them draw the same rows.
#[test]
fn exports_of_a_run_draw_its_samples() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    succeed(&format!(
        "train --data gaussian4 --trainable-source true --model concat-squash --preprocess minmax --steps 3 --sample-every 0 --out {d}/run"
    ));
    let sample = |from: &str, to: &str| {
        succeed(&format!("sample --checkpoint {d}/{from} --num-samples 20 --solver rk4 --num-steps 4 --out {d}/{to}"));
        fs::read_to_string(dir.path().join(to)).unwrap()
    };
    let want = sample("run", "run.csv");
    succeed(&format!("convert {d}/run {d}/net.safetensors"));
    succeed(&format!("convert {d}/net.safetensors {d}/net.pt"));
    assert_eq!(sample("net.safetensors", "a.csv"), want);
    assert_eq!(sample("net.pt", "b.csv"), want);
    succeed(&format!("convert {d}/run {d}/raw.pt --raw-weights"));
    assert_ne!(sample("raw.pt", "c.csv"), want);
    for file in ["run", "net.safetensors", "net.pt"] {
        let said = succeed(&format!("inspect {d}/{file}"));
        let all = [
            "source           gaussian, trained",
            "units            to [-1, 1], column by column",
            "activation       tanh",
        ];
        assert!(all.iter().all(|text| said.contains(text)), "{said}");
    }
}

/// torchcfm's MLP of points: its description is made, a source that is not given stays open.
#[test]
fn networks_of_torchcfm_are_imported_with_their_source() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let config = json!({"kind": "mlp", "dim": 2, "widths": [64, 64, 64], "activation": "selu"});
    let (store, _) = weights::build(&serde_json::from_value(config).unwrap());
    fs::write(dir.path().join("cfm.pt"), interchange::torch(&interchange::named(&store)).unwrap()).unwrap();
    let said = succeed(&format!("inspect {d}/cfm.pt"));
    assert!(said.contains("assumed          source = gaussian") && said.contains("activation = \"selu\""), "{said}");
    let (_, _, assumed) = common::run(&format!("convert {d}/cfm.pt {d}/open.safetensors"));
    assert!(assumed.contains("assumed   source = gaussian"), "{assumed}");
    let (_, _, assumed) =
        common::run(&format!("sample --checkpoint {d}/open.safetensors --num-samples 2 --out {d}/s.csv"));
    assert!(assumed.contains("assumed   source = gaussian"), "{assumed}");
    succeed(&format!("convert {d}/cfm.pt {d}/moons.safetensors --source 8gaussians"));
    let (_, _, assumed) =
        common::run(&format!("sample --checkpoint {d}/moons.safetensors --num-samples 2 --out {d}/s.csv"));
    assert_eq!(assumed, "");
    assert!(succeed(&format!("inspect {d}/moons.safetensors")).contains("source           8gaussians"));
    // The same points, whether named as the source or as the start.
    let draw = |words: &str| {
        succeed(&format!("sample {words} --num-samples 50 --seed 3 --solver euler --num-steps 2 --out {d}/s.csv"));
        columns(&dir.path().join("s.csv"), 0)
    };
    let started = draw(&format!("--checkpoint {d}/open.safetensors --from 8gaussians"));
    assert_eq!(started.len(), 50);
    let far = started.iter().filter(|x| x[0].hypot(x[1]) > 2.0).count();
    assert!(far > 0, "starts of eight Gaussians are five from the origin");
    assert!(
        fail(&format!("sample --checkpoint {d}/moons.safetensors --from nowhere.csv --out {d}/s.csv"))
            .contains("cannot start from nowhere.csv")
    );
}
