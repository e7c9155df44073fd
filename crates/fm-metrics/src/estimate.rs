//! A number and its standard error.
//!
//! Resampling estimates how much a number would vary if the samples were drawn again. For a mean
//! this is the standard error. For other numbers it is the jackknife, which leaves out one of g
//! groups of rows in turn: error^2 = (g - 1)/g sum_i (theta_i - mean theta)^2. A Fréchet distance
//! decreases with the number of samples, but leaving out a group shifts it by about the same amount
//! each time, so that the differences remain valid; the bootstrap, which repeats rows, is biased
//! there. Source: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 11.
//!
//! ```
//! use fm_metrics::estimate::{Estimate, jackknife, mean};
//! let x = [1.0, 2.0, 4.0, 5.0];
//! let Estimate { value, error } = mean(&x);
//! assert_eq!(value, 3.0);
//! // sqrt(10/3 / 4); for a mean the jackknife gives the same.
//! assert!((error - (10.0f64 / 12.0).sqrt()).abs() < 1e-15);
//! let without = |i: usize| Ok((12.0 - x[i]) / 3.0);
//! assert!((jackknife(4, without)? - error).abs() < 1e-15);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use std::ops::Range;

/// A number and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its standard error; NaN if it cannot be computed.
    pub error: f64,
}

impl Estimate {
    /// A number with its standard error, if known.
    pub fn new(value: f64, error: Option<f64>) -> Self {
        Self { value, error: error.unwrap_or(f64::NAN) }
    }

    /// The standard error, if known.
    pub fn standard_error(&self) -> Option<f64> {
        Some(self.error).filter(|error| error.is_finite())
    }
}

/// The mean of independent values. The mean of no values is NaN. A single value has no error, and
/// neither have equal values, which say nothing about how far others would scatter: a share of 0
/// or 1 is not exact.
pub fn mean(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let value = values.iter().sum::<f64>() / n;
    Estimate::new(value, deviation(values).map(|deviation| deviation / n.sqrt()))
}

/// The standard deviation (n - 1) of values that differ.
pub(crate) fn deviation(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    Some((squares / (n - 1.0)).sqrt())
}

/// The standard error of a number, from its values with one of `groups` groups left out.
///
/// # Errors
/// Errors of the number; fewer than two groups, or more than 2^31. NaN if all values are equal.
pub fn jackknife(groups: usize, without: impl Fn(usize) -> Result<f64, MetricError>) -> Result<f64, MetricError> {
    crate::checks::at_least("the jackknife", "groups of rows", 2, groups)?;
    crate::checks::count("the number of groups", 2, 1 << 31, groups)?;
    let values = (0..groups).map(without).collect::<Result<Vec<f64>, _>>()?;
    Ok((groups as f64 - 1.0) * mean(&values).error)
}

/// The rows of group k of `groups` groups of neighbouring rows, whose sizes differ by at most one.
/// A group beyond the last is empty.
pub fn group(rows: usize, groups: usize, k: usize) -> Range<usize> {
    // At most `rows` if k is at most `groups`, so the result fits.
    let start = |k: usize| if k < groups { (k as u128 * rows as u128 / groups as u128) as usize } else { rows };
    start(k)..start(k.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One value, none, and values that do not differ.
    #[test]
    fn there_is_no_error_without_a_spread() {
        for values in [&[][..], &[2.5], &[1.0; 7], &[0.0, 0.0], &[f64::NAN, 1.0], &[f64::INFINITY, 1.0]] {
            assert_eq!(mean(values).standard_error(), None, "{values:?}");
        }
        let found = mean(&[1.0, 1.0, 1.0, 3.0]);
        assert_eq!((found.value, found.standard_error()), (1.5, Some(0.5)));
        assert!(jackknife(5, |_| Ok(1.0)).unwrap().is_nan());
        assert_eq!(Estimate::new(1.0, None).standard_error(), None);
    }

    #[test]
    fn groups_share_the_rows_out_and_none_is_beyond_them() {
        let all: Vec<_> = (0..4).map(|k| group(10, 4, k)).collect();
        assert_eq!(all, [0..2, 2..5, 5..7, 7..10]);
        for beyond in [group(10, 4, 4), group(10, 4, usize::MAX), group(10, 0, 0), group(10, 0, usize::MAX)] {
            assert_eq!(beyond, 10..10);
        }
        assert_eq!(group(usize::MAX, usize::MAX, usize::MAX - 1), usize::MAX - 1..usize::MAX);
        assert_eq!(group(usize::MAX, 2, 1), usize::MAX / 2..usize::MAX);
    }
}
