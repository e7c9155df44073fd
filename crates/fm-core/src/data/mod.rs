//! Data sets: what training needs of one, and the order in which it takes the rows.
//!
//! A data set implements [`Dataset::len`], [`Dataset::dim`] and [`Dataset::write`], and where rows have classes, [`Dataset::class`]:
//!
//! ```
//! use fm_core::data::{Dataset, Pick};
//! struct Squares;
//! impl Dataset for Squares {
//!     fn len(&self) -> usize {
//!         100
//!     }
//!     fn dim(&self) -> usize {
//!         2
//!     }
//!     fn write(&self, pick: Pick, out: &mut [f32]) {
//!         let x = pick.row as f32 / 100.0;
//!         out.copy_from_slice(&[x, x * x]);
//!     }
//! }
//! let mut row = [0.0; 2];
//! Squares.write(Pick { row: 50, mirrored: false }, &mut row);
//! assert_eq!(row, [0.5, 0.25]);
//! // A table is a data set as it is.
//! assert_eq!(ndarray::array![[1.0f32, 2.0], [3.0, 4.0]].dim(), (2, 2));
//! ```

mod order;

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

/// Rows of `dim` values each, asked for by several threads at once.
pub trait Dataset: Sync {
    /// Number of rows.
    fn len(&self) -> usize;

    /// Values per row.
    fn dim(&self) -> usize;

    /// Writes a row as the network is to see it. `out` holds `dim` values.
    ///
    /// # Panics
    /// An implementation may panic when `pick.row` is not below [`len`](Self::len) or `out` does not hold [`dim`](Self::dim) values.
    fn write(&self, pick: Pick, out: &mut [f32]);

    /// The class of a row, from 0; none in a set without classes.
    fn class(&self, row: usize) -> Option<i64> {
        let _ = row;
        None
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
    fn write(&self, pick: Pick, out: &mut [f32]) {
        let (rows, columns) = Array2::dim(self);
        assert!(pick.row < rows, "row {} is not below the {rows} rows", pick.row);
        assert!(out.len() == columns, "out holds {} values, a row {columns}", out.len());
        out.iter_mut().zip(self.row(pick.row)).for_each(|(to, from)| *to = *from);
    }
}
