//! Arrays with a class or a condition vector per row.
//!
//! ```
//! use fm_core::data::{Classes, Conditions, Dataset};
//! use ndarray::array;
//! let points = array![[0.0f32, 0.0], [3.0, 4.0]];
//! assert_eq!(Classes::new(points.clone(), vec![0, 1])?.class(1), Some(1));
//! let mut condition = [0.0];
//! Conditions::new(points.clone(), array![[0.0], [5.0]])?.write_condition(1, &mut condition)?;
//! assert_eq!(condition, [5.0]);
//! // A class or a vector is needed for every row, and classes start at 0.
//! assert!(Classes::new(points.clone(), vec![0]).is_err() && Classes::new(points.clone(), vec![0, -1]).is_err());
//! assert!(Conditions::new(points, array![[0.0], [f32::NAN]]).is_err());
//! # Ok::<(), fm_core::data::DataError>(())
//! ```

use super::{DataError, Dataset, Pick};
use crate::Error;
use ndarray::Array2;

/// Rows with one class each, counted from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Classes {
    rows: Array2<f32>,
    classes: Vec<i64>,
}

impl Classes {
    /// Rows (n, dim) and their classes (n).
    ///
    /// # Errors
    /// [`Error::Rows`] if the numbers of classes and rows differ, [`Error::Value`] for a negative
    /// class.
    pub fn new(rows: Array2<f32>, classes: Vec<i64>) -> Result<Self, Error> {
        same_rows("classes of a data set", rows.nrows(), classes.len())?;
        if let Some(class) = classes.iter().find(|class| **class < 0) {
            return Err(Error::Value { name: "a class", domain: "at least 0", value: *class as f64 });
        }
        Ok(Self { rows, classes })
    }
}

impl Dataset for Classes {
    fn len(&self) -> usize {
        self.rows.nrows()
    }

    fn dim(&self) -> usize {
        self.rows.ncols()
    }

    /// # Panics
    /// As `write` of the rows.
    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        self.rows.write(pick, out)
    }

    fn class(&self, row: usize) -> Option<i64> {
        self.classes.get(row).copied()
    }
}

/// Rows with one condition vector each.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    rows: Array2<f32>,
    conditions: Array2<f32>,
}

impl Conditions {
    /// Rows (n, dim) and their condition vectors (n, condition dim).
    ///
    /// # Errors
    /// [`Error::Rows`] if the numbers of vectors and rows differ, [`Error::NotFinite`] for a vector
    /// that is not finite.
    pub fn new(rows: Array2<f32>, conditions: Array2<f32>) -> Result<Self, Error> {
        same_rows("condition vectors of a data set", rows.nrows(), conditions.nrows())?;
        match conditions.outer_iter().position(|vector| vector.iter().any(|v| !v.is_finite())) {
            Some(row) => Err(Error::NotFinite { what: "the condition vectors", row }),
            None => Ok(Self { rows, conditions }),
        }
    }
}

impl Dataset for Conditions {
    fn len(&self) -> usize {
        self.rows.nrows()
    }

    fn dim(&self) -> usize {
        self.rows.ncols()
    }

    /// # Panics
    /// As `write` of the rows.
    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        self.rows.write(pick, out)
    }

    fn condition_dim(&self) -> usize {
        self.conditions.ncols()
    }

    /// # Panics
    /// When `row` is not below the number of rows, or the length of `out` is not that of a
    /// condition vector.
    fn write_condition(&self, row: usize, out: &mut [f32]) -> Result<(), DataError> {
        self.conditions.write(Pick { row, mirrored: false }, out)
    }
}

fn same_rows(what: &'static str, expected: usize, got: usize) -> Result<(), Error> {
    if got == expected { Ok(()) } else { Err(Error::Rows { what, expected, got }) }
}
