//! Files of statistics that numpy wrote, good and broken: `reference/broken_statistics.py`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_metrics::{MetricError, statistics};
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reference/statistics/{name}.npz"))
}

#[test]
fn all_ways_to_write_the_same_numbers_are_read() {
    let good = statistics::read(&file("good")).unwrap();
    assert_eq!((good.mean.len(), good.covariance[(0, 1)], good.count), (3, 0.5, None));
    for name in ["compressed", "columns_first", "odd_count"] {
        assert_eq!(statistics::read(&file(name)).unwrap(), good, "{name}");
    }
    let single = statistics::read(&file("single")).unwrap();
    assert!((&single.covariance - &good.covariance).iter().all(|d| d.abs() < 1e-7));
}

#[test]
fn broken_ones_are_errors_that_say_what_and_where() {
    for (name, says) in [
        ("mu_is_a_column", "mu is of shape [3, 1]"),
        ("mu_is_longer", "mu is of shape [4] and sigma of [3, 3]"),
        ("mu_is_empty", "mu cannot be read"),
        ("sigma_is_a_vector", "sigma of [3]"),
        ("sigma_is_wide", "sigma of [2, 3]"),
        ("mu_has_nan", "mu[1] is NaN"),
        ("sigma_has_infinity", "sigma[2, 0] is inf"),
        ("not_symmetric", "sigma is not symmetric: [0, 2] is 9.000e-1 and [2, 0] 1.000e-1"),
        ("negative_variance", "sigma[1, 1] is -2.500e-1, below 0"),
        ("whole_numbers", "mu cannot be read"),
        ("no_sigma", "has no sigma"),
        ("missing", "cannot be opened"),
    ] {
        let error = statistics::read(&file(name)).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, MetricError::Statistics { .. }), "{text}");
        assert!(text.contains(says) && text.contains(name) && text.len() <= 300 && !text.contains('\n'), "{text}");
    }
}
