//! The U-Net against torchcfm's in all its variants:
//! `python3 crates/fm-models/tests/reference/unet.py` makes the reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, compare};
use fm_models::{ModelConfig, parameter_count, unet::UNetConfig};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

#[test]
fn outputs_and_gradients_equal_torchcfms_in_every_variant() {
    let reference: Value = serde_json::from_str(include_str!("reference/unet.json")).unwrap();
    let cases = reference.as_object().unwrap();
    assert_eq!(cases.len(), 10);
    for (name, case) in cases {
        compare(name, case, Some("unet"), 1e-5);
    }
}

/// CIFAR-10's network, and MNIST's.
fn published() -> [UNetConfig; 2] {
    let cifar = UNetConfig::default();
    let mnist = UNetConfig {
        image_channels: 1,
        image_size: [28, 28],
        channels: 32,
        channel_mult: vec![1.0, 2.0, 2.0],
        res_blocks: 1,
        attention_at: vec![1],
        head_channels: 0,
        heads: 1,
        ..cifar.clone()
    };
    [cifar, mnist]
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let count = |config: UNetConfig| {
        let config = ModelConfig::Unet(config);
        let (store, _) = build(&config);
        assert_eq!(config.parameters().unwrap() as usize, parameter_count(&store));
        (store.len(), parameter_count(&store))
    };
    let [cifar, mnist] = published();
    assert_eq!(count(cifar.clone()), (304, 35_746_307));
    assert_eq!(count(UNetConfig { classes: 10, ..cifar.clone() }).1, 35_751_427);
    assert_eq!(count(UNetConfig { classes: 10, null_class: true, ..cifar }).1, 35_751_939);
    assert_eq!(count(mnist).1, 1_075_361);
}

#[test]
fn a_fresh_network_predicts_zero_and_starts_as_pytorch_does() {
    tch::manual_seed(1);
    let (store, model) = build(&ModelConfig::Unet(UNetConfig { channels: 64, classes: 1000, ..UNetConfig::default() }));
    let x = Tensor::randn([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    let classes = Tensor::from_slice(&[0i64, 9]);
    let v = model.forward_t(&x, &Tensor::from_slice(&[0.1f32, 0.9]), Some(&classes), false);
    assert_eq!(v.abs().max().double_value(&[]), 0.0);
    // torch.nn.Conv2d: uniform on +-1/sqrt(fan in), so a standard deviation of that over sqrt(3).
    for (name, fan_in) in
        [("input_blocks.1.0.in_layers.2.weight", 576.0), ("time_embed.2.weight", 256.0), ("time_embed.2.bias", 256.0)]
    {
        let w = &store.variables()[name];
        let bound = 1.0 / f64::sqrt(fan_in);
        assert!(w.abs().max().double_value(&[]) <= bound);
        let spread = &store.variables()["label_emb.weight"].std(true).double_value(&[]);
        assert!((spread - 1.0).abs() < 0.02, "torch.nn.Embedding is standard normal, this is {spread}");
        let deviation = w.std(true).double_value(&[]) / (bound / f64::sqrt(3.0));
        assert!((deviation - 1.0).abs() < 0.1, "{name}: {deviation}");
    }
}

#[test]
fn rectangles_pass_and_impossible_sizes_name_the_remedy() {
    let small = UNetConfig {
        channels: 32,
        channel_mult: vec![1.0, 1.0],
        res_blocks: 1,
        head_channels: 32,
        ..UNetConfig::default()
    };
    let (_, model) = build(&ModelConfig::Unet(UNetConfig { image_size: [4, 6], ..small }));
    let x = Tensor::zeros([1, 3, 4, 6], (Kind::Float, Device::Cpu));
    assert_eq!(model.forward_t(&x, &Tensor::from_slice(&[0.5f32]), None, false).size(), [1, 3, 4, 6]);
    let default = UNetConfig::default;
    for (config, says) in [
        (UNetConfig { channels: 20, ..default() }, "multiple of 32"),
        (UNetConfig { image_size: [32, 20], ..default() }, "fewer stages"),
        (UNetConfig { dropout: 1.0, ..default() }, "[0, 1)"),
        (UNetConfig { channel_mult: vec![], ..default() }, "between 1 and 8"),
        (UNetConfig { channel_mult: vec![f64::MAX; 2], ..default() }, "multiples above 0 and up to 64"),
        (UNetConfig { head_channels: 48, ..default() }, "head_channels 48"),
        (UNetConfig { head_channels: 0, heads: 0, ..default() }, "heads or head_channels above 0"),
        (UNetConfig { head_channels: 0, heads: 3, ..default() }, "heads 3"),
        (UNetConfig { res_blocks: 1 << 40, ..default() }, "and at most 64"),
        (UNetConfig { classes: i64::MAX, ..default() }, "classes from 0"),
    ] {
        let error = ModelConfig::Unet(config).parameters().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
