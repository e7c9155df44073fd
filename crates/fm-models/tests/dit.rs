//! The transformer against diffusers': `python3 crates/fm-models/tests/dit.py` makes the reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{assert_close, numbers, reference_model, sine_input};
use fm_models::{ModelConfig, dit::DitConfig, parameter_count};
use serde_json::Value;
use tch::{Device, Kind, Tensor, nn};

#[test]
fn outputs_equal_diffusers() {
    let reference: Value = serde_json::from_str(include_str!("dit.json")).unwrap();
    let config = DitConfig {
        image_size: 8,
        width: 32,
        depth: 2,
        heads: 2,
        classes: 6,
        null_class: true,
        ..DitConfig::default()
    };
    let (_store, model) = reference_model(ModelConfig::Dit(config), &reference["parameters"]);
    let (x, t) = (sine_input(&[2, 3, 8, 8]), Tensor::from_slice(&[0.15f32, 0.8]));
    let out = model.forward_t(&x, &t, Some(&Tensor::from_slice(&[1i64, 6])), false);
    assert_close(&out, &numbers(&reference["output"]), 1e-5, "output");
    // No class means the null class, which is the last row.
    let unconditional = model.forward_t(&x, &t, None, false);
    assert!(unconditional.get(1).allclose(&out.get(1), 1e-5, 1e-6, false));
    assert!(!unconditional.get(0).allclose(&out.get(0), 1e-5, 1e-6, false));
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let count = |config: DitConfig| {
        let store = nn::VarStore::new(Device::Cpu);
        ModelConfig::Dit(config).build(&store.root()).unwrap();
        parameter_count(&store)
    };
    let base = DitConfig { classes: 10, null_class: true, ..DitConfig::default() };
    assert_eq!(count(base.clone()), 129_537_036);
    assert_eq!(count(DitConfig { width: 384, heads: 6, ..base.clone() }), 32_475_660);
    assert_eq!(count(DitConfig { width: 512, heads: 8, ..base }), 57_653_260);
}

#[test]
fn a_fresh_network_predicts_zero_and_impossible_sizes_name_the_remedy() {
    let small = DitConfig { width: 32, depth: 1, heads: 2, ..DitConfig::default() };
    let store = nn::VarStore::new(Device::Cpu);
    let model = ModelConfig::Dit(small.clone()).build(&store.root()).unwrap();
    let x = Tensor::randn([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    assert_eq!(model.forward_t(&x, &Tensor::from_slice(&[0.1f32, 0.9]), None, true).abs().max().double_value(&[]), 0.0);
    for (config, says) in [
        (DitConfig { patch: 5, ..small.clone() }, "choose a divisor"),
        (DitConfig { heads: 5, ..small.clone() }, "multiple of 4 and of the heads"),
        (DitConfig { depth: 0, ..small.clone() }, "sizes above 0"),
    ] {
        let store = nn::VarStore::new(Device::Cpu);
        let error = ModelConfig::Dit(config).build(&store.root()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
