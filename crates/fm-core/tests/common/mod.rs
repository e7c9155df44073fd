//! The references, and every legal setting of a choice.

#![allow(dead_code, reason = "each test file uses its part")]

use fm_core::choice::Choice;
use serde_json::Value;

pub(crate) fn reference(name: &str) -> Value {
    let path = format!("{}/tests/reference/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Every name of a choice at its defaults, and with each parameter moved into its domain.
pub(crate) fn settings<C: Choice>() -> Vec<C> {
    let mut out = Vec::new();
    for entry in C::TABLE {
        out.push(C::parse(entry.name()).unwrap());
        for p in entry.parameters {
            let (low, high) = (p.domain.low.max(p.default - 2.0), p.domain.high.min(p.default + 3.0));
            for share in [0.13, 0.71] {
                let value = low + share * (high - low);
                let value = if p.domain.whole { value.ceil() } else { value };
                out.push(C::parse(&format!("{}:{}={value}", entry.name(), p.name)).unwrap());
            }
        }
    }
    out
}

#[track_caller]
pub(crate) fn close(got: &[f64], want: &[f64], relative: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= relative * (1.0 + w.abs()), "{what}, value {i}: {g} against {w}");
    }
}
