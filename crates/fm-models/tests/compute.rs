//! Ways to compute the same: activations kept or computed again, channels last, half precision. All
//! give the same gradients within their precision.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, loss, relative, tensor, uniform, values, weight};
use fm_core::tape::Tape;
use fm_core::tensor::VelocityModel;
use fm_models::ModelConfig;
use fm_models::dit::DitConfig;
use fm_models::unet::UNetConfig;
use std::sync::Mutex;
use tch::{Kind, Tensor, nn};

/// libtorch has one generator for all threads, and a tape seeds it.
static GENERATOR: Mutex<()> = Mutex::new(());

fn unet(dropout: f64) -> UNetConfig {
    let small = UNetConfig {
        image_size: [8, 8],
        channels: 32,
        channel_mult: vec![1.0, 2.0],
        res_blocks: 1,
        ..UNetConfig::default()
    };
    UNetConfig { head_channels: 16, classes: 5, null_class: true, dropout, ..small }
}

fn dit() -> DitConfig {
    DitConfig {
        image_size: [8, 8],
        width: 64,
        depth: 3,
        heads: 4,
        classes: 5,
        null_class: true,
        ..DitConfig::default()
    }
}

/// The same weights whatever the configuration computes like.
fn filled(config: ModelConfig, kind: Kind) -> (nn::VarStore, Box<dyn VelocityModel>) {
    let (mut store, model) = build(&config);
    for (name, mut variable) in store.variables() {
        if variable.requires_grad() {
            tch::no_grad(|| variable.copy_(&weight(&name, &variable.size())));
        }
    }
    store.set_kind(kind);
    (store, model)
}

/// Loss and flat gradient.
fn gradient(store: &nn::VarStore, model: &dyn VelocityModel, seed: Option<i64>) -> (f64, Vec<f64>) {
    store.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
    let (x, t) = (tensor("x", &[4, 3, 8, 8], 1.7, 0.0), Tensor::from_slice(&[0.1f32, 0.4, 0.6, 0.95]));
    let classes = Tensor::from_slice(&[0i64, 3, 5, 1]);
    let mut tape = seed.map_or_else(Tape::off, Tape::on);
    let v = model.forward_taped(&mut tape, &x, &t, Some(&classes));
    let loss = loss(&v);
    tape.backward(&loss).unwrap();
    let mut named: Vec<_> = store.variables().into_iter().filter(|(_, v)| v.requires_grad()).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    (loss.double_value(&[]), named.iter().flat_map(|(_, v)| values(&v.grad())).collect())
}

#[test]
fn activations_computed_again_give_the_same_gradients() {
    let _guard = GENERATOR.lock();
    for config in [ModelConfig::Unet(unet(0.0)), ModelConfig::Dit(dit())] {
        let (store, model) = filled(config, Kind::Float);
        let (kept, again) = (gradient(&store, model.as_ref(), None), gradient(&store, model.as_ref(), Some(5)));
        assert_eq!(kept.0, again.0);
        let off = relative(&again.1, &kept.1);
        assert!(off < 1e-6, "off by {off}");
    }
}

/// With dropout a block must draw on the way back what it drew before: the gradient is then the
/// derivative of the very loss.
#[test]
fn dropout_is_the_same_on_the_way_back() {
    let _guard = GENERATOR.lock();
    let (store, model) = filled(ModelConfig::Unet(unet(0.3)), Kind::Double);
    let (first, g) = gradient(&store, model.as_ref(), Some(11));
    assert_eq!(first, gradient(&store, model.as_ref(), Some(11)).0);
    assert_ne!(first, gradient(&store, model.as_ref(), Some(12)).0);
    let direction = uniform("direction", g.len());
    let mut named: Vec<_> = store.variables().into_iter().filter(|(_, v)| v.requires_grad()).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let mut moved = |by: f64| {
        let mut at = 0;
        for (_, variable) in &mut named {
            let n = variable.numel();
            let step = Tensor::from_slice(&direction[at..at + n]).view(variable.size().as_slice()) * by;
            tch::no_grad(|| *variable += step);
            at += n;
        }
        gradient(&store, model.as_ref(), Some(11)).0
    };
    let (h, ahead) = (2e-4, moved(2e-4));
    let slope = (ahead - moved(-2.0 * h)) / (2.0 * h);
    let want: f64 = g.iter().zip(&direction).map(|(a, b)| a * b).sum();
    assert!((slope - want).abs() < 2e-3 * want.abs().max(1.0), "{slope} against {want}");
}

#[test]
fn channels_last_and_bf16_give_the_same_gradients_within_their_precision() {
    let _guard = GENERATOR.lock();
    let (store, model) = filled(ModelConfig::Unet(unet(0.0)), Kind::Float);
    let (_, want) = gradient(&store, model.as_ref(), None);
    let (store, model) = filled(ModelConfig::Unet(UNetConfig { channels_last: true, ..unet(0.0) }), Kind::Float);
    let off = relative(&gradient(&store, model.as_ref(), None).1, &want);
    assert!(off < 1e-5, "channels last is off by {off}");
    for (config, bound) in [(ModelConfig::Unet(unet(0.0)), 0.03), (ModelConfig::Dit(dit()), 0.03)] {
        let (store, model) = filled(config.clone(), Kind::Float);
        let (_, want) = gradient(&store, model.as_ref(), None);
        let (store, model) = filled(config, Kind::BFloat16);
        for seed in [None, Some(3)] {
            let (_, got) = gradient(&store, model.as_ref(), seed);
            let off = relative(&got, &want);
            assert!(off > 1e-5 && off < bound, "bf16 is off by {off}");
        }
    }
}
