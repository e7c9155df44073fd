//! Networks that predict a velocity and a scaled score.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::tape::Tape;
use fm_models::concat_squash::ConcatSquashConfig;
use fm_models::dit::DitConfig;
use fm_models::interchange::{self, About};
use fm_models::mlp::MlpConfig;
use fm_models::reverse::reverse_time;
use fm_models::sequence::SequenceConfig;
use fm_models::unet::UNetConfig;
use fm_models::{ModelConfig, parameter_count};
use std::collections::BTreeMap;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

fn networks() -> Vec<ModelConfig> {
    let image_size = [8, 8];
    let unet = UNetConfig {
        image_size,
        channels: 32,
        channel_mult: vec![1.0, 2.0],
        res_blocks: 1,
        dropout: 0.0,
        head_channels: 32,
        ..UNetConfig::default()
    };
    vec![
        MlpConfig { dim: 3, widths: vec![8, 6], ..MlpConfig::default() }.into(),
        MlpConfig { dim: 3, widths: vec![8], classes: 2, null_class: true, ..MlpConfig::default() }.into(),
        ConcatSquashConfig { dim: 3, widths: vec![8], ..ConcatSquashConfig::default() }.into(),
        unet.into(),
        DitConfig { image_size, width: 32, depth: 2, heads: 2, ..DitConfig::default() }.into(),
    ]
}

/// The network with normal weights, so that no output is zero.
fn build(config: &ModelConfig) -> (VarStore, Box<dyn fm_models::VelocityModel>) {
    let store = VarStore::new(Device::Cpu);
    let model = config.build(&store.root()).unwrap();
    let ordered: BTreeMap<_, _> = store.variables().into_iter().collect();
    tch::no_grad(|| {
        for (i, (_, mut variable)) in ordered.into_iter().enumerate() {
            let count = variable.numel() as i64;
            let wave = (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 1.7 + i as f64).sin() * 0.2;
            variable.copy_(&wave.view(variable.size().as_slice()));
        }
    });
    (store, model)
}

#[test]
fn the_output_has_two_halves_of_which_the_first_is_the_prediction() {
    for plain in networks() {
        let config = plain.clone().with_score(true).unwrap();
        let (store, model) = build(&config);
        assert_eq!(config.parameters().unwrap(), parameter_count(&store) as i64, "{}", config.kind());
        assert!(config.parameters().unwrap() > plain.parameters().unwrap() && config.has_score());
        let shape = [&[4], config.data_shape().as_slice()].concat();
        let count: i64 = shape.iter().product();
        let x = Tensor::arange(count, (Kind::Float, Device::Cpu)).cos().view(shape.as_slice());
        let t = Tensor::from_slice(&[0.1f32, 0.4, 0.6, 0.9]);
        let [v, h] = model.velocity_and_score(&x, &t, None, false).unwrap();
        assert_eq!((v.size(), h.size()), (shape.clone(), shape.clone()), "{}", config.kind());
        assert!((&v - &h).abs().max().double_value(&[]) > 1e-3, "{}", config.kind());
        assert!(model.forward(&x, &t, None).equal(&v), "{}", config.kind());
        assert_eq!(model.row_shape(), Some(config.data_shape()));
        let [tv, th] = model.velocity_and_score_taped(&mut Tape::off(), &x, &t, None).unwrap();
        for (a, b) in [(&tv, &v), (&th, &h)] {
            let off = (a - b).abs().max().double_value(&[]);
            assert!(off < 1e-5, "{}: {off}", config.kind());
        }
        let (_store, without) = build(&plain);
        assert!(without.velocity_and_score(&x, &t, None, false).is_none() && !without.has_score());
    }
}

#[test]
fn files_name_the_score_and_older_ones_have_none() {
    for plain in networks() {
        let text = serde_json::to_string(&plain).unwrap();
        assert!(!text.contains("score"), "{text}");
        let config = plain.with_score(true).unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
        let (store, _model) = build(&config);
        let about = About { model: Some(config.clone()), prediction: "velocity+score".into(), ..About::default() };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("net.safetensors");
        std::fs::write(&file, interchange::safetensors(&interchange::named(&store), &about).unwrap()).unwrap();
        let found = interchange::recognise(&interchange::read(&file, None).unwrap()).unwrap();
        assert_eq!(found.config, config);
    }
}

#[test]
fn networks_that_cannot_have_a_score_say_so() {
    let refused = |config: ModelConfig| config.with_score(true).unwrap_err().to_string();
    assert!(refused(SequenceConfig::default().into()).contains("no second output"));
    assert!(ModelConfig::from(SequenceConfig::default()).with_score(false).is_ok());
    for config in networks() {
        let both = config.with_intervals(true).with_score(true).unwrap();
        let error = both.build(&VarStore::new(Device::Cpu).root()).unwrap_err().to_string();
        assert!(error.contains("a score beside an interval"), "{error}");
    }
    let dit = DitConfig { learn_sigma: true, score: true, ..DitConfig::default() };
    assert!(ModelConfig::from(dit).parameters().is_err());
    let config = networks().remove(0).with_score(true).unwrap();
    let (store, _model) = build(&config);
    let error = reverse_time(&config, &interchange::named(&store), "velocity".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("a velocity and a score"), "{error}");
}
