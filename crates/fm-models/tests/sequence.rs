//! The sequence transformer against diffusers' blocks:
//! `python3 crates/fm-models/tests/reference/sequence.py` makes the reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{compare, numbers, reference_model, relative, tensor, values};
use fm_models::{ModelConfig, sequence::SequenceConfig};
use serde_json::Value;
use tch::Tensor;

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/sequence.json")).unwrap()
}

#[test]
fn outputs_and_gradients_equal_diffusers() {
    let reference = reference();
    for name in ["plain", "classes"] {
        compare(name, &reference[name], Some("sequence"), 1e-5);
    }
}

#[test]
fn condition_vectors_take_the_place_of_the_class() {
    let reference = reference();
    let case = &reference["vectors"];
    let (_, _store, model) = reference_model(Some("sequence"), case);
    for call in case["calls"].as_array().unwrap() {
        let t: Vec<f32> = numbers(&call["t"]).iter().map(|t| *t as f32).collect();
        let rows = t.len() as i64;
        let sign = Tensor::from_slice(&[1f32, -1.0, 1.0, -1.0]);
        let given = (Tensor::arange(rows, (tch::Kind::Float, tch::Device::Cpu)) + 1.0).unsqueeze(1) / 4.0 * sign;
        let x = tensor(&format!("x{rows}"), &[rows, 5, 3], 1.7, 0.0);
        let v = |x: &Tensor, c: Option<&Tensor>| values(&model.forward_t(x, &Tensor::from_slice(&t), c, false));
        let off = relative(&v(&x, Some(&given)), &numbers(&call["output"]));
        assert!(off < 1e-5, "off by {off}");
        // The same rows place by place, in one vector; and no condition is a vector of zeros.
        assert_eq!(v(&x.reshape([rows, 15]), Some(&given)), v(&x, Some(&given)));
        assert_eq!(v(&x, None), v(&x, Some(&given.zeros_like())));
        assert!(relative(&v(&x, None), &v(&x, Some(&given))) > 1e-3);
    }
}

/// Positions depend on the place alone, so a longer network with the same weights gives the same.
#[test]
fn other_lengths_are_those_of_a_network_of_that_length() {
    let reference = reference();
    let case = &reference["plain"];
    let (config, store, model) = reference_model(Some("sequence"), case);
    let ModelConfig::Sequence(config) = config else { panic!("another network") };
    let longer = ModelConfig::Sequence(SequenceConfig { length: 10, ..config });
    let (other, built) = common::build(&longer);
    let weights = store.variables();
    tch::no_grad(|| other.variables().iter_mut().for_each(|(name, own)| own.copy_(&weights[name])));
    let (x, t) = (tensor("x", &[2, 10, 2], 1.0, 0.0), Tensor::from_slice(&[0.2f32, 0.9]));
    assert!(relative(&values(&model.forward(&x, &t, None)), &values(&built.forward(&x, &t, None))) < 1e-6);
    assert!(model.takes(&[10, 2]) && model.takes(&[14]) && !model.takes(&[20]) && !model.takes(&[7, 3]));
}

#[test]
fn settings_that_cannot_be_built_name_the_remedy() {
    let base = SequenceConfig::default;
    for (config, says) in [
        (SequenceConfig { width: 130, heads: 4, ..base() }, "multiple of the heads"),
        (SequenceConfig { length: 0, ..base() }, "give sizes from 1"),
        (SequenceConfig { classes: 3, condition_dim: 2, ..base() }, "or classes"),
    ] {
        let error = ModelConfig::Sequence(config).parameters().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
