//! Networks of other sizes, fractional widths and the training guide's networks, against diffusers
//! and torchcfm: `python3 crates/fm-models/tests/reference/variants.py` makes the reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, compare, reference_model, relative, tensor, values};
use fm_core::tensor::VelocityModel;
use fm_models::resize::resized;
use fm_models::unet::UNetConfig;
use fm_models::{ModelConfig, interchange, mlp::MlpConfig};
use serde_json::{Value, json};
use tch::{Device, Tensor, nn};

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/variants.json")).unwrap()
}

#[test]
fn outputs_and_gradients_equal_diffusers_and_torchcfm() {
    let reference = reference();
    let cases = reference.as_object().unwrap();
    assert_eq!(cases.len(), 5);
    for (name, case) in cases {
        compare(name, case, None, 1e-5);
    }
}

/// The output of a network on the recorded inputs of the last call of a case.
fn last_call(model: &dyn VelocityModel, case: &Value) -> (Vec<f64>, Vec<f64>) {
    let call = case["calls"].as_array().unwrap().last().unwrap();
    let t: Vec<f32> = common::numbers(&call["t"]).iter().map(|t| *t as f32).collect();
    let shape = [&[t.len() as i64], common::integers(&case["shape"]).as_slice()].concat();
    let x = tensor(&format!("x{}", t.len()), &shape, 1.7, 0.0);
    let classes = call["classes"].is_array().then(|| Tensor::from_slice(&common::integers(&call["classes"])));
    let v = model.forward(&x, &Tensor::from_slice(&t), classes.as_ref());
    (values(&v), common::numbers(&call["output"]))
}

#[test]
fn a_network_of_squares_is_at_rectangles_what_the_references_are() {
    for name in ["dit-8x12", "unet-8x12"] {
        let mut case = reference()[name].clone();
        case["config"]["image_size"] = json!([8, 8]);
        let (config, store, square) = reference_model(None, &case);
        assert_eq!(square.row_shape(), Some(vec![3, 8, 8]));
        let wide = resized(&config, &store, [8, 12]).unwrap();
        assert_eq!((wide.model.row_shape(), wide.config.data_shape()), (Some(vec![3, 8, 12]), vec![3, 8, 12]));
        let (got, want) = last_call(wide.model.as_ref(), &case);
        assert!(relative(&got, &want) < 1e-5, "{name}: {}", relative(&got, &want));
        // There and back is the first network, and each store is its own.
        let back = resized(&wide.config, &wide.store, [8, 8]).unwrap();
        assert_eq!(back.config, config);
        for (name, weight) in store.variables() {
            assert!(back.store.variables()[&name].equal(&weight), "{name}");
            assert!(back.store.variables()[&name].data_ptr() != weight.data_ptr(), "{name}");
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_errors_with_the_divisor() {
    for (name, size, says) in [
        ("dit-8x12", [8, 13], "images of 8 x 13 are not divisible by 2; give a height and a width that are"),
        ("unet-8x12", [7, 8], "images of 7 x 8 are not divisible by 2"),
        ("unet-8x12", [0, 8], "sides of 1 to 65536"),
        ("dit-8x12", [-2, 8], "sizes above 0"),
        ("dit-8x12", [1 << 40, 8], "below 65536"),
    ] {
        let (config, store, _) = reference_model(None, &reference()[name]);
        let error = resized(&config, &store, size).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let points = ModelConfig::Mlp(MlpConfig::default());
    let (store, _) = build(&points);
    assert!(resized(&points, &store, [8, 8]).unwrap_err().to_string().contains("network for points"));
    let (config, _, _) = reference_model(None, &reference()["dit-8x12"]);
    let other = resized(&config, &store, [8, 8]).unwrap_err().to_string();
    assert!(other.contains("no fitting") && other.contains("give the store"), "{other}");
}

#[test]
fn the_settings_of_these_networks_are_recognised_and_written_as_before() {
    for (name, keys) in [
        ("unet-half", vec!["channel_mult", "channels"]),
        ("unet-guide", vec!["middle_attention", "out_kernel"]),
        ("dit-guide", vec!["affine_norm"]),
    ] {
        let (config, store, _) = reference_model(None, &reference()[name]);
        let tensors = interchange::named(&store);
        let weights =
            interchange::Weights { tensors, part: String::new(), about: None, modules: Vec::new(), unread: None };
        let found = serde_json::to_value(interchange::recognise(&weights).unwrap().config).unwrap();
        let config = serde_json::to_value(config).unwrap();
        for key in keys {
            assert!(found.get(key).is_some() && found[key] == config[key], "{name}: {key} is {}", found[key]);
        }
    }
    // Whole multiples stay integers, and a file of an earlier version lacks the later settings.
    let text = serde_json::to_string(&ModelConfig::Unet(UNetConfig::default())).unwrap();
    assert!(text.contains("\"channel_mult\":[1,2,2,2]"), "{text}");
    let before = text.replace("\"middle_attention\":true,\"out_kernel\":3,", "");
    assert!(before.len() < text.len() && !before.contains("out_kernel"));
    assert_eq!(serde_json::from_str::<ModelConfig>(&before).unwrap(), ModelConfig::Unet(UNetConfig::default()));
    let half = UNetConfig { channels: 64, channel_mult: vec![0.5, 1.0], ..UNetConfig::default() };
    let text = serde_json::to_string(&half).unwrap();
    assert!(text.contains("\"channel_mult\":[0.5,1]"), "{text}");
    assert_eq!(serde_json::from_str::<UNetConfig>(&text).unwrap(), half);
}

/// torchcfm's own table of width multiples at 512 pixels, which starts with a half.
#[test]
fn the_published_multiples_at_512_pixels_build() {
    let channel_mult = vec![0.5, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0];
    let config =
        UNetConfig { image_size: [512, 512], channels: 64, channel_mult, res_blocks: 1, ..UNetConfig::default() };
    let config = ModelConfig::Unet(UNetConfig { attention_at: vec![], head_channels: 32, ..config });
    let store = nn::VarStore::new(Device::Cpu);
    config.build(&store.root()).unwrap();
    assert_eq!(config.parameters().unwrap() as usize, fm_models::parameter_count(&store));
    assert_eq!(store.variables()["input_blocks.0.0.weight"].size(), [32, 3, 3, 3]);
}
