//! The metrics of this crate by name, with the settings usual in papers.
//!
//! For other settings, pass the function:
//! `SampleMetric::new("sliced_1", |x, y| sliced_wasserstein(x, y, 1, 100, 0))`.
//!
//! ```
//! use fm_metrics::evaluation::{Evaluation, sliced_wasserstein};
//! let x = ndarray::array![[0.0], [4.0]];
//! assert_eq!(Evaluation::new([sliced_wasserstein()]).run(&x, &(&x + 3.0)).value("sliced_wasserstein"), Some(3.0));
//! ```

use super::metric::SampleMetric;
use crate::kid::Subsets;
use crate::moments::Moments;
use crate::points::Scalar;
use crate::{energy, frechet, manifold, nearest, sliced, two_sample};
use ndarray::ArrayView2;

/// Number of random directions of [`sliced_wasserstein`].
const DIRECTIONS: usize = 500;

/// [`energy::energy_distance`]: unbiased D^2.
pub fn energy_distance<'a, T: Scalar>() -> SampleMetric<'a, T> {
    SampleMetric::new("energy_distance", energy::energy_distance)
}

/// [`sliced::sliced_wasserstein`] of order 2 over 500 directions.
pub fn sliced_wasserstein<'a, T: Scalar>() -> SampleMetric<'a, T> {
    SampleMetric::new("sliced_wasserstein", |x, y| sliced::sliced_wasserstein(x, y, 2, DIRECTIONS, 0))
}

/// [`mmd`](crate::mmd::mmd) with a Gaussian kernel whose bandwidth is the median distance.
pub fn mmd<'a, T: Scalar>() -> SampleMetric<'a, T> {
    SampleMetric::new("mmd", |x, y| crate::mmd::mmd(x, y, None))
}

/// [`kid`](crate::kid::kid()) of features, over 100 subsets of at most 1000 rows.
pub fn kid<'a, T: Scalar>() -> SampleMetric<'a, T> {
    SampleMetric::new("kid", |x, y| crate::kid::kid(x, y, &Subsets::default()))
}

/// [`frechet`](frechet::frechet()) of features: the distance of the Gaussians fitted to both sides.
#[doc(alias = "fid")]
pub fn frechet_distance<'a, T: Scalar>() -> SampleMetric<'a, T> {
    SampleMetric::new("frechet_distance", |x: ArrayView2<'_, T>, y: ArrayView2<'_, T>| {
        let gaussian = |rows: ArrayView2<'_, T>| {
            let mut moments = Moments::like(rows)?;
            moments.add(rows)?;
            moments.gaussian()
        };
        frechet::frechet(&gaussian(y)?, &gaussian(x)?)
    })
}

/// [`manifold`](manifold::manifold()): `precision`, `recall`, `density` and `coverage`, with balls
/// to the k-th neighbour.
#[doc(alias = "prdc")]
pub fn precision_recall<'a, T: Scalar>(k: usize) -> SampleMetric<'a, T> {
    SampleMetric::new("precision_recall", move |x, y| manifold::manifold(x, y, k))
}

/// [`nearest_neighbour_accuracy`](two_sample::nearest_neighbour_accuracy): 1/2 if both
/// distributions are equal.
pub fn nearest_neighbour_accuracy<'a, T: Scalar>() -> SampleMetric<'a, T> {
    SampleMetric::new("nearest_neighbour_accuracy", two_sample::nearest_neighbour_accuracy)
}

/// [`copy_rate`](nearest::copy_rate): the share of samples that copy a row of the reference, which
/// must be the training data.
pub fn copy_rate<'a, T: Scalar>() -> SampleMetric<'a, T> {
    SampleMetric::new("copy_rate", nearest::copy_rate)
}
