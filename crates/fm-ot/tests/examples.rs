//! The examples run, and find what they say.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../examples/pair_clouds.rs"]
mod pair_clouds;

/// Independent pairs are |shift|^2 + 2 d = 22 apart on average; a plan can take away all but the
/// shift's 18.
#[test]
fn clouds_are_paired_at_the_cost_of_their_shift() {
    let found = pair_clouds::pair_clouds().unwrap();
    assert!((found.independent - 22.0).abs() < 1.5, "{found:?}");
    assert!(found.exact > 17.0 && found.exact < 19.0, "{found:?}");
    assert!(found.exact < found.sinkhorn && found.sinkhorn < found.horizontal, "{found:?}");
    assert!(found.horizontal < found.independent, "{found:?}");
}
