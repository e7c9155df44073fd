//! The kernel inception distance.
//!
//! MMD^2 = E k(X, X') + E k(Y, Y') - 2 E k(X, Y) of features of d dimensions with the kernel k(a,
//! b) = (a . b / d + 1)^3. The estimate over all pairs of different rows is unbiased: its
//! expectation does not depend on the number of samples, and it may be negative near 0. The mean
//! over random subsets of equal size of both sides is reported, as is usual, with the size that was
//! used. Unit: none. Source:
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
use crate::checks::{comparable, count, fits};
use crate::estimate::{Estimate, deviation};
use crate::points::{Points, Scalar};
use fm_core::product::{gram, matmul_nt};
use fm_core::rng::{Key, Stream};
use ndarray::{Array2, ArrayView2};
use rand::seq::index::sample;
use rayon::prelude::*;

/// How subsets are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subsets {
    /// Number of subsets, from 1 to a million.
    pub count: usize,
    /// Rows per subset, at most those of the smaller side; [`Kid::size`] is the size used. An error
    /// is known only for subsets that leave out rows of both sides.
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

/// A kernel inception distance and how it was computed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Kid {
    /// The mean over the subsets.
    pub value: f64,
    /// Its standard error; `None` if there is one subset, or if subsets have all rows of a side.
    pub error: Option<f64>,
    /// Rows per subset that were used, which may be fewer than requested.
    pub size: usize,
    /// Subsets that were used.
    pub count: usize,
}

impl Kid {
    /// The value and its error.
    pub fn estimate(&self) -> Estimate {
        Estimate::new(self.value, self.error)
    }
}

/// KID of features, (n, d) and (m, d).
///
/// With f the share of the smaller side's rows in a subset and s the standard deviation over the
/// subsets, the error is s sqrt(f / (1 - f) + 1 / count): the delete-d jackknife (Shao and Wu, "A
/// general theory for jackknife variance estimation", 1989), and what the finite number of subsets
/// adds. It is right for sides of equal size, and at most sqrt(3) times too large for others.
///
/// # Errors
/// Different dimensions, fewer than two rows on a side or in a subset, no subsets or more than a
/// million, values that are not finite, and kernel matrices of subsets that do not fit into memory.
#[doc(alias = "KernelInceptionDistance")]
pub fn kid<T: Scalar>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>, subsets: &Subsets) -> Result<Kid, MetricError> {
    over_subsets(x.into(), y.into(), subsets)
}

fn over_subsets(x: Points<'_>, y: Points<'_>, subsets: &Subsets) -> Result<Kid, MetricError> {
    comparable("KID", 2, x, y)?;
    let least = x.nrows().min(y.nrows());
    let whole = x.nrows() == y.nrows();
    count("the number of rows per subset", 2, usize::MAX, subsets.size)?;
    count("the number of subsets", 1, 1_000_000, subsets.count)?;
    let size = subsets.size.min(least);
    // Subsets of all rows of both sides are one.
    let count = if size == least && whole { 1 } else { subsets.count };
    fits(size, size)?;
    fits(size, x.ncols())?;
    let one = |k: usize| {
        let mut rng = Key::new(subsets.seed, k as u64, Stream::Data).generator(0);
        let mut some = |z: Points<'_>| z.select(&sample(&mut rng, z.nrows(), size).into_vec());
        let (x, y) = (some(x), some(y));
        of_all(&x, &y)
    };
    let values: Vec<f64> = (0..count).into_par_iter().map(one).collect();
    let share = size as f64 / least as f64;
    let scale = (share / (1.0 - share) + 1.0 / count as f64).sqrt();
    let error = if size < least { deviation(&values).map(|s| s * scale) } else { None };
    Ok(Kid { value: values.iter().sum::<f64>() / count as f64, error, size, count })
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

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::rng::{Key, normal_rows};

    fn normal(seed: u64, rows: usize) -> Array2<f32> {
        Array2::from_shape_vec((rows, 3), normal_rows(Key::new(seed, 0, Stream::Data), rows, 3)).unwrap_or_default()
    }

    #[test]
    fn an_error_is_that_of_subsets_which_differ() {
        let real = normal(0, 3000);
        for (rows, requested, count, used) in [
            (20, 1000, 100, 20),
            (20, 10, 100, 10),
            (4, 1000, 100, 4),
            (1500, 1000, 4, 1000),
            (2000, 1000, 4, 1000),
            (3000, 100, 4, 100),
            (20, 1000, 1, 20),
            (3, 1000, 100, 3),
            (2, 2, 100, 2),
        ] {
            let x = normal(1, rows);
            let found = kid(x.view(), real.view(), &Subsets { count, size: requested, seed: 0 }).unwrap();
            assert_eq!((found.size, found.error.is_some()), (used, count > 1 && used < rows), "{rows}: {found:?}");
        }
        let same =
            kid(real.slice(ndarray::s![..3, ..]), real.slice(ndarray::s![3..6, ..]), &Subsets::default()).unwrap();
        assert_eq!((same.size, same.count, same.error, same.estimate().standard_error()), (3, 1, None, None));
        let equal = Array2::<f32>::ones((20, 3));
        assert_eq!(kid(equal.view(), equal.view(), &Subsets::default()).unwrap().error, None);
        for size in [0, 1] {
            let found = kid(real.view(), real.view(), &Subsets { size, ..Subsets::default() });
            assert!(matches!(found, Err(MetricError::Count { least: 2, .. })));
        }
    }

    /// Twenty rows against twenty or many, drawn again and again.
    #[test]
    fn the_error_of_few_rows_is_how_far_they_scatter() {
        for many in [20, 1000] {
            let found: Vec<Kid> = (0..80)
                .map(|seed| {
                    let (x, y) = (normal(2 * seed, 20) * 1.5 + 1.0, normal(2 * seed + 1, many));
                    kid(x.view(), y.view(), &Subsets { seed, size: 10, ..Subsets::default() }).unwrap()
                })
                .collect();
            let values: Vec<f64> = found.iter().map(|k| k.value).collect();
            let told = found.iter().filter_map(|k| k.error).sum::<f64>() / 80.0;
            let ratio = told / deviation(&values).unwrap();
            assert!((0.7..1.6).contains(&ratio), "{many}: told {told}, {ratio} of the scatter");
        }
    }
}
