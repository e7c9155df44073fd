//! The transformer against diffusers': `python3 crates/fm-models/tests/reference/dit.py` makes the
//! reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, compare, reference_model, relative, tensor, values};
use fm_models::{ModelConfig, dit::DitConfig, parameter_count};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/dit.json")).unwrap()
}

#[test]
fn outputs_and_gradients_equal_diffusers() {
    let reference = reference();
    let cases = reference.as_object().unwrap();
    assert_eq!(cases.len(), 3);
    for (name, case) in cases {
        compare(name, case, Some("dit"), 1e-5);
    }
}

#[test]
fn no_class_means_the_null_class_which_is_the_last_row() {
    let reference = reference();
    let (_, _store, model) = reference_model(Some("dit"), &reference["dit"]);
    let (x, t) = (tensor("x", &[2, 3, 8, 8], 1.0, 0.0), Tensor::from_slice(&[0.15f32, 0.8]));
    let v = |classes: Option<&[i64]>| values(&model.forward_t(&x, &t, classes.map(Tensor::from_slice).as_ref(), false));
    assert!(relative(&v(None), &v(Some(&[6, 6]))) < 1e-6);
    assert!(relative(&v(None), &v(Some(&[1, 6]))) > 1e-3);
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let count = |config: DitConfig| {
        let config = ModelConfig::Dit(config);
        let (store, _) = build(&config);
        assert_eq!(config.parameters().unwrap() as usize, parameter_count(&store));
        parameter_count(&store)
    };
    let cifar = |name: &str| DitConfig { classes: 10, null_class: true, ..DitConfig::named(name).unwrap() };
    assert_eq!(count(cifar("B/2")), 129_537_036);
    assert_eq!(count(cifar("S/2")), 32_475_660);
    assert_eq!(count(DitConfig { width: 512, heads: 8, ..cifar("B/2") }), 57_653_260);
    let latent = DitConfig { image_channels: 4, classes: 1000, learn_sigma: true, ..cifar("S/2") };
    assert_eq!(count(latent), 32_865_056);
    // The paper's table, in millions, for 256 x 256 images in a latent space of 4 x 32 x 32.
    for (name, millions) in [("S/2", 33), ("B/4", 130), ("L/4", 458), ("XL/2", 675)] {
        let config = DitConfig {
            image_channels: 4,
            classes: 1000,
            null_class: true,
            learn_sigma: true,
            ..DitConfig::named(name).unwrap()
        };
        let count = ModelConfig::Dit(config).parameters().unwrap();
        assert_eq!((count as f64 / 1e6).round() as i64, millions, "{name}");
    }
    assert_eq!(["T/2", "S/9", "S", "S/x"].map(DitConfig::named), [None, None, None, None]);
}

/// The published initialisation: Xavier for weights, N(0, .02) for the embeddings of time and
/// class, zero for what modulates and puts out.
#[test]
fn weights_start_as_published() {
    let config = DitConfig { depth: 1, width: 128, heads: 2, classes: 500, null_class: true, ..DitConfig::default() };
    let (store, _) = build(&ModelConfig::Dit(config));
    let variables = store.variables();
    let deviation = |name: &str| variables[name].std(true).double_value(&[]);
    let xavier = |fan_in: f64, out: f64| (2.0 / (fan_in + out)).sqrt();
    for (name, want) in [
        ("blocks.0.attn.qkv.weight", xavier(128.0, 384.0)),
        ("blocks.0.mlp.fc1.weight", xavier(128.0, 512.0)),
        ("x_embedder.proj.weight", xavier(12.0, 128.0)),
        ("t_embedder.mlp.0.weight", 0.02),
        ("t_embedder.mlp.2.weight", 0.02),
        ("y_embedder.embedding_table.weight", 0.02),
    ] {
        assert!((deviation(name) / want - 1.0).abs() < 0.05, "{name}: {} against {want}", deviation(name));
    }
    for name in ["blocks.0.adaLN_modulation.1", "final_layer.adaLN_modulation.1", "final_layer.linear"] {
        assert_eq!(variables[&format!("{name}.weight")].abs().max().double_value(&[]), 0.0);
    }
    let biases = variables.iter().filter(|(name, _)| name.ends_with("bias"));
    assert!(biases.into_iter().all(|(_, bias)| bias.abs().max().double_value(&[]) == 0.0));
}

#[test]
fn a_fresh_network_predicts_zero_and_impossible_sizes_name_the_remedy() {
    let small = DitConfig { width: 32, depth: 1, heads: 2, ..DitConfig::default() };
    let (_, model) = build(&ModelConfig::Dit(DitConfig { image_size: [32, 16], patch: 8, ..small.clone() }));
    let x = Tensor::randn([2, 3, 32, 16], (Kind::Float, Device::Cpu));
    let v = model.forward_t(&x, &Tensor::from_slice(&[0.1f32, 0.9]), None, true);
    assert_eq!((v.abs().max().double_value(&[]), v.size()), (0.0, vec![2, 3, 32, 16]));
    for (config, says) in [
        (DitConfig { patch: 5, ..small.clone() }, "choose a divisor"),
        (DitConfig { heads: 5, ..small.clone() }, "multiple of 4 and of the heads"),
        (DitConfig { depth: 0, ..small.clone() }, "sizes above 0"),
        (DitConfig { depth: 1 << 40, ..small.clone() }, "below 65536"),
    ] {
        let error = ModelConfig::Dit(config).parameters().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
