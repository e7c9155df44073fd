//! Data sets: the interface that training uses, and the order of the rows.
//!
//! A data set implements [`Dataset::len`], [`Dataset::dim`] and [`Dataset::write`], and also
//! [`Dataset::class`] if its rows have classes:
//!
//! ```
//! use fm_core::data::{DataError, Dataset, Pick};
//! struct Squares;
//! impl Dataset for Squares {
//!     fn len(&self) -> usize {
//!         100
//!     }
//!     fn dim(&self) -> usize {
//!         2
//!     }
//!     fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
//!         let x = pick.row as f32 / 100.0;
//!         out.copy_from_slice(&[x, x * x]);
//!         Ok(())
//!     }
//! }
//! let mut row = [0.0; 2];
//! Squares.write(Pick { row: 50, mirrored: false }, &mut row)?;
//! assert_eq!(row, [0.5, 0.25]);
//! // An array is a data set without a wrapper.
//! assert_eq!(ndarray::array![[1.0f32, 2.0], [3.0, 4.0]].dim(), (2, 2));
//! # Ok::<(), DataError>(())
//! ```

mod augment;
mod conditioned;
mod order;

pub use augment::Augment;
pub use conditioned::{Classes, Conditions};
pub use order::Order;

use ndarray::Array2;

/// A row of a batch, and whether to mirror it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pick {
    /// The row number.
    pub row: usize,
    /// Whether to mirror the row left to right; ignored by data sets whose rows are not images.
    pub mirrored: bool,
}

/// Why a row cannot be read: any error of the data set.
pub type DataError = Box<dyn std::error::Error + Send + Sync>;

/// Rows of `dim` values each, read by several threads concurrently.
#[doc(alias = "TensorDataset")]
pub trait Dataset: Sync {
    /// Number of rows.
    fn len(&self) -> usize;

    /// Values per row.
    fn dim(&self) -> usize;

    /// The shape of a row as the network takes it, [`dim`](Self::dim) values in all: (channels,
    /// height, width) for an image.
    fn shape(&self) -> Vec<usize> {
        vec![self.dim()]
    }

    /// Writes a row in the network's units. `out` holds `dim` values.
    ///
    /// # Errors
    /// A row that cannot be read; training then stops with this error.
    ///
    /// # Panics
    /// An implementation may panic when `pick.row` is not below [`len`](Self::len) or `out` does
    /// not hold [`dim`](Self::dim) values.
    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError>;

    /// The class of a row, counted from 0; `None` if the data set has no classes.
    fn class(&self, row: usize) -> Option<i64> {
        let _ = row;
        None
    }

    /// Length of each row's condition vector; 0 if the data set has none.
    fn condition_dim(&self) -> usize {
        0
    }

    /// Writes the condition vector of a row. `out` holds [`condition_dim`](Self::condition_dim)
    /// values.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_condition(&self, row: usize, out: &mut [f32]) -> Result<(), DataError> {
        let _ = (row, out);
        Ok(())
    }

    /// Whether rows are drawn when they are read, so that any row number is new data. Training then
    /// takes the rows in order, and none twice.
    fn is_endless(&self) -> bool {
        false
    }

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Dataset for Array2<f32> {
    fn len(&self) -> usize {
        self.nrows()
    }

    fn dim(&self) -> usize {
        self.ncols()
    }

    /// # Panics
    /// When `pick.row` is not below the number of rows, or the length of `out` is not the number of
    /// columns.
    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        let (rows, columns) = Array2::dim(self);
        assert!(pick.row < rows, "row {} is not below the {rows} rows", pick.row);
        assert!(out.len() == columns, "out holds {} values, a row {columns}", out.len());
        out.iter_mut().zip(self.row(pick.row)).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}
