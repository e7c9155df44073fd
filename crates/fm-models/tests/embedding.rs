//! Embeddings against diffusers': `python3 crates/fm-models/tests/reference/embedding.py` makes the
//! reference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{numbers, relative, values};
use fm_models::embedding::{TimeEmbedding, positions_2d};
use serde_json::Value;
use tch::{Device, Tensor};

#[test]
fn every_order_divisor_and_scale_is_diffusers() {
    let reference: Value = serde_json::from_str(include_str!("reference/embedding.json")).unwrap();
    let t: Vec<f32> = numbers(&reference["t"]).iter().map(|t| *t as f32).collect();
    let cases = reference["embeddings"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let embedding: TimeEmbedding = serde_json::from_value(case["config"].clone()).unwrap();
        let off = relative(&values(&embedding.embed(&Tensor::from_slice(&t), 12)), &numbers(&case["values"]));
        assert!(off < 1e-5, "{embedding:?} is off by {off}");
    }
    let positions = positions_2d([4, 4], 16, Device::Cpu).unwrap();
    assert!(relative(&values(&positions), &numbers(&reference["positions"])) < 1e-6);
}

#[test]
fn integer_steps_are_rounded_times() {
    let (steps, raw) =
        (TimeEmbedding { scale: 999.0, integer: true, ..TimeEmbedding::default() }, TimeEmbedding::raw());
    let of = |e: TimeEmbedding, t: f32| values(&e.embed(&Tensor::from_slice(&[t]), 8));
    assert_eq!(of(steps, 0.50049), of(TimeEmbedding { scale: 500.0, ..raw }, 1.0));
    assert_eq!(of(steps, 1.0), of(TimeEmbedding { scale: 999.0, ..raw }, 1.0));
}

#[test]
fn rectangles_have_a_position_for_each_place() {
    let wide = positions_2d([2, 3], 8, Device::Cpu).unwrap();
    assert_eq!(wide.size(), [1, 6, 8]);
    // The first half encodes the column, the second the row.
    let at = |place: i64| values(&wide.select(1, place));
    assert_eq!((at(2)[..4].to_vec(), at(2)[4..].to_vec()), (at(5)[..4].to_vec(), at(1)[4..].to_vec()));
}
