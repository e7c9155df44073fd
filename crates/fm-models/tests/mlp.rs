//! Fully connected networks against torchcfm's MLP, torch.nn's layers and equinox's: `python3 crates/fm-models/tests/reference/mlp.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, compare, relative, values};
use fm_models::{ModelConfig, concat_squash::ConcatSquashConfig, mlp::MlpConfig};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

#[test]
fn outputs_and_gradients_equal_torchs_and_equinoxes() {
    let reference: Value = serde_json::from_str(include_str!("reference/mlp.json")).unwrap();
    let cases = reference.as_object().unwrap();
    assert_eq!(cases.len(), 4);
    for (name, case) in cases {
        compare(name, case, None, 1e-5);
    }
}

#[test]
fn no_class_means_the_null_class() {
    let config = ConcatSquashConfig { classes: 3, null_class: true, ..ConcatSquashConfig::default() };
    let (_store, model) = build(&ModelConfig::ConcatSquash(config));
    let (x, t) = (Tensor::ones([2, 2], (Kind::Float, Device::Cpu)), Tensor::from_slice(&[0.3f32]));
    let v = |classes: Option<&[i64]>| values(&model.forward_t(&x, &t, classes.map(Tensor::from_slice).as_ref(), false));
    assert!(relative(&v(None), &v(Some(&[3, 3]))) < 1e-6);
    assert!(relative(&v(None), &v(Some(&[3, 1]))) > 1e-3);
}

#[test]
fn impossible_sizes_name_the_remedy() {
    for (config, says) in [
        (ModelConfig::Mlp(MlpConfig { widths: vec![], ..MlpConfig::default() }), "sizes from 1 to 2^20"),
        (ModelConfig::Mlp(MlpConfig { dim: 0, ..MlpConfig::default() }), "dim 0"),
        (
            ModelConfig::ConcatSquash(ConcatSquashConfig { widths: vec![3, -1], ..ConcatSquashConfig::default() }),
            "[3, -1]",
        ),
        (ModelConfig::ConcatSquash(ConcatSquashConfig { classes: -1, ..ConcatSquashConfig::default() }), "classes -1"),
    ] {
        let error = config.parameters().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
