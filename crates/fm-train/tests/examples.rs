//! The examples run, and their losses fall.

#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr, reason = "examples in a test")]

#[path = "../examples/custom_data.rs"]
mod custom_data;
#[path = "../examples/custom_model.rs"]
mod custom_model;

/// A mean loss of the last steps below that of the first, which predicts nothing.
fn falls(losses: &[f64]) {
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&losses[..5]), mean(&losses[losses.len() - 50..]));
    assert!(last < 0.8 * first, "{first} to {last}");
}

#[test]
fn a_data_set_of_your_own_is_learned() {
    falls(&custom_data::losses().unwrap());
}

#[test]
fn a_network_of_your_own_learns() {
    falls(&custom_model::losses().unwrap());
}
