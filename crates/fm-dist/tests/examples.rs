//! The examples run, and find what they say.

#![allow(missing_docs, dead_code, clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../examples/mean_gradient.rs"]
mod mean_gradient;

/// -6 mean(x^2) over the rows 0 to 7: both ranks have the gradient of all rows.
#[test]
fn every_rank_has_the_gradient_of_all_rows() {
    assert_eq!(mean_gradient::gradients().unwrap(), [-105.0, -105.0]);
}
