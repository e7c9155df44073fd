//! Files of weights that are refused with a remedy, and averages of ema-pytorch beside raw weights.
//! `reference/wrapped/make.py` makes them with PyTorch.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::values;
use fm_models::interchange::{self, InterchangeError, Weights, recognise};
use std::path::Path;

fn open(name: &str, part: Option<&str>) -> Result<Weights, InterchangeError> {
    interchange::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/wrapped").join(name), part)
}

fn refused(name: &str) -> String {
    let text = match open(name, None).and_then(|weights| recognise(&weights)) {
        Ok(_) => panic!("{name} is read"),
        Err(error) => error.to_string(),
    };
    assert!(text.chars().count() <= 300 && !text.contains('\n'), "{text}");
    text
}

#[test]
fn what_is_not_read_has_its_remedy() {
    for (name, says) in [
        ("complex.pt", "its values are complex; save real tensors"),
        ("quantized.pt", "it is quantized; save it as tensor.dequantize()"),
        ("csr.pt", "it is sparse; save it as tensor.to_dense()"),
        ("protocol0.pt", "a pickle of protocol 0, which does not keep tensors; save it without pickle_protocol"),
        ("old-protocol0.pt", "a pickle of protocol 0, which does not keep tensors; save it without pickle_protocol"),
        ("meta.pt", "without values; save it after its weights are loaded"),
        ("float8.pt", "save them as float32"),
        ("list.pt", "a list without names; save the state_dict of the network or of its average"),
        ("named-list.pt", "a list without names; save the state_dict of the network or of its average"),
    ] {
        let text = refused(name);
        assert!(text.contains(says) && text.chars().count() <= 300, "{name}: {text}");
    }
    for (name, tensor) in [
        ("weight-norm.pt", "net.0.weight_g"),
        ("parametrized.pt", "net.0.parametrizations"),
        ("pruned.pt", "net.0.weight_"),
        ("adapter.pt", "net.0.lora_A.weight"),
    ] {
        let text = refused(name);
        assert!(text.contains(tensor) && text.contains("merge it before saving"), "{name}: {text}");
    }
}

/// ema-pytorch keeps the weights in training beside their averages.
#[test]
fn the_average_of_ema_pytorch_is_taken() {
    for (part, last) in [(None, 109.0), (Some("ema.online_model"), 9.0), (Some("model"), 9.0)] {
        let weights = open("ema-pytorch.pt", part).unwrap();
        assert_eq!(values(&weights.tensors["net.2.bias"]), [last], "{part:?}");
        assert!(recognise(&weights).is_ok());
    }
}
