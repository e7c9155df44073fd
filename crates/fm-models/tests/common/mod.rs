//! Weights and inputs that the Python scripts compute alike.

#![allow(dead_code, reason = "each test file uses its part")]

use fm_core::tensor::VelocityModel;
use fm_models::ModelConfig;
use serde_json::Value;
use tch::{Device, Kind, Tensor, nn};

/// base + sin(0.7 i + len(name)) sqrt(0.8 / fan in), in f64, then f32.
fn fill(name: &str, shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    let fan_in = if shape.len() > 1 { shape[1..].iter().product::<i64>() as f64 } else { 16.0 };
    let base = if name.ends_with("weight") && shape.len() == 1 { 1.0 } else { 0.0 };
    let index = Tensor::arange(n, (Kind::Double, Device::Cpu));
    let values = (index * 0.7 + name.len() as f64).sin() * (0.8 / fan_in).sqrt() + base;
    values.to_kind(Kind::Float).view(shape)
}

pub(crate) fn sine_input(shape: &[i64]) -> Tensor {
    let n: i64 = shape.iter().product();
    (Tensor::arange(n, (Kind::Double, Device::Cpu)) * 0.3).sin().to_kind(Kind::Float).view(shape)
}

pub(crate) fn field<'a>(case: &'a Value, key: &str) -> &'a Value {
    case.get(key).unwrap_or_else(|| panic!("the reference lacks {key}"))
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// ||a - b|| / ||b|| at most `tolerance`.
pub(crate) fn assert_close(got: &Tensor, want: &[f64], tolerance: f64, what: &str) {
    let got = Vec::<f32>::try_from(got.reshape([-1])).unwrap();
    assert_eq!(got.len(), want.len(), "{what}");
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(want).map(|(a, b)| f64::from(*a) - b));
    let relative = difference / norm(&mut want.iter().copied());
    assert!(relative <= tolerance, "{what}: relative difference {relative}");
}

/// A network whose parameters, by name and shape those of the reference, hold the computed weights.
pub(crate) fn reference_model(config: ModelConfig, shapes: &Value) -> (nn::VarStore, Box<dyn VelocityModel>) {
    let store = nn::VarStore::new(Device::Cpu);
    let model = config.build(&store.root()).unwrap();
    let (variables, shapes) = (store.variables(), shapes.as_object().unwrap());
    assert_eq!(variables.len(), shapes.len(), "tensor count");
    for (name, shape) in shapes {
        let mut variable = variables.get(name).unwrap_or_else(|| panic!("{name} is missing")).shallow_clone();
        let shape: Vec<i64> = shape.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
        assert_eq!(variable.size(), shape, "{name}");
        tch::no_grad(|| variable.copy_(&fill(name, &shape)));
    }
    (store, model)
}
