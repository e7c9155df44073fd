//! The examples run, and find what they say.

#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should stop"
)]

#[path = "../examples/weights.rs"]
mod weights;

#[test]
fn networks_come_back_from_files_as_they_were() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["dit.safetensors", "dit.pt"] {
        let (difference, parameters) = weights::round_trip(directory.path(), name).unwrap();
        assert_eq!(difference, 0.0, "{name}");
        assert!(parameters > 10_000, "{parameters}");
    }
}
