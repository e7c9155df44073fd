//! Means and covariances from a stream of rows.
//!
//! Sums are kept about a point near the rows (the mean of the first ones), in f64, so that large means cost no digits; sums about one point
//! add and subtract, which is what [`estimate::jackknife`](crate::estimate::jackknife) needs. The covariance divides by n - 1.
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
use fm_core::product;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Rows of the product that a thread makes at a time.
const ROWS: usize = 256;

/// Sums over rows, about a point.
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
    /// (d).
    pub mean: Array1<f64>,
    /// (d, d), symmetric.
    pub covariance: Array2<f64>,
    /// Rows that they come from; unknown of a file that does not tell.
    pub count: Option<usize>,
}

impl Moments {
    /// No rows yet; those that come will be near these.
    ///
    /// # Errors
    /// No rows, or values that are not finite.
    pub fn like(rows: ArrayView2<'_, f32>) -> Result<Self, MetricError> {
        crate::nearest::at_least("a mean", 1, rows.nrows())?;
        finite(rows)?;
        let about = rows.mapv(f64::from).mean_axis(Axis(0)).unwrap_or_default();
        Ok(Self::about(about))
    }

    fn about(about: Array1<f64>) -> Self {
        let d = about.len();
        Self { about, count: 0, sum: Array1::zeros(d), products: Array2::zeros((d, d)) }
    }

    /// No rows yet, about the same point.
    pub fn empty(&self) -> Self {
        Self::about(self.about.clone())
    }

    /// Rows so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes more rows, (n, d).
    ///
    /// # Errors
    /// Another number of columns, or values that are not finite.
    pub fn add(&mut self, rows: ArrayView2<'_, f32>) -> Result<(), MetricError> {
        let (left, right) = (rows.ncols(), self.about.len());
        if left != right {
            return Err(MetricError::Dimension { left, right });
        }
        finite(rows)?;
        let centred = rows.mapv(f64::from) - &self.about;
        self.count += rows.nrows();
        self.sum += &centred.sum_axis(Axis(0));
        let parts: Vec<_> = self.products.axis_chunks_iter_mut(Axis(0), ROWS).enumerate().collect();
        parts.into_par_iter().for_each(|(k, mut part)| {
            let some = centred.slice(ndarray::s![.., k * ROWS..k * ROWS + part.nrows()]);
            product::add(part.view_mut(), 1.0, some.t(), centred.view());
        });
        Ok(())
    }

    /// The rows of both; of sums about one point.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            about: self.about.clone(),
            count: self.count + other.count,
            sum: &self.sum + &other.sum,
            products: &self.products + &other.products,
        }
    }

    /// These rows without some of them; of sums about one point.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            about: self.about.clone(),
            count: self.count - other.count.min(self.count),
            sum: &self.sum - &other.sum,
            products: &self.products - &other.products,
        }
    }

    /// Their mean and covariance.
    ///
    /// # Errors
    /// Not more rows than columns.
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

/// Fails at the first value that is not finite.
pub(crate) fn finite(rows: ArrayView2<'_, f32>) -> Result<(), MetricError> {
    match rows.indexed_iter().find(|(_, v)| !v.is_finite()) {
        Some(((row, column), &value)) => Err(MetricError::NotFinite { row, column, value }),
        None => Ok(()),
    }
}
