//! What files hold beside the weights: numbers, schedules, averages of a part and of an optimizer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{build, values};
use fm_models::interchange::{self, Weights, recognise};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// A network that reference/wrapped/make.py wrote.
fn network() -> BTreeMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/wrapped/compiled.pt");
    interchange::read(&path, None).unwrap().tensors
}

/// The weights are those of the network, and load into it.
fn expect(weights: &Weights) {
    let network = network();
    assert!(weights.tensors.keys().eq(network.keys()), "{:?}", weights.tensors.keys());
    assert!(weights.tensors.iter().all(|(name, t)| values(t) == values(&network[name])));
    let config = recognise(weights).unwrap().config;
    interchange::load(&build(&config).0, config.kind(), &weights.tensors).unwrap();
}

/// A file with these tensors beside the network that every file holds, under a prefix.
fn with(dir: &Path, prefix: &str, beside: &[(&str, Tensor)]) -> PathBuf {
    let path = dir.join("with.pt");
    let network = network().into_iter().map(|(name, t)| (format!("{prefix}{name}"), t));
    let beside = beside.iter().map(|(name, t)| ((*name).to_owned(), t.shallow_clone()));
    let all: BTreeMap<String, Tensor> = network.chain(beside).collect();
    std::fs::write(&path, interchange::torch(&all).unwrap()).unwrap();
    path
}

#[test]
fn numbers_and_schedules_beside_weights_are_not_weights() {
    let dir = tempfile::tempdir().unwrap();
    let number = || Tensor::from(0.18f32);
    let betas = || Tensor::from_slice(&[0.1f32, 0.2, 0.3]);
    for prefix in ["", "model."] {
        let names = ["scale_factor", "best_loss", "betas", "log.scale"].map(|name| format!("{prefix}{name}"));
        let [scale, loss, schedule, inner] = &names;
        let beside = [(scale.as_str(), number()), (loss, number()), (schedule, betas()), (inner, number())];
        expect(&interchange::read(&with(dir.path(), prefix, &beside), None).unwrap());
    }
    // A parameter of another module is no such number.
    let path = with(dir.path(), "", &[("head.scale", betas())]);
    assert!(interchange::read(&path, None).unwrap().tensors.contains_key("head.scale"));
}

#[test]
fn averages_of_an_optimizer_are_named_and_partial_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let rows = |n: &[f32]| Tensor::from_slice(n);
    let averages = [("optimizer_states.0.ema.0", rows(&[1.0; 4])), ("optimizer_states.0.ema.1", rows(&[2.0; 2]))];
    let path = with(dir.path(), "state_dict.model.", &averages);
    let weights = interchange::read(&path, None).unwrap();
    assert_eq!(weights.unread.as_deref(), Some("optimizer_states.0.ema"));
    expect(&weights);
    assert_eq!(interchange::read(&path, Some("state_dict.model")).unwrap().unread, None);
    let partial = [("ema.net.0.weight", rows(&[1.0; 4]).view([2, 2])), ("ema.net.0.bias", rows(&[2.0; 2]))];
    let text = interchange::read(&with(dir.path(), "model.", &partial), None).unwrap_err().to_string();
    assert!(text.contains("hold 2 of the network's 4 tensors; choose one with --part: model"), "{text}");
}
