//! The example learns what it should.

#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout, reason = "an example in a test")]

#[path = "../src/main.rs"]
mod example;

use flow_matching::metrics::energy::energy_distance;
use flow_matching::prelude::*;

/// A twentieth of the energy distance of the source N(0, 1) at most, and at most 0.02.
#[test]
fn a_network_of_candle_learns_the_moons() {
    let noise = Array2::from_shape_vec((1_000, 2), normal_rows(Key::new(1, 0, Stream::Sample), 1_000, 2)).unwrap();
    let source = energy_distance(noise.view(), toy("moons", 5_000, 0).unwrap().view()).unwrap();
    let distance = example::distance().unwrap();
    assert!(distance < 0.02 && distance < source / 20.0, "{distance}, of the source {source}");
}
