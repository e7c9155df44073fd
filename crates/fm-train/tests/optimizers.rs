//! Optimizers against PyTorch's over 100 steps of a network:
//! `python3 crates/fm-train/tests/reference/optimizers.py`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::tape::Tape;
use fm_models::layers::Activation;
use fm_models::{ModelConfig, mlp::MlpConfig};
use fm_train::flat::{FlatParams, Precision};
use fm_train::optimizer::{DecayOn, Group, Optimizer, OptimizerConfig, Scaling};
use serde_json::Value;
use tch::{Device, Kind, Tensor, nn, no_grad};

fn wave(shape: &[i64], phase: f64, scale: f64) -> Tensor {
    let n: i64 = shape.iter().product();
    let values: Vec<f64> = (0..n).map(|i| (i as f64 * 0.7 + phase).sin() * scale).collect();
    Tensor::from_slice(&values).to_kind(Kind::Float).view(shape)
}

fn config(case: &str) -> OptimizerConfig {
    let plain = OptimizerConfig::default();
    let slow = Group { names: "net.0.*".into(), lr_scale: 0.1, weight_decay: None };
    match case {
        "matrices" => OptimizerConfig { weight_decay: 0.5, decay_on: DecayOn::Matrices, ..plain },
        "slow-first" => OptimizerConfig { groups: vec![slow], ..plain },
        rule => OptimizerConfig { rule: rule.parse().unwrap(), weight_decay: 0.1, ..plain },
    }
}

/// The largest deviation from the reference, relative to 1 + |reference|.
fn deviation(case: &str, want: &Value) -> f64 {
    let model = ModelConfig::Mlp(MlpConfig {
        dim: 2,
        widths: vec![16, 12, 16, 12],
        activation: Activation::Tanh,
        ..MlpConfig::default()
    });
    let store = nn::VarStore::new(Device::Cpu);
    let network = model.build(&store.root()).unwrap();
    for (name, weight) in store.variables() {
        let layer: f64 = name.split('.').nth(1).unwrap().parse::<f64>().unwrap() / 2.0;
        let size = weight.size();
        let (phase, scale) = if size.len() == 2 { (layer, (size[1] as f64).powf(-0.5)) } else { (layer + 0.5, 0.1) };
        no_grad(|| weight.shallow_clone().copy_(&wave(&size, phase, scale)));
    }
    let config = config(case);
    let role = |name: &str, shape: &[i64]| model.role(name, shape);
    let mut params = FlatParams::sorted(&store, Precision::F32, |n, s| config.key(n, role(n, s))).unwrap();
    let mut optimizer = Optimizer::new(&params.master, &config, &params.slots, |s| role(&s.name, &s.shape));
    // The network takes time as its last input.
    let (input, y) = (wave(&[32, 3], 0.3, 1.0), wave(&[32, 2], 1.3, 1.0));
    let (x, t) = (input.narrow(1, 0, 2), input.select(1, 2));
    for _ in 0..100 {
        let loss = (network.forward_t(&x, &t, None, true) - &y).square().mean(Kind::Float);
        let gradient = params.backward(&loss, Tape::off()).unwrap();
        optimizer.step(&mut params.master, &gradient, 1e-3, &Scaling::none(Device::Cpu)).unwrap();
    }
    let off = params.split(&params.master).into_iter().map(|(name, got)| {
        let want: Vec<f64> = want[&name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let want = Tensor::from_slice(&want);
        ((got.to_kind(Kind::Double).view(-1) - &want).abs() / (want.abs() + 1.0)).max().double_value(&[])
    });
    off.fold(0.0, f64::max)
}

#[test]
fn a_hundred_steps_end_where_pytorchs_do() {
    let reference: Value = serde_json::from_str(include_str!("reference/optimizers.json")).unwrap();
    for (case, want) in reference.as_object().unwrap() {
        let off = deviation(case, want);
        println!("{case} {off:.1e}");
        assert!(off < 1e-6, "{case} is off by {off}");
    }
}

/// A step that must not happen changes nothing, also the first.
#[test]
fn forbidden_steps_change_nothing() {
    for rule in ["adamw", "adam", "muon"] {
        let config = OptimizerConfig { rule: rule.parse().unwrap(), weight_decay: 0.1, ..OptimizerConfig::default() };
        let run = |steps: &[f64]| {
            let mut p = wave(&[12], 0.2, 1.0);
            let slot = |name: &str, shape: &[i64], offset| fm_train::flat::Slot {
                name: name.into(),
                shape: shape.into(),
                offset,
            };
            let slots = [slot("a", &[4], 0), slot("w", &[2, 4], 4)];
            let role = |s: &fm_train::flat::Slot| {
                if s.name == "w" { fm_core::tensor::Role::Hidden } else { fm_core::tensor::Role::Vector }
            };
            let mut optimizer = Optimizer::new(&p, &config, &slots, role);
            for (k, allowed) in steps.iter().enumerate() {
                let phase = steps[..k].iter().sum();
                let gradient = wave(&[12], phase, 1.0);
                let scaling = Scaling::by_norm(&gradient.norm(), f64::INFINITY, &Tensor::from(*allowed));
                optimizer.step(&mut p, &gradient, 0.1, &scaling).unwrap();
            }
            (Vec::<f32>::try_from(&p).unwrap(), optimizer.updates.double_value(&[]))
        };
        assert_eq!(run(&[0.0, 1.0, 0.0, 0.0, 1.0]), run(&[1.0, 1.0]), "{rule}");
    }
}
