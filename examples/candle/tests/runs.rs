//! The example learns what it should.

#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout, reason = "an example in a test")]

#[path = "../src/main.rs"]
mod example;

/// Energy distance of N(0, 1) to two moons: 0.54.
#[test]
fn a_network_of_candle_learns_the_moons() {
    let distance = example::distance().unwrap();
    // The initial weights are drawn without a seed.
    assert!(distance < 0.1, "{distance}");
}
