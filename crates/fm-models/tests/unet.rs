//! The U-Net against torchcfm's: `python3 crates/fm-models/tests/unet.py` makes the reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{assert_close, field, numbers, reference_model, sine_input};
use fm_models::{ModelConfig, parameter_count, unet::UNetConfig};
use serde_json::Value;
use tch::{Device, Kind, Tensor, nn};

fn config(case: &Value) -> UNetConfig {
    let list = |key: &str| field(case, key).as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
    let number = |key: &str| field(case, key).as_i64().unwrap();
    UNetConfig {
        image_channels: number("image_channels"),
        image_size: number("image_size"),
        channels: number("channels"),
        channel_mult: list("channel_mult"),
        res_blocks: number("res_blocks"),
        attention_at: list("attention_at"),
        head_channels: number("head_channels"),
        classes: number("classes"),
        ..UNetConfig::default()
    }
}

#[test]
fn outputs_and_gradients_equal_torchcfms() {
    let reference: Value = serde_json::from_str(include_str!("unet.json")).unwrap();
    for case in reference.as_array().unwrap() {
        let config = config(&case["config"]);
        let (store, model) = reference_model(ModelConfig::Unet(config.clone()), &case["parameters"]);
        let variables = store.variables();
        let x = sine_input(&[2, config.image_channels, config.image_size, config.image_size]);
        let classes = (config.classes > 0).then(|| Tensor::from_slice(&[1i64, 4]));
        let out = model.forward_t(&x, &Tensor::from_slice(&[0.15f32, 0.8]), classes.as_ref(), false);
        assert_close(&out, &numbers(&case["output"]), 1e-5, "output");

        let weights =
            (Tensor::arange(out.numel() as i64, (Kind::Double, Device::Cpu)) * 0.11).cos().to_kind(Kind::Float);
        (&out * weights.view_as(&out)).sum(Kind::Float).backward();
        let norms = case["gradient_norms"].as_object().unwrap();
        // A bias before a normalisation of its own channel has gradient 0, so rounding is measured against the largest.
        let largest = norms.values().map(|n| n.as_f64().unwrap()).fold(0.0, f64::max);
        for (name, norm) in norms {
            let got = variables[name].grad().to_kind(Kind::Double).norm().double_value(&[]);
            let want = norm.as_f64().unwrap();
            assert!((got - want).abs() <= 1e-4 * want + 1e-7 * largest, "gradient of {name}: {got} against {want}");
        }
    }
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let count = |config: UNetConfig| {
        let store = nn::VarStore::new(Device::Cpu);
        ModelConfig::Unet(config).build(&store.root()).unwrap();
        (store.len(), parameter_count(&store))
    };
    let cifar = UNetConfig::default();
    assert_eq!(count(cifar.clone()), (304, 35_746_307));
    assert_eq!(count(UNetConfig { classes: 10, ..cifar.clone() }).1, 35_751_427);
    assert_eq!(count(UNetConfig { classes: 10, null_class: true, ..cifar.clone() }).1, 35_751_939);
    let mnist = UNetConfig {
        image_channels: 1,
        image_size: 28,
        channels: 32,
        channel_mult: vec![1, 2, 2],
        res_blocks: 1,
        attention_at: vec![1],
        head_channels: 32,
        ..cifar
    };
    // One head at every width: 32 channels a head needs 64 at the wider stages, so the count alone is compared.
    assert_eq!(count(mnist).1, 1_075_361);
}

#[test]
fn a_fresh_network_predicts_zero_and_starts_as_pytorch_does() {
    tch::manual_seed(1);
    let store = nn::VarStore::new(Device::Cpu);
    let config = UNetConfig { channels: 64, ..UNetConfig::default() };
    let model = ModelConfig::Unet(config).build(&store.root()).unwrap();
    let x = Tensor::randn([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    let v = model.forward_t(&x, &Tensor::from_slice(&[0.1f32, 0.9]), None, false);
    assert_eq!(v.abs().max().double_value(&[]), 0.0);
    // torch.nn.Conv2d: uniform on +-1/sqrt(fan in), so a standard deviation of that over sqrt(3).
    for (name, fan_in) in
        [("input_blocks.1.0.in_layers.2.weight", 576.0), ("time_embed.2.weight", 256.0), ("time_embed.2.bias", 256.0)]
    {
        let w = &store.variables()[name];
        let bound = 1.0 / f64::sqrt(fan_in);
        assert!(w.abs().max().double_value(&[]) <= bound);
        let deviation = w.std(true).double_value(&[]) / (bound / f64::sqrt(3.0));
        assert!((deviation - 1.0).abs() < 0.1, "{name}: {deviation}");
    }
}

#[test]
fn impossible_sizes_name_the_remedy() {
    let text = |config: UNetConfig| {
        let store = nn::VarStore::new(Device::Cpu);
        ModelConfig::Unet(config).build(&store.root()).unwrap_err().to_string()
    };
    assert!(text(UNetConfig { channels: 20, ..UNetConfig::default() }).contains("multiple of 32"));
    assert!(text(UNetConfig { image_size: 20, ..UNetConfig::default() }).contains("fewer stages"));
    assert!(text(UNetConfig { dropout: 1.0, ..UNetConfig::default() }).contains("[0, 1)"));
    assert!(text(UNetConfig { channel_mult: vec![], ..UNetConfig::default() }).contains("between 1 and 8"));
    assert!(text(UNetConfig { head_channels: 48, ..UNetConfig::default() }).contains("head_channels 48"));
}
