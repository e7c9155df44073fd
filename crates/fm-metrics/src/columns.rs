//! Column statistics of tables: whether samples have the means and variances of real rows.
//!
//! Variances are sample variances (divided by n - 1). Correlations are Pearson's over the columns:
//! 1 if the statistics of the samples are an increasing linear function of those of the real rows.
//! Constant statistics have no correlation (NaN).
//!
//! ```
//! use fm_metrics::columns::compare;
//! use ndarray::array;
//! let real = array![[0.0f32, 10.0, 4.0], [2.0, 14.0, 4.0]];
//! let found = compare(array![[1.0f32, 11.0, 5.0], [3.0, 15.0, 5.0]].view(), real.view())?;
//! assert_eq!(found.real[1].mean, 12.0);
//! assert_eq!((found.samples[0].variance, found.mean_correlation), (2.0, 1.0));
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::comparable;
use crate::points::{Points, Scalar};
use ndarray::ArrayView2;

/// The statistics of one column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// Mean.
    pub mean: f64,
    /// Variance, divided by n - 1.
    pub variance: f64,
}

/// Column statistics of samples and of real rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Columns of the samples.
    pub samples: Vec<Column>,
    /// Columns of the real rows.
    pub real: Vec<Column>,
    /// Correlation of the columns' means.
    pub mean_correlation: f64,
    /// Correlation of the columns' variances.
    pub variance_correlation: f64,
}

/// Compares two tables, (n, d) and (m, d).
///
/// # Errors
/// Different dimensions, fewer than two rows on a side, values that are not finite.
pub fn compare<T: Scalar>(samples: ArrayView2<'_, T>, real: ArrayView2<'_, T>) -> Result<Compared, MetricError> {
    between(samples.into(), real.into())
}

fn between(samples: Points<'_>, real: Points<'_>) -> Result<Compared, MetricError> {
    comparable("variances", 2, samples, real)?;
    let (samples, real) = (columns(samples), columns(real));
    let over = |of: fn(&Column) -> f64| correlation(samples.iter().map(of), real.iter().map(of));
    let (mean_correlation, variance_correlation) = (over(|c| c.mean), over(|c| c.variance));
    Ok(Compared { samples, real, mean_correlation, variance_correlation })
}

fn columns(table: Points<'_>) -> Vec<Column> {
    let n = table.nrows() as f64;
    let column = |c: Vec<f64>| {
        let mean = c.iter().sum::<f64>() / n;
        let variance = c.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Column { mean, variance }
    };
    table.columns().into_iter().map(column).collect()
}

fn correlation(a: impl Iterator<Item = f64> + Clone, b: impl Iterator<Item = f64> + Clone) -> f64 {
    let n = a.clone().count() as f64;
    let (ma, mb) = (a.clone().sum::<f64>() / n, b.clone().sum::<f64>() / n);
    let sum = |f: fn(f64, f64) -> f64| a.clone().zip(b.clone()).map(|(a, b)| f(a - ma, b - mb)).sum::<f64>();
    sum(|a, b| a * b) / (sum(|a, _| a * a) * sum(|_, b| b * b)).sqrt()
}
