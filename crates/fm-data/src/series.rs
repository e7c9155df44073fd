//! Sequences: rows of L places with C channels, as rows of L C numbers, place by place.
//!
//! A time series, one row per time, becomes a set of sequences by its windows of L consecutive
//! rows, of which each starts `stride` rows after the one before.
//!
//! ```
//! use fm_data::series::{Series, windows};
//! let series = ndarray::array![[0.0, 10.0], [1.0, 11.0], [2.0, 12.0], [3.0, 13.0]];
//! let rows = windows(series.view(), 2, 2)?;
//! assert_eq!(rows, ndarray::array![[0.0, 10.0, 1.0, 11.0], [2.0, 12.0, 3.0, 13.0]]);
//! assert_eq!(Series::new(2, 4)?, Series { length: 2, channels: 2 });
//! assert!(windows(series.view(), 5, 1).is_err() && Series::new(3, 4).is_err());
//! # Ok::<(), fm_data::DataError>(())
//! ```

use crate::DataError;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// The shape of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Number of places.
    pub length: usize,
    /// Numbers per place.
    pub channels: usize,
}

impl Series {
    /// The shape of sequences of `length` places in rows of `columns` numbers.
    ///
    /// # Errors
    /// [`DataError::Windows`] if the places do not divide the columns.
    pub fn new(length: usize, columns: usize) -> Result<Self, DataError> {
        if length == 0 || columns == 0 || !columns.is_multiple_of(length) {
            let problem = format!("rows of {columns} numbers are not sequences of {length} places");
            return Err(DataError::Windows { problem, remedy: "give a length that divides the columns" });
        }
        Ok(Self { length, channels: columns / length })
    }
}

/// The windows of a series (T, C), as rows (n, L C); n = (T - L) / stride + 1, rounded down.
///
/// # Errors
/// [`DataError::Windows`] for a length or a stride of 0, a series that is shorter than a window,
/// and more numbers than fit into memory.
pub fn windows(series: ArrayView2<'_, f64>, length: usize, stride: usize) -> Result<Array2<f64>, DataError> {
    let (times, channels) = series.dim();
    let refuse = |problem: String, remedy| Err(DataError::Windows { problem, remedy });
    if length == 0 || stride == 0 || channels == 0 {
        return refuse(format!("windows of {length} rows at a stride of {stride}"), "give at least 1 of each");
    }
    if times < length {
        let problem = format!("the series has {times} rows, a window {length}");
        return refuse(problem, "give shorter windows, or a longer series");
    }
    let count = (times - length) / stride + 1;
    let mut values = Vec::new();
    let numbers = count.checked_mul(length).and_then(|n| n.checked_mul(channels));
    if numbers.is_none_or(|numbers| values.try_reserve_exact(numbers).is_err()) {
        return refuse(format!("{count} windows of {length} rows do not fit into memory"), "give a larger stride");
    }
    for first in (0..count).map(|k| k * stride) {
        series.outer_iter().skip(first).take(length).for_each(|row| values.extend(row));
    }
    let shape = (count, length * channels);
    Array2::from_shape_vec(shape, values)
        .map_err(|e| DataError::Windows { problem: e.to_string(), remedy: "report this" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_overlap_share_rows() {
        let series = Array2::from_shape_fn((10, 1), |(t, _)| t as f64);
        let rows = windows(series.view(), 4, 3).unwrap();
        assert_eq!(rows.column(0).to_vec(), [0.0, 3.0, 6.0]);
        assert_eq!(rows.row(1).to_vec(), [3.0, 4.0, 5.0, 6.0]);
        assert_eq!(windows(series.view(), 10, 1).unwrap().nrows(), 1);
        for (length, stride) in [(0, 1), (1, 0), (11, 1), (usize::MAX, 1)] {
            let error = windows(series.view(), length, stride).unwrap_err().to_string();
            assert!(error.contains("; give"), "{error}");
        }
    }
}
