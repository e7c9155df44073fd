//! Weights of reversed time against the formula v(x, t) = -u(x, 1 - t).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, relative, tensor, values, weight};
use fm_core::prediction::Prediction;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::embedding::TimeEmbedding;
use fm_models::reverse::reverse_time;
use fm_models::sequence::SequenceConfig;
use fm_models::{ModelConfig, interchange, mlp::MlpConfig};
use serde_json::{Value, json};
use tch::Tensor;

/// The largest relative error of v(x, t) = sign u(x, 1 - t) over several times.
fn error(config: &ModelConfig, prediction: Prediction, sign: f64) -> f64 {
    let ((store, u), (reversed, v)) = (build(config), build(config));
    tch::no_grad(|| {
        for (name, mut variable) in store.variables() {
            if name != "pos_embed" {
                let value = weight(&name, &variable.size());
                variable.copy_(&value);
            }
        }
    });
    let once = reverse_time(config, &interchange::named(&store), prediction).unwrap();
    interchange::load(&reversed, config.kind(), &once).unwrap();
    let x = tensor("x", &[&[3], config.data_shape().as_slice()].concat(), 1.3, 0.0);
    let classes = (config.classes() > 0).then(|| Tensor::from_slice(&[0i64, 1, 0]));
    let at = |model: &dyn fm_core::tensor::VelocityModel, t: f32| {
        values(&model.forward(&x, &Tensor::from_slice(&[t; 3]), classes.as_ref()))
    };
    let twice = reverse_time(config, &once, prediction).unwrap();
    for (name, original) in interchange::named(&store) {
        let off = relative(&values(&twice[&name]), &values(&original));
        assert!(off < 1e-5, "{name} reversed twice is off by {off}");
    }
    let off = |t: f32| {
        let wanted: Vec<f64> = at(u.as_ref(), 1.0 - t).iter().map(|v| sign * v).collect();
        assert!(relative(&at(u.as_ref(), t), &at(u.as_ref(), 1.0 - t)) > 1e-3 || (t - 0.5).abs() < 1e-3);
        relative(&at(v.as_ref(), t), &wanted)
    };
    [0.0, 0.125, 0.25, 0.7, 1.0].into_iter().map(off).fold(0.0, f64::max)
}

fn image_network(more: Value) -> ModelConfig {
    let mut config = json!({"kind": "unet", "image_size": [8, 8], "channels": 32, "channel_mult": [1, 2], "res_blocks": 1,
        "attention_at": [2], "head_channels": 32, "dropout": 0.0, "classes": 2, "null_class": true});
    if more["kind"] == "dit" {
        config = json!({"image_size": [8, 8], "width": 32, "depth": 2, "heads": 2, "classes": 2, "null_class": true});
    }
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

#[test]
fn every_network_with_reversed_weights_is_the_formula() {
    for (more, tolerance) in [
        (json!({"time": {"scale": 1.0}}), 1e-5),
        // At scale 1000, f32 times have an error of 1000 * 2^-24 in the angle.
        (json!({"time": {"scale": 1000.0}}), 2e-3),
        (
            json!({"time": {"scale": 7.0, "order": "sin-cos", "divisor": "half-minus-one"}, "time_activation": "gelu"}),
            1e-5,
        ),
        (json!({"kind": "dit", "time": {"scale": 1.0}}), 1e-5),
        (json!({"kind": "dit", "time": {"scale": 20.0}, "learn_sigma": true, "affine_norm": true}), 1e-4),
        (json!({"kind": "dit", "time": {"scale": 8.0, "integer": true}}), 1e-4),
    ] {
        let config = image_network(more.clone());
        let found = error(&config, Prediction::Velocity, -1.0);
        assert!(found < tolerance, "{more}: {found}");
    }
    let small = SequenceConfig { length: 4, channels: 2, width: 16, depth: 1, heads: 2, ..SequenceConfig::default() };
    let sequence = ModelConfig::Sequence(SequenceConfig { time: TimeEmbedding::raw(), ..small });
    let found = error(&sequence, Prediction::Velocity, -1.0);
    assert!(found < 1e-5, "sequence: {found}");
    let mlp = ModelConfig::Mlp(MlpConfig { dim: 3, classes: 2, ..MlpConfig::default() });
    assert!(error(&mlp, Prediction::Velocity, -1.0) < 1e-5);
    // Predictions of points and noise have no direction.
    assert!(error(&mlp, Prediction::Data, 1.0) < 1e-5);
}

#[test]
fn weights_that_cannot_be_reversed_name_the_reason() {
    let refused = |config: &ModelConfig| {
        let (store, _) = build(config);
        reverse_time(config, &interchange::named(&store), Prediction::Velocity).unwrap_err().to_string()
    };
    let squash = refused(&ModelConfig::ConcatSquash(ConcatSquashConfig::default()));
    assert!(squash.contains("layers without a bias"), "{squash}");
    let rounded = refused(&image_network(json!({"kind": "dit", "time": {"scale": 999.5, "integer": true}})));
    assert!(rounded.contains("integer time.scale"), "{rounded}");
    let config = image_network(json!({}));
    let other = reverse_time(&config, &Default::default(), Prediction::Velocity).unwrap_err().to_string();
    assert!(other.contains("no fitting time_embed.0.weight"), "{other}");
}
