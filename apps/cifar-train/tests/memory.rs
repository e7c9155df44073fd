//! The plan's estimate of memory against the peak of real runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::succeed;

/// The number before " GiB" after a word.
fn gib(text: &str, after: &str) -> f64 {
    let rest = text.split_once(after).unwrap().1;
    rest.split_once(" GiB").unwrap().0.trim().parse().unwrap()
}

#[test]
fn the_estimate_of_memory_is_within_a_quarter_of_the_peak() {
    let directory = tempfile::tempdir().unwrap();
    // Large enough batches that activations count beside the program.
    for (i, flags) in
        ["--batch-size 512", "--model dit --batch-size 512 --checkpoint-activations true"].iter().enumerate()
    {
        let out = directory.path().join(i.to_string());
        let told = succeed(&format!(
            "train --preset quickstart --steps 2 --sample-every 0 --num-workers 1 {flags} --out {}",
            out.display()
        ));
        let (estimate, peak) = (gib(&told, "about "), gib(&told, "peak memory "));
        let ratio = estimate / peak;
        assert!((0.75..1.25).contains(&ratio), "{flags}: estimated {estimate} GiB, measured {peak} GiB");
    }
}
