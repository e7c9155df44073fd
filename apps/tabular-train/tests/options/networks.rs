//! The networks for points and tables: weights that Python computed alike go into a file, and the
//! program's velocities are held against what Python recorded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "../../../../crates/fm-models/tests/common/mod.rs"]
mod weights;

use crate::common::{columns, succeed};
use crate::{numbers, reference_of, section, within};
use fm_app::models::TableModel;
use fm_core::choice::Entry;
use fm_data::Preprocess;
use fm_models::interchange::{self, About};
use fm_models::layers::Activation;
use fm_models::timed_layer::LayerKind;
use serde_json::Value;
use weights::{reference_model, relative, tensor, values};

/// Means and deviations that a run keeps, against NumPy's; and its samples come out in the table's
/// own units.
fn columns_deviation(name: &str) -> f64 {
    let reference: Value = serde_json::from_str(include_str!("../reference/preprocess.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let rows = reference["x"].as_array().unwrap().iter().map(numbers);
    let text: String = rows.map(|r| format!("{},{},{}\n", r[0], r[1], r[2])).collect();
    std::fs::write(dir.path().join("x.csv"), text).unwrap();
    succeed(&format!(
        "train --data {d}/x.csv --preprocess {name} --hold-out 0 --steps 1 --batch-size 4 --sample-every 0 --out {d}/run"
    ));
    succeed(&format!("sample --checkpoint {d}/run --num-samples 50 --solver euler --num-steps 2 --out {d}/s.csv"));
    let samples = crate::common::columns(&dir.path().join("s.csv"), 0).concat();
    let (least, whole) = (samples.iter().all(|x| *x >= 0.0), samples.iter().all(|x| x.fract() == 0.0));
    assert_eq!(
        (least, whole),
        (name.starts_with("log1p") || name == "counts", name == "counts"),
        "{name}: {samples:?}"
    );
    let meta: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("run/checkpoints/step-1/meta.json")).unwrap()).unwrap();
    let kept = &meta["config"]["columns"];
    let of = |key: &str| crate::deviation(&numbers(&kept[key]), &numbers(&reference[name][key]));
    of("mean").max(of("deviation"))
}

pub(crate) fn sections() -> String {
    let small = |entry: &Entry| match entry.name() {
        "transformer" => "--data ecg --window 8 --stride 50 --widths 8,8 --heads 2",
        _ => "--widths 8,16",
    };
    // Logarithms need values above -1.
    let none = |_: &_| "--data genes --widths 8";
    let text = section::<Preprocess>("Preprocessing of columns (`tabular-train`)", "--preprocess", &none, &|name| {
        within("means and deviations of columns: NumPy's", columns_deviation(name), 1e-5)
            + "; samples are of their kind"
    });
    let squash = |_: &_| "--model concat-squash --widths 8";
    let by_torch = |case: &str| {
        let reference = reference_of("fm-models", "timed_layers");
        within(
            "velocities: FFJORD's formula on `torch.nn`'s layers",
            velocity_deviation_of(None, &reference[case]),
            1e-5,
        ) + "; gradients: `crates/fm-models/tests/mlp.rs`"
    };
    let text = text + &section::<LayerKind>("Layers of the concat-squash network", "--layer", &squash, &by_torch);
    let text = text
        + &section::<Activation>("Activations of networks for tables", "--activation", &squash, &|name| {
            by_torch(&format!("activation-{name}"))
        });
    text + &section::<TableModel>("Networks for tables", "--model", &small, &|name| {
        let (file, case, by) = match name {
            "mlp" => ("mlp", "gelu", "`torch.nn`'s layers"),
            "selu-mlp" => ("mlp", "selu", "torchcfm's `MLP`"),
            "concat-squash" => ("mlp", "concat-squash", "the formula on equinox's layers"),
            "transformer" => ("sequence", "plain", "the blocks of diffusers' `DiTTransformer2DModel`"),
            other => panic!("network {other} has no reference"),
        };
        let gradients = format!("; gradients: `crates/fm-models/tests/{file}.rs`");
        within(&format!("velocities: {by}"), velocity_deviation(file, case), 1e-5) + &gradients
    })
}

fn velocity_deviation(file: &str, case: &str) -> f64 {
    velocity_deviation_of((file == "sequence").then_some(file), &reference_of("fm-models", file)[case])
}

fn velocity_deviation_of(kind: Option<&str>, case: &Value) -> f64 {
    let (config, store, _model) = reference_model(kind, case);
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let about = About { model: Some(config), ..About::default() };
    let bytes = interchange::safetensors(&interchange::named(&store), &about).unwrap();
    std::fs::write(dir.path().join("weights.safetensors"), bytes).unwrap();
    let deviation = |call: &serde_json::Value| {
        let t = numbers(&call["t"]);
        let dim = numbers(&case["shape"]).iter().product::<f64>() as i64;
        let x = values(&tensor(&format!("x{}", t.len()), &[t.len() as i64, dim], 1.7, 0.0));
        let row = |(x, t): (&[f64], &f64)| x.iter().chain([t]).map(f64::to_string).collect::<Vec<_>>().join(",") + "\n";
        let text: String = x.chunks_exact(dim as usize).zip(&t).map(row).collect();
        std::fs::write(dir.path().join("points.csv"), text).unwrap();
        succeed(&format!("velocity {d}/points.csv --checkpoint {d}/weights.safetensors --out {d}/v.csv"));
        relative(&columns(&dir.path().join("v.csv"), 0).concat(), &numbers(&call["output"]))
    };
    case["calls"].as_array().unwrap().iter().map(deviation).fold(0.0, f64::max)
}
