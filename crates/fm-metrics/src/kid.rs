//! The kernel inception distance.
//!
//! MMD^2 = E k(X, X') + E k(Y, Y') - 2 E k(X, Y) of features of d dimensions with the kernel k(a,
//! b) = (a . b / d + 1)^3. The estimate over all pairs of different rows is unbiased: its
//! expectation does not depend on the number of samples, and it may be negative near 0. The mean
//! over random subsets of equal size of both sides is reported, as is usual. Unit: none. Source:
//! Binkowski et al., "Demystifying MMD GANs" (2018).
//!
//! ```
//! use fm_metrics::kid::polynomial_mmd;
//! use ndarray::array;
//! // k = (a b + 1)^3 in one dimension: k(0, 1) + k(1, 2) - (k(0, 1) + k(0, 2) + k(1, 1) + k(1, 2)) / 2
//! let (x, y) = (array![[0.0f32], [1.0]], array![[1.0f32], [2.0]]);
//! assert_eq!(polynomial_mmd(x.view(), y.view())?, 1.0 + 27.0 - (1.0 + 1.0 + 8.0 + 27.0) / 2.0);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{at_least, comparable, count, fits};
use crate::estimate::{Estimate, mean};
use crate::points::{Points, Scalar};
use fm_core::product::{gram, matmul_nt};
use fm_core::rng::{Stream, stream};
use ndarray::{Array2, ArrayView2};
use rand::seq::index::sample;
use rayon::prelude::*;

/// How subsets are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subsets {
    /// Number of subsets, from 1 to a million.
    pub count: usize,
    /// Rows per subset; fewer if a side has fewer.
    pub size: usize,
    /// The random seed.
    pub seed: u64,
}

impl Default for Subsets {
    /// 100 subsets of 1000 rows, as in clean-fid and torch-fidelity.
    fn default() -> Self {
        Self { count: 100, size: 1000, seed: 0 }
    }
}

/// KID of features, (n, d) and (m, d). The error is that of a mean over as many subsets as could be
/// disjoint, because further subsets reuse the same rows; if anything it is too large.
///
/// # Errors
/// Different dimensions, fewer than two rows on a side or in a subset, no subsets or more than a
/// million, values that are not finite, and kernel matrices of subsets that do not fit into memory.
pub fn kid<T: Scalar>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>, subsets: &Subsets) -> Result<Estimate, MetricError> {
    over_subsets(x.into(), y.into(), subsets)
}

fn over_subsets(x: Points<'_>, y: Points<'_>, subsets: &Subsets) -> Result<Estimate, MetricError> {
    comparable("KID", 2, x, y)?;
    let least = x.nrows().min(y.nrows());
    let size = subsets.size.min(least);
    at_least("KID of subsets of that size", 2, size)?;
    count("the number of subsets", 1, 1_000_000, subsets.count)?;
    fits(size, size)?;
    let one = |k: usize| {
        let mut rng = stream(subsets.seed, k as u64, Stream::Data, 0);
        let mut some = |z: Points<'_>| z.select(&sample(&mut rng, z.nrows(), size).into_vec());
        let (x, y) = (some(x), some(y));
        of_all(&x, &y)
    };
    let values: Vec<f64> = (0..subsets.count).into_par_iter().map(one).collect();
    let Estimate { value, error } = mean(&values);
    let apart = (least / size).clamp(1, subsets.count);
    Ok(Estimate { value, error: error * (subsets.count as f64 / apart as f64).sqrt() })
}

/// The unbiased MMD^2 with the cubic kernel over all rows, (n, d) and (m, d).
///
/// # Errors
/// Different dimensions, fewer than two rows on a side, values that are not finite, and a kernel
/// matrix that does not fit into memory.
pub fn polynomial_mmd<T: Scalar>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<f64, MetricError> {
    polynomial(x.into(), y.into())
}

fn polynomial(x: Points<'_>, y: Points<'_>) -> Result<f64, MetricError> {
    comparable("the polynomial MMD", 2, x, y)?;
    let most = x.nrows().max(y.nrows());
    fits(most, most)?;
    Ok(of_all(&x.to_f64(), &y.to_f64()))
}

fn of_all(x: &Array2<f64>, y: &Array2<f64>) -> f64 {
    let (n, m) = (x.nrows(), y.nrows());
    let d = x.ncols() as f64;
    let kernel = |dot: &f64| (dot / d + 1.0).powi(3);
    // Each pair of a side once.
    let within = |z: &Array2<f64>| {
        let dots = gram(z.view());
        let below = dots.rows().into_iter().enumerate().map(|(i, row)| row.iter().take(i).map(kernel).sum::<f64>());
        below.sum::<f64>() / (z.nrows() * (z.nrows() - 1) / 2) as f64
    };
    let across =
        matmul_nt(x.view(), y.view()).rows().into_iter().map(|row| row.iter().map(kernel).sum::<f64>()).sum::<f64>();
    within(x) + within(y) - 2.0 * across / (n * m) as f64
}
