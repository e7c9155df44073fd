//! Squared distances between many rows, computed block by block.
//!
//! |x - y|^2 = |x|^2 + |y|^2 - 2 x . y relative to a point amid the rows, in f64. This is a matrix product, exact for whole numbers
//! (pixels) and otherwise accurate to 1e-15 of the rows' spread. Nothing larger than a block is
//! stored.

use crate::MetricError;
use crate::checks::first_bad;
use crate::points::Points;
use fm_core::product::matmul_nt;
use ndarray::{Array1, Array2};

/// Squared norms from this value on are rejected, because sums of them may not be finite.
const LARGEST: f64 = 1e300;

/// Rows per block on either side.
pub(crate) const BLOCK: usize = 256;

/// Rows relative to a point, with their squared norms.
pub(crate) struct Block {
    values: Array2<f64>,
    norms: Vec<f64>,
}

impl Block {
    pub(crate) fn new(rows: Points<'_>, about: &Array1<f64>) -> Self {
        let values = rows.to_f64() - about;
        let norms = values.rows().into_iter().map(|row| row.dot(&row)).collect();
        Self { values, norms }
    }

    /// Fails unless these rows, which start at `first_row`, have finite norms: with NaN, every row
    /// would be at distance 0.
    pub(crate) fn check(&self, set: &'static str, first_row: usize, rows: Points<'_>) -> Result<(), MetricError> {
        if self.norms.iter().all(|norm| *norm < LARGEST) {
            return Ok(());
        }
        first_bad(set, first_row, rows, f64::is_finite)?;
        first_bad(set, first_row, rows, |value| value * value < LARGEST / 1e10)
    }

    /// Squared distances to each row of another block.
    pub(crate) fn squared(&self, other: &Self) -> Array2<f64> {
        let mut squared = matmul_nt(self.values.view(), other.values.view());
        for (mut row, norm) in squared.rows_mut().into_iter().zip(&self.norms) {
            row.iter_mut().zip(&other.norms).for_each(|(v, other)| *v = (norm + other - 2.0 * *v).max(0.0));
        }
        squared
    }
}

/// A point amid the rows: their mean, rounded so that whole numbers stay whole, unless the rows
/// exceed the precision of f32.
pub(crate) fn amid(rows: Points<'_>) -> Array1<f64> {
    let some = rows.rows(0..rows.nrows().min(BLOCK));
    // Rounding is harmless for features of f32 precision: the mean only reduces rounding errors.
    if some.beyond_f32() { some.mean() } else { some.mean().mapv(f64::round) }
}

/// Calls `see(first row of the block, squared distances)` with the distances between a block and
/// all rows of a table, in order.
///
/// # Errors
/// A row of the table that is not finite.
pub(crate) fn for_each(
    block: &Block,
    table: Points<'_>,
    about: &Array1<f64>,
    mut see: impl FnMut(usize, &Array2<f64>),
) -> Result<(), MetricError> {
    for first in (0..table.nrows()).step_by(BLOCK) {
        let rows = table.rows(first..table.nrows().min(first + BLOCK));
        let others = Block::new(rows, about);
        others.check("reference", first, rows)?;
        see(first, &block.squared(&others));
    }
    Ok(())
}
