//! Fully connected networks against torchcfm's MLP, torch.nn's layers and equinox's:
//! `python3 crates/fm-models/tests/reference/mlp.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, compare, relative, values};
use fm_core::choice::Choice;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::tape::Tape;
use fm_models::layers::Activation;
use fm_models::timed_layer::LayerKind;
use fm_models::{ModelConfig, concat_squash::ConcatSquashConfig, mlp::MlpConfig};
use serde_json::Value;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor, nn};

#[test]
fn outputs_and_gradients_equal_torchs_and_equinoxes() {
    let reference: Value = serde_json::from_str(include_str!("reference/mlp.json")).unwrap();
    let cases = reference.as_object().unwrap();
    assert_eq!(cases.len(), 4);
    for (name, case) in cases {
        compare(name, case, None, 1e-5);
    }
}

/// Each layer of the family, activations, polynomial features and networks without hidden layers:
/// `python3 crates/fm-models/tests/reference/timed_layers.py`.
#[test]
fn the_layers_of_ffjord_equal_their_formulas_in_torch() {
    let reference: Value = serde_json::from_str(include_str!("reference/timed_layers.json")).unwrap();
    let cases = reference.as_object().unwrap();
    assert!(LayerKind::TABLE.iter().all(|entry| cases.contains_key(entry.name())));
    assert!(Activation::TABLE.iter().all(|entry| cases.contains_key(&format!("activation-{}", entry.name()))));
    for (name, case) in cases {
        compare(name, case, None, 1e-5);
        // Settings survive a file.
        let config: ModelConfig = serde_json::from_value(case["config"].clone()).unwrap();
        let again: ModelConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
}

/// In training the networks go through code of ours; libtorch's graph has to agree, in double
/// precision for outputs, whatever the number of rows and widths.
#[test]
fn a_training_pass_equals_libtorchs() {
    let mlp = |dim, widths: &[i64], activation| {
        ModelConfig::Mlp(MlpConfig { dim, widths: widths.into(), activation, ..MlpConfig::default() })
    };
    let squash = |dim, widths: &[i64]| {
        ModelConfig::ConcatSquash(ConcatSquashConfig { dim, widths: widths.into(), ..ConcatSquashConfig::default() })
    };
    let networks = [
        mlp(2, &[64; 3], Activation::Gelu),
        mlp(3, &[7, 40], Activation::Selu),
        mlp(20, &[5], Activation::Gelu),
        squash(4, &[64; 3]),
        squash(1, &[9, 33]),
        squash(12, &[130]),
    ];
    for (config, rows) in networks.iter().flat_map(|c| [1, 300].map(|rows| (c, rows))) {
        let (store, model) = build(config);
        let weights: BTreeMap<_, _> = store.variables().into_iter().collect();
        for (k, (_, weight)) in weights.iter().enumerate() {
            let value = normal_rows(Key::new(3, k as u64, Stream::Init), 1, weight.numel());
            tch::no_grad(|| weight.shallow_clone().copy_(&(Tensor::from_slice(&value).reshape(weight.size()) * 0.5)));
        }
        let dim = config.data_shape()[0];
        let draw = |step, n| Tensor::from_slice(&normal_rows(Key::new(5, step, Stream::Data), rows, n));
        let (x, t) = (draw(0, dim as usize).view([-1, dim]), draw(1, 1).sigmoid());
        let pass = |ours: bool| {
            let mut tape = Tape::off();
            let y =
                if ours { model.forward_taped(&mut tape, &x, &t, None) } else { model.forward_t(&x, &t, None, true) };
            tape.backward(&y.square().mean(Kind::Float)).unwrap();
            let gradient = |w: &Tensor| {
                let g = values(&w.grad());
                let _ = w.grad().zero_();
                g
            };
            (values(&y), weights.values().map(gradient).collect::<Vec<_>>())
        };
        let theirs = pass(false);
        let exact = {
            let (mut doubled, model) = build(config);
            let place = doubled.variables();
            tch::no_grad(|| place.iter().for_each(|(name, w)| w.shallow_clone().copy_(&weights[name])));
            doubled.double();
            values(&model.forward_t(&x.to_kind(Kind::Double), &t.to_kind(Kind::Double), None, true))
        };
        // The second time gradients are there to be added to, as in a training loop.
        for _ in 0..2 {
            let ours = pass(true);
            let off = relative(&ours.0, &exact);
            assert!(off < 2e-6, "{config:?}, {rows} rows: outputs {off}");
            for ((name, a), b) in weights.keys().zip(&ours.1).zip(&theirs.1) {
                assert!(relative(a, b) < 2e-5, "{config:?}, {rows} rows: {name} {}", relative(a, b));
            }
        }
    }
}

/// Blocks and sums do not depend on who computes them.
#[test]
fn a_training_pass_is_the_same_with_any_number_of_threads() {
    let (store, model) = build(&ModelConfig::Mlp(MlpConfig::default()));
    let (x, t) = (
        Tensor::ones([1000, 2], (Kind::Float, Device::Cpu)).cumsum(0, Kind::Float) / 700.0,
        Tensor::zeros([1000], (Kind::Float, Device::Cpu)),
    );
    let before = tch::get_num_threads();
    let passes = [1, 2, 5].map(|threads| {
        tch::set_num_threads(threads);
        let mut tape = Tape::off();
        let y = model.forward_taped(&mut tape, &x, &t, None);
        tape.backward(&y.square().mean(Kind::Float)).unwrap();
        let mut all = values(&y);
        for (_, w) in BTreeMap::from_iter(store.variables()) {
            all.extend(values(&w.grad()));
            let _ = w.grad().zero_();
        }
        all
    });
    tch::set_num_threads(before);
    assert!(passes[0] == passes[1] && passes[0] == passes[2]);
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
        (ModelConfig::Mlp(MlpConfig { widths: vec![8; 1025], ..MlpConfig::default() }), "sizes from 1 to 2^20"),
        (
            ModelConfig::ConcatSquash(ConcatSquashConfig { degree: 9, dim: 90, ..ConcatSquashConfig::default() }),
            "degree 9 of 90 values",
        ),
        (
            ModelConfig::ConcatSquash(ConcatSquashConfig {
                layer: LayerKind::Gate,
                classes: 2,
                ..ConcatSquashConfig::default()
            }),
            "layer gate does not take conditions",
        ),
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

/// A class adds its column of the first matrix to the first bias; no condition is the null class,
/// or no column at all.
#[test]
fn an_mlp_is_told_classes_one_hot() {
    for null_class in [false, true] {
        let store = nn::VarStore::new(Device::Cpu);
        let config = MlpConfig { dim: 2, widths: vec![5], classes: 3, null_class, ..MlpConfig::default() };
        let told = ModelConfig::Mlp(config.clone()).build(&store.root()).unwrap();
        let plain_store = nn::VarStore::new(Device::Cpu);
        let plain = ModelConfig::Mlp(MlpConfig { classes: 0, null_class: false, ..config });
        assert_eq!(
            ModelConfig::Mlp(MlpConfig { dim: 2, widths: vec![5], classes: 3, null_class, ..MlpConfig::default() })
                .parameters()
                .unwrap(),
            fm_models::parameter_count(&store) as i64
        );
        let plain = plain.build(&plain_store.root()).unwrap();
        let (from, to) = (store.variables(), plain_store.variables());
        let (x, t) = (Tensor::from_slice2(&[[0.3f32, -1.0], [2.0, 0.5]]), Tensor::from_slice(&[0.2f32, 0.7]));
        for class in [Some(0), Some(2), None] {
            tch::no_grad(|| {
                for name in ["net.2.weight", "net.2.bias"] {
                    to[name].shallow_clone().copy_(&from[name]);
                }
                let matrix = &from["net.0.weight"];
                to["net.0.weight"].shallow_clone().copy_(&matrix.narrow(1, 0, 3));
                let column = class.or(null_class.then_some(3));
                let bias =
                    column.map_or_else(|| from["net.0.bias"].copy(), |k| &from["net.0.bias"] + matrix.select(1, 3 + k));
                to["net.0.bias"].shallow_clone().copy_(&bias);
            });
            let classes = class.map(|k: i64| Tensor::from_slice(&[k, k]));
            let off =
                (told.forward_t(&x, &t, classes.as_ref(), false) - plain.forward_t(&x, &t, None, false)).abs().max();
            assert!(off.double_value(&[]) < 1e-6, "{class:?}, null class {null_class}");
        }
    }
}
