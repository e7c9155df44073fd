//! Means and covariances of features.

use crate::accepted::accepted;
use crate::target::{Finish, Target};
use crate::{finish, scratch, seeds};
use fm_metrics::moments::Gaussian;
use fm_metrics::statistics;
use ndarray::array;
use zip::CompressionMethod;

pub(super) const STATISTICS: Target = Target {
    name: "statistics",
    seeds,
    words: &["mu.npy", "sigma.npy", "count.npy", "'<f8'", "'<f4'", "(2, 2)", "(2,)", "True", "NaN", "\u{2}\0"],
    finish: Finish::Repair(finish::zip),
    read,
};

#[allow(clippy::expect_used, reason = "nothing fails in memory")]
fn seeds() -> Vec<Vec<u8>> {
    let gaussian = Gaussian { mean: array![1.0, 2.0], covariance: array![[2.0, 1.0], [1.0, 3.0]], count: Some(9) };
    let ours = statistics::write(&gaussian).expect("a vector");
    let (mean, sigma) = ([0; 8], [1f32, 0.0, 0.0, 1.0].map(f32::to_le_bytes).concat());
    let narrow = [("mu.npy", seeds::npy("<f4", "(2,)", &mean)), ("sigma.npy", seeds::npy("<f4", "(2, 2)", &sigma))];
    let narrow = narrow.each_ref().map(|(name, bytes)| (*name, &bytes[..]));
    vec![ours, seeds::zip(&narrow, CompressionMethod::Stored), seeds::zip(&narrow, CompressionMethod::Deflated)]
}

fn read(bytes: &[u8]) -> bool {
    let read = statistics::read(&scratch::file("statistics.npz", bytes));
    if let Ok(gaussian) = &read {
        assert_eq!(gaussian.covariance.dim(), (gaussian.mean.len(), gaussian.mean.len()));
    }
    accepted(read)
}
