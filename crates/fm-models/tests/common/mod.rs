//! Weights and inputs that the Python scripts in `reference/` compute alike, and the comparison
//! with what they recorded.

#![allow(dead_code, reason = "each test file uses its part")]

use fm_core::tensor::VelocityModel;
use fm_models::ModelConfig;
use serde_json::Value;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor, nn};

/// Uniform on [-1, 1): splitmix64 of the FNV-1a hash of a name plus an index.
pub(crate) fn uniform(name: &str, n: usize) -> Vec<f64> {
    let fnv = |key: u64, byte: u8| (key ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    let key = name.bytes().fold(0xCBF2_9CE4_8422_2325, fnv);
    let value = |i: usize| {
        let z = key.wrapping_add((i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / 2f64.powi(52) - 1.0
    };
    (0..n).map(value).collect()
}

pub(crate) fn tensor(name: &str, shape: &[i64], scale: f64, base: f64) -> Tensor {
    let n = shape.iter().product::<i64>() as usize;
    let values: Vec<f32> = uniform(name, n).iter().map(|u| (base + u * scale) as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

pub(crate) fn weight(name: &str, shape: &[i64]) -> Tensor {
    let fan_in = if shape.len() > 1 { shape[1..].iter().product::<i64>() as f64 } else { 16.0 };
    let base = if name.ends_with("weight") && shape.len() == 1 { 1.0 } else { 0.0 };
    tensor(name, shape, (2.4 / fan_in).sqrt(), base)
}

/// Of the Inception network: variances are above 0, and images stay apart through a hundred layers.
pub(crate) fn inception_weights(shapes: &Value) -> BTreeMap<String, Tensor> {
    let value = |name: &str, shape: &[i64]| match shape {
        _ if name.ends_with("running_var") => tensor(name, shape, 0.5, 1.0),
        [_, a, b, c] => tensor(name, shape, (6.0 / (a * b * c) as f64).sqrt(), 0.0),
        _ => weight(name, shape),
    };
    shapes.as_object().unwrap().iter().map(|(name, s)| (name.clone(), value(name, &integers(s)))).collect()
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

pub(crate) fn integers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).reshape([-1])).unwrap()
}

/// ||a - b|| / ||b||.
pub(crate) fn relative(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut got.iter().zip(want).map(|(a, b)| a - b)) / norm(&mut want.iter().copied())
}

/// A fresh network.
pub(crate) fn build(config: &ModelConfig) -> (nn::VarStore, Box<dyn VelocityModel>) {
    let store = nn::VarStore::new(Device::Cpu);
    let model = config.build(&store.root()).unwrap();
    (store, model)
}

/// A network of the reference's configuration, whose parameters, by name and shape those of the
/// reference, hold the computed weights.
pub(crate) fn reference_model(kind: Option<&str>, case: &Value) -> (ModelConfig, nn::VarStore, Box<dyn VelocityModel>) {
    let mut config = case["config"].clone();
    if let Some(kind) = kind {
        config["kind"] = kind.into();
    }
    let config: ModelConfig = serde_json::from_value(config).unwrap();
    let (store, model) = build(&config);
    let shapes = case["parameters"].as_object().unwrap();
    assert_eq!(store.trainable_variables().len(), shapes.len(), "tensor count");
    for (name, shape) in shapes {
        let variables = store.variables();
        let mut variable = variables.get(name).unwrap_or_else(|| panic!("{name} is missing")).shallow_clone();
        assert_eq!(variable.size(), integers(shape), "{name}");
        tch::no_grad(|| variable.copy_(&weight(name, &integers(shape))));
    }
    (config, store, model)
}

/// The scalar loss whose gradients are recorded.
pub(crate) fn loss(out: &Tensor) -> Tensor {
    (out * tensor("loss", &out.size(), 1.0, 0.0)).sum(Kind::Float)
}

/// Outputs to `tolerance` at every recorded call; gradients of the last call's loss to ten times
/// that, by norm and two projections.
pub(crate) fn compare(name: &str, case: &Value, kind: Option<&str>, tolerance: f64) {
    let (config, store, model) = reference_model(kind, case);
    assert_eq!(config.parameters().unwrap() as usize, fm_models::parameter_count(&store), "{name}: counted parameters");
    let calls = case["calls"].as_array().unwrap();
    let mut last = Tensor::new();
    for call in calls {
        let t: Vec<f32> = numbers(&call["t"]).iter().map(|t| *t as f32).collect();
        let shape = [&[t.len() as i64], integers(&case["shape"]).as_slice()].concat();
        let x = tensor(&format!("x{}", t.len()), &shape, 1.7, 0.0);
        let classes = call["classes"].is_array().then(|| Tensor::from_slice(&integers(&call["classes"])));
        last = model.forward_t(&x, &Tensor::from_slice(&t), classes.as_ref(), false);
        let off = relative(&values(&last), &numbers(&call["output"]));
        assert!(off <= tolerance, "{name}: outputs at t = {t:?} are off by {off}");
        // One time for all rows is the same as that time for each.
        let each = model.forward_t(
            &x,
            &Tensor::full([t.len() as i64], 0.3, (Kind::Float, Device::Cpu)),
            classes.as_ref(),
            false,
        );
        let shared = model.forward_t(&x, &Tensor::from_slice(&[0.3f32]), classes.as_ref(), false);
        let off = relative(&values(&shared), &values(&each));
        assert!(off < 1e-6, "{name}: a shared time is off by {off}");
    }
    loss(&last).backward();
    let gradients = case["gradients"].as_object().unwrap();
    // A bias before a normalisation of its own channel has gradient 0, so rounding is measured
    // against the largest: a few units in its last place, which depend on the processor.
    let largest = gradients.values().map(|g| numbers(g)[0]).fold(0.0, f64::max);
    for (key, want) in gradients {
        let g = values(&store.variables()[key].grad());
        let dot = |i: usize| uniform(&format!("{key}#{i}"), g.len()).iter().zip(&g).map(|(a, b)| a * b).sum::<f64>();
        let got = [g.iter().map(|v| v * v).sum::<f64>().sqrt(), dot(1), dot(2)];
        let want = numbers(want);
        for (got, want_value) in got.iter().zip(&want) {
            let bound = 10.0 * tolerance * want[0] + 3e-7 * largest;
            assert!((got - want_value).abs() <= bound, "{name}: gradient of {key}: {got} against {want_value}");
        }
    }
}
