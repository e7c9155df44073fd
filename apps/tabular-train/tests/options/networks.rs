//! The networks for points and tables: weights that Python computed alike go into a file, and the
//! program's velocities are held against what Python recorded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

#[path = "../../../../crates/fm-models/tests/common/mod.rs"]
mod weights;

use crate::common::{columns, succeed};
use crate::{numbers, reference_of, section, within};
use fm_core::choice::Entry;
use fm_data::{Columns, Preprocess};
use fm_models::interchange::{self, About};
use fm_models::layers::Activation;
use fm_models::timed_layer::LayerKind;
use fm_run::models::TableModel;
use ndarray::Array2;
use serde_json::Value;
use weights::{reference_model, relative, tensor, values};

/// What a run keeps of the columns, against NumPy's and scikit-learn's, with outliers clipped or
/// not; and its samples come out in the table's own units.
fn columns_deviation(name: &str, clip: f64) -> f64 {
    let reference: Value = serde_json::from_str(include_str!("../reference/preprocess.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().display();
    let rows = reference["x"].as_array().unwrap().iter().map(numbers);
    let text: String = rows.map(|r| format!("{},{},{}\n", r[0], r[1], r[2])).collect();
    std::fs::write(dir.path().join("x.csv"), text).unwrap();
    succeed(&format!(
        "train --data {d}/x.csv --preprocess {name} --clip-outliers {clip} --hold-out 0 --steps 1 --batch-size 4 --sample-every 0 --out {d}/run"
    ));
    succeed(&format!("sample --checkpoint {d}/run --num-samples 50 --solver euler --num-steps 2 --out {d}/s.csv"));
    let samples = crate::common::columns(&dir.path().join("s.csv"), 0).concat();
    let (least, whole) = (samples.iter().all(|x| *x >= 0.0), samples.iter().all(|x| x.fract() == 0.0));
    assert_eq!(
        (least, whole),
        (name.starts_with("log1p") || ["counts", "quantile"].contains(&name), name == "counts"),
        "{name}: {samples:?}"
    );
    let meta: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("run/checkpoints/step-1/meta.json")).unwrap()).unwrap();
    let kept = &meta["config"]["columns"];
    let expected = if clip > 0.0 { &reference["clipped"][name] } else { &reference[name] };
    if name == "quantile" {
        let columns: Columns = serde_json::from_value(kept.clone()).unwrap();
        let table = |values: &Value| {
            let rows: Vec<f64> = values.as_array().unwrap().iter().flat_map(numbers).collect();
            Array2::from_shape_vec((rows.len() / 3, 3), rows).unwrap()
        };
        let to = columns.apply(table(&reference["x"]).view()).unwrap();
        let back = columns.restore(&table(&expected["z"]).iter().map(|z| *z as f32).collect::<Vec<_>>());
        let to: Vec<f64> = to.iter().map(|z| f64::from(*z)).collect();
        let of = |own: &[f64], key: &str| crate::deviation(own, table(&expected[key]).as_slice().unwrap());
        return of(&to, "normal").max(of(&back, "back"));
    }
    let of = |key: &str| crate::deviation(&numbers(&kept[key]), &numbers(&expected[key]));
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
        let of = match name {
            "quantile" => "transformed columns: scikit-learn's `QuantileTransformer`",
            "minmax" => "offsets and scales of columns: scikit-learn's `MinMaxScaler`",
            _ => "means and deviations of columns: NumPy's",
        };
        let clipped = ["standardize", "minmax", "quantile"].contains(&name);
        let off = columns_deviation(name, 0.0).max(if clipped { columns_deviation(name, 0.1) } else { 0.0 });
        let outliers = if clipped { ", also with outliers clipped" } else { "" };
        within(of, off, 1e-5) + outliers + "; samples are of their kind"
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
