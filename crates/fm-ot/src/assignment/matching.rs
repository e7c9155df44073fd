//! A partial assignment with its prices, passed from one stage of the method to the next.

/// Marks a row without a column, and a column without a row.
pub(super) const NONE: usize = usize::MAX;

/// The assignment and the prices that all stages work on.
pub(super) struct Matching<'a> {
    pub(super) cost: &'a [f64],
    pub(super) rows: usize,
    pub(super) column_of: Vec<usize>,
    pub(super) row_of: Vec<usize>,
    pub(super) v: Vec<f64>,
}

impl<'a> Matching<'a> {
    pub(super) fn row(&self, i: usize) -> &'a [f64] {
        let columns = self.row_of.len();
        &self.cost[i * columns..(i + 1) * columns]
    }
}
