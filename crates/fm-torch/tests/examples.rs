//! The examples run, and find what they say.

#![allow(missing_docs, dead_code, clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../examples/flat_adam.rs"]
mod flat_adam;

#[test]
fn adam_finds_the_minimum_through_shared_memory() {
    let [a, b] = flat_adam::minimum(3_000).unwrap();
    assert!((a - 1.0).abs() < 1e-2 && (b - 1.0).abs() < 2e-2, "{a} {b}");
}
