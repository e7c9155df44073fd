//! The examples run, and find what they say.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../examples/metrics_f64.rs"]
mod metrics_f64;

/// In units of 1e-6: means are (1, 1) apart and covariances equal, so that the Fréchet distance is
/// near 2 and SW_2 near 1.
#[test]
fn doubles_are_measured_in_their_own_digits() {
    let report = metrics_f64::report();
    let value = |name: &str| report.value(name).unwrap();
    assert!((value("mean_shift") / 1e-6 - 1.0).abs() < 0.2, "{report}");
    assert!((value("frechet_distance") / 2e-12 - 1.0).abs() < 0.3, "{report}");
    assert!((value("sliced_wasserstein") / 1e-6 - 1.0).abs() < 0.2, "{report}");
    assert!(value("precision") > 0.7 && value("precision") < 1.0, "{report}");
    assert_eq!(report.errors().count(), 1);
}
