//! Means and covariances from a stream of rows.
//!
//! Sums are taken relative to a point near the rows (the mean of the first ones), in f64, so that
//! large means cost no precision. Sums about the same point can be added and subtracted, which
//! [`estimate::jackknife`](crate::estimate::jackknife) needs; sums about different points are first
//! moved to their means and merged by the formula of Chan, Golub and LeVeque, "Updating formulae
//! and a pairwise algorithm for computing sample variances" (1982).
//!
//! ```
//! use fm_metrics::moments::Moments;
//! use ndarray::array;
//! let mut moments = Moments::like(array![[1e6f32, 0.0], [1e6 + 2.0, 0.0]].view())?;
//! moments.add(array![[1e6f32, 0.0], [1e6 + 2.0, 0.0]].view())?;
//! moments.add(array![[1e6f32 + 4.0, 3.0]].view())?;
//! let gaussian = moments.gaussian()?;
//! assert_eq!(gaussian.mean, array![1e6 + 2.0, 1.0]);
//! assert_eq!(gaussian.covariance, array![[4.0, 3.0], [3.0, 3.0]]);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{at_least, count, fits, same_space, usable};
use crate::points::{Points, Scalar};
use fm_core::product;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Rows of the product that a thread computes at a time.
const ROWS: usize = 256;

/// Sums over rows, relative to a point.
#[derive(Debug, Clone)]
pub struct Moments {
    about: Array1<f64>,
    count: usize,
    sum: Array1<f64>,
    products: Array2<f64>,
}

/// A mean and a covariance.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    /// The mean, (d).
    pub mean: Array1<f64>,
    /// The covariance, (d, d), symmetric.
    pub covariance: Array2<f64>,
    /// Number of rows; `None` for a file that does not contain it.
    pub count: Option<usize>,
}

impl Moments {
    /// Empty sums, relative to the mean of `rows`, for rows of similar values.
    ///
    /// # Errors
    /// No rows, no columns, values that are not finite, or a matrix of the columns that does not
    /// fit into memory.
    pub fn like<T: Scalar>(rows: ArrayView2<'_, T>) -> Result<Self, MetricError> {
        let rows = Points::from(rows);
        at_least("a mean", "rows", 1, rows.nrows())?;
        usable("rows", rows)?;
        fits(rows.ncols(), rows.ncols())?;
        Ok(Self::about(rows.mean()))
    }

    fn about(about: Array1<f64>) -> Self {
        let d = about.len();
        Self { about, count: 0, sum: Array1::zeros(d), products: Array2::zeros((d, d)) }
    }

    /// Empty sums relative to the same point.
    pub fn empty(&self) -> Self {
        Self::about(self.about.clone())
    }

    /// Number of rows added.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds rows, (n, d).
    ///
    /// # Errors
    /// A different number of columns, or values that are not finite.
    pub fn add<T: Scalar>(&mut self, rows: ArrayView2<'_, T>) -> Result<(), MetricError> {
        self.add_points(rows.into())
    }

    fn add_points(&mut self, rows: Points<'_>) -> Result<(), MetricError> {
        same_space(rows.ncols(), self.about.len())?;
        usable("rows", rows)?;
        let centred = rows.to_f64() - &self.about;
        self.count = total(self.count, rows.nrows())?;
        self.sum += &centred.sum_axis(Axis(0));
        let parts: Vec<_> = self.products.axis_chunks_iter_mut(Axis(0), ROWS).enumerate().collect();
        parts.into_par_iter().for_each(|(k, mut part)| {
            let some = centred.slice(ndarray::s![.., k * ROWS..k * ROWS + part.nrows()]);
            product::gemm(part.view_mut(), 1.0, some.t(), centred.view());
        });
        Ok(())
    }

    /// The sums over the rows of both.
    ///
    /// # Errors
    /// A different number of columns.
    pub fn with(&self, other: &Self) -> Result<Self, MetricError> {
        same_space(other.about.len(), self.about.len())?;
        let count = total(self.count, other.count)?;
        if self.about == other.about {
            let (sum, products) = (&self.sum + &other.sum, &self.products + &other.products);
            return Ok(Self { about: self.about.clone(), count, sum, products });
        }
        if self.count == 0 || other.count == 0 {
            return Ok(if self.count == 0 { other } else { self }.clone());
        }
        let (mut all, part) = (self.about_mean(), other.about_mean());
        let apart = &part.about - &all.about;
        let share = part.count as f64 / count as f64;
        all.products += &part.products;
        all.add_square(&apart, share * all.count as f64);
        all.about.scaled_add(share, &apart);
        Ok(Self { count, ..all })
    }

    /// The sums without the rows of `other`.
    ///
    /// # Errors
    /// A different number of columns, or more rows than there are.
    pub fn without(&self, other: &Self) -> Result<Self, MetricError> {
        same_space(other.about.len(), self.about.len())?;
        at_least("what is left without some rows", "rows", other.count, self.count)?;
        let count = self.count - other.count;
        if self.about == other.about {
            let (sum, products) = (&self.sum - &other.sum, &self.products - &other.products);
            return Ok(Self { about: self.about.clone(), count, sum, products });
        }
        if count == 0 || other.count == 0 {
            return Ok(if count == 0 { self.empty() } else { self.clone() });
        }
        let (mut all, part) = (self.about_mean(), other.about_mean());
        let apart = &part.about - &all.about;
        let ratio = part.count as f64 / count as f64;
        all.products -= &part.products;
        all.add_square(&apart, -ratio * all.count as f64);
        all.about.scaled_add(-ratio, &apart);
        Ok(Self { count, ..all })
    }

    /// The same sums relative to the mean of the rows; requires at least one row.
    fn about_mean(&self) -> Self {
        let n = self.count as f64;
        let offset = &self.sum / n;
        let mut moved = self.clone();
        moved.add_square(&offset, -n);
        moved.about += &offset;
        moved.sum.fill(0.0);
        moved
    }

    /// Adds `scale` v v^T to the products.
    fn add_square(&mut self, v: &Array1<f64>, scale: f64) {
        self.products.indexed_iter_mut().for_each(|((i, j), product)| *product += scale * v[i] * v[j]);
    }

    /// The mean and covariance of the rows.
    ///
    /// # Errors
    /// Unless there are more rows than columns.
    pub fn gaussian(&self) -> Result<Gaussian, MetricError> {
        let (n, dimensions) = (self.count, self.about.len());
        if n <= dimensions {
            return Err(MetricError::Rank { dimensions, got: n });
        }
        let offset = &self.sum / n as f64;
        let mut covariance = self.products.clone();
        for ((i, j), value) in covariance.indexed_iter_mut() {
            *value = (*value - n as f64 * offset[i] * offset[j]) / (n as f64 - 1.0);
        }
        let covariance = (&covariance + &covariance.t()) / 2.0;
        Ok(Gaussian { mean: &self.about + &offset, covariance, count: Some(n) })
    }
}

/// The sum of two row counts.
fn total(rows: usize, more: usize) -> Result<usize, MetricError> {
    let sum = rows.saturating_add(more);
    count("the number of rows", 0, 1 << 53, sum)?;
    Ok(sum)
}

impl Gaussian {
    /// Fails unless mean and covariance are finite with matching shapes, and the covariance is
    /// symmetric without negative variances.
    pub(crate) fn check(&self) -> Result<(), MetricError> {
        self.problem().map_or(Ok(()), |problem| Err(MetricError::Gaussian { problem }))
    }

    /// What is wrong with it, and where.
    pub(crate) fn problem(&self) -> Option<String> {
        let (d, shape) = (self.mean.len(), self.covariance.dim());
        if d == 0 || shape != (d, d) {
            return Some(format!("its mean has {d} values and its covariance the shape {shape:?}"));
        }
        // Products of larger values may not be finite.
        let illegal = |v: &f64| v.is_nan() || v.abs() > 1e140;
        if let Some((i, value)) = self.mean.indexed_iter().find(|(_, v)| illegal(v)) {
            return Some(format!("mu[{i}] is {value:?}, which is not finite or above 1e140"));
        }
        if let Some(((i, j), value)) = self.covariance.indexed_iter().find(|(_, v)| illegal(v)) {
            return Some(format!("sigma[{i}, {j}] is {value:?}, which is not finite or above 1e140"));
        }
        let largest = self.covariance.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        for ((i, j), value) in self.covariance.indexed_iter() {
            let other = self.covariance[(j, i)];
            if (value - other).abs() > 1e-6 * largest {
                return Some(format!("sigma is not symmetric: [{i}, {j}] is {value:.3e} and [{j}, {i}] {other:.3e}"));
            }
        }
        let (i, value) = self.covariance.diag().into_iter().enumerate().find(|(_, v)| **v < -1e-6 * largest)?;
        Some(format!("the variance sigma[{i}, {i}] is {value:.3e}, below 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    fn of(about: ArrayView2<'_, f32>, rows: ArrayView2<'_, f32>) -> Moments {
        let mut moments = Moments::like(about).unwrap();
        moments.add(rows).unwrap();
        moments
    }

    fn close(a: &Gaussian, b: &Gaussian, tolerance: f64) {
        let off = |x: &f64, y: &f64| (x - y).abs() / y.abs().max(1.0);
        assert_eq!(a.count, b.count);
        assert!(a.mean.iter().zip(&b.mean).all(|(x, y)| off(x, y) < tolerance), "{a:?} {b:?}");
        assert!(a.covariance.iter().zip(&b.covariance).all(|(x, y)| off(x, y) < tolerance), "{a:?} {b:?}");
    }

    /// Sums about a point near each part, where the parts are far from one another.
    #[test]
    fn sums_about_any_points_add_and_subtract() {
        let rows =
            Array2::from_shape_fn((60, 3), |(i, j)| ((7 * i + 5 * j + i * j) % 13) as f32 + 1000.0 * (i / 30) as f32);
        let (a, b) = (rows.slice(s![..30, ..]), rows.slice(s![30.., ..]));
        let (first, second, all) = (of(a, a), of(b, b), of(rows.view(), rows.view()));
        close(&first.with(&second).unwrap().gaussian().unwrap(), &all.gaussian().unwrap(), 1e-12);
        close(&second.with(&first).unwrap().gaussian().unwrap(), &all.gaussian().unwrap(), 1e-12);
        close(&all.without(&second).unwrap().gaussian().unwrap(), &first.gaussian().unwrap(), 1e-9);
        close(&all.without(&first).unwrap().gaussian().unwrap(), &second.gaussian().unwrap(), 1e-9);
        close(&first.with(&second.empty()).unwrap().gaussian().unwrap(), &first.gaussian().unwrap(), 1e-12);
        close(&second.empty().with(&first).unwrap().gaussian().unwrap(), &first.gaussian().unwrap(), 1e-12);
        assert_eq!(second.without(&of(a, b)).unwrap().count(), 0);
    }

    #[test]
    fn sums_that_do_not_belong_together_are_errors() {
        let (two, three) = (array![[0f32, 1.0], [2.0, 5.0]], array![[0f32, 1.0, 2.0]]);
        let (a, b) = (of(two.view(), two.view()), of(three.view(), three.view()));
        assert!(matches!(a.with(&b), Err(MetricError::Dimension { left: 3, right: 2 })));
        assert!(matches!(a.without(&b), Err(MetricError::Dimension { .. })));
        assert!(matches!(a.empty().without(&a), Err(MetricError::TooFew { least: 2, got: 0, .. })));
        let mut doubled = a.clone();
        let ends = (0..64).find_map(|_| match doubled.with(&doubled) {
            Ok(twice) => {
                doubled = twice;
                None
            }
            Err(error) => Some(error),
        });
        assert!(matches!(ends, Some(MetricError::Count { .. })));
        let wide = Array2::<f32>::zeros((2, 1 << 22));
        assert!(matches!(Moments::like(wide.view()), Err(MetricError::Memory { .. })));
    }
}
