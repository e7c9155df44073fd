//! The examples run and learn.

#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr, reason = "examples in a test")]

#[path = "../examples/custom_data.rs"]
mod custom_data;
#[path = "../examples/custom_model.rs"]
mod custom_model;
#[path = "../examples/first.rs"]
mod first;

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
fn the_first_example_learns_the_circle() {
    tch::manual_seed(0);
    let distance = first::distance().unwrap();
    assert!(distance < 0.02, "{distance}");
}

#[test]
fn a_network_of_your_own_learns() {
    falls(&custom_model::losses().unwrap());
}
