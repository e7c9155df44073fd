//! Data sets: what training needs of one, and the order in which it takes the rows.
//!
//! A data set implements [`Dataset::len`], [`Dataset::dim`] and [`Dataset::write`], and where rows have classes, [`Dataset::class`]:
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
//! // A table is a data set as it is.
//! assert_eq!(ndarray::array![[1.0f32, 2.0], [3.0, 4.0]].dim(), (2, 2));
//! # Ok::<(), DataError>(())
//! ```

mod conditioned;
mod order;

pub use conditioned::{Classes, Conditions};
pub use order::Order;

use ndarray::Array2;

/// A row that a batch takes, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pick {
    /// Its number.
    pub row: usize,
    /// Left and right exchanged, for rows that have them; others take no notice.
    pub mirrored: bool,
}

/// Why a row cannot be read: any error of the data set.
pub type DataError = Box<dyn std::error::Error + Send + Sync>;

/// Rows of `dim` values each, read by several threads at once.
#[doc(alias = "TensorDataset")]
pub trait Dataset: Sync {
    /// Number of rows.
    fn len(&self) -> usize;

    /// Values per row.
    fn dim(&self) -> usize;

    /// The shape of a row in the network's input, [`dim`](Self::dim) values in all: (channels, height, width) of an image.
    fn shape(&self) -> Vec<usize> {
        vec![self.dim()]
    }

    /// Writes a row in the network's units. `out` holds `dim` values.
    ///
    /// # Errors
    /// A row that cannot be read; the training ends with it.
    ///
    /// # Panics
    /// An implementation may panic when `pick.row` is not below [`len`](Self::len) or `out` does not hold [`dim`](Self::dim) values.
    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError>;

    /// The class of a row, from 0; `None` in a set without classes.
    fn class(&self, row: usize) -> Option<i64> {
        let _ = row;
        None
    }

    /// Values of the condition vector of each row; 0 in a set without condition vectors.
    fn condition_dim(&self) -> usize {
        0
    }

    /// Writes the condition vector of a row. `out` holds [`condition_dim`](Self::condition_dim) values.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn write_condition(&self, row: usize, out: &mut [f32]) -> Result<(), DataError> {
        let _ = (row, out);
        Ok(())
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
    /// When `pick.row` is not below the number of rows, or `out` has another length than the number of columns.
    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), DataError> {
        let (rows, columns) = Array2::dim(self);
        assert!(pick.row < rows, "row {} is not below the {rows} rows", pick.row);
        assert!(out.len() == columns, "out holds {} values, a row {columns}", out.len());
        out.iter_mut().zip(self.row(pick.row)).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}
