//! Rows of numbers with named columns, and optionally a class per row.
//!
//! ```
//! use fm_data::Table;
//! let table = Table::of(ndarray::array![[1.0, 2.0], [3.0, 4.0]]);
//! assert_eq!((table.names.as_slice(), table.has_names()), (&["1".to_owned(), "2".into()][..], false));
//! assert_eq!(table.select(&[1]).values, ndarray::array![[3.0, 4.0]]);
//! ```

use crate::DataError;
use crate::series::{Series, windows};
use fm_core::data::{Dataset, Pick};
use ndarray::Array2;

/// Rows of numbers: f64 in the units of a file, f32 in those of a network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table<T = f64> {
    /// The column names: those of the header, or column numbers starting at 1.
    pub names: Vec<String>,
    /// (rows, columns).
    pub values: Array2<T>,
    /// The class of each row; empty if there are no classes.
    pub labels: Vec<u16>,
    /// The class names, in alphabetical order.
    pub classes: Vec<String>,
    /// The name of the column of classes; empty if it has none.
    pub label: String,
    /// The assumptions about the data, one line each, for a program to print.
    pub notes: Vec<String>,
    /// The shape of the rows, if they are sequences.
    pub series: Option<Series>,
}

impl<T: Clone + Default> Table<T> {
    /// A table of numbers only, whose columns are named by their numbers starting at 1. If there
    /// are no rows, only the first million columns have names.
    pub fn of(values: Array2<T>) -> Self {
        let named = if values.is_empty() { values.ncols().min(1_000_000) } else { values.ncols() };
        Self { names: (1..=named).map(|k| k.to_string()).collect(), values, ..Self::default() }
    }

    /// A table of the given rows.
    ///
    /// # Panics
    /// If one of `rows` is not below the number of rows.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            values: self.values.select(ndarray::Axis(0), rows),
            labels: rows.iter().filter_map(|row| self.labels.get(*row)).copied().collect(),
            ..self.clone_names()
        }
    }

    fn clone_names(&self) -> Self {
        let (names, classes, label) = (self.names.clone(), self.classes.clone(), self.label.clone());
        Self { names, classes, label, notes: self.notes.clone(), series: self.series, ..Self::default() }
    }

    /// Whether the columns have names other than their numbers.
    pub fn has_names(&self) -> bool {
        are_names(&self.names)
    }
}

impl Table {
    /// The [windows](crate::series::windows) of a table whose rows are times, as a table of sequences.
    /// The columns of place k are named `NAME@k`.
    ///
    /// # Errors
    /// As [`windows`]; a table of sequences already, and a table with classes.
    pub fn windows(&self, length: usize, stride: usize) -> Result<Self, DataError> {
        let refuse = |problem: &str, remedy| Err(DataError::Windows { problem: problem.into(), remedy });
        if self.series.is_some() {
            return refuse("its rows are sequences already", "leave out the windows");
        }
        if !self.labels.is_empty() {
            return refuse("a window of rows with classes has several classes", "leave out the classes");
        }
        let values = windows(self.values.view(), length, stride)?;
        let named = |k: usize| self.names.iter().map(move |name| format!("{name}@{k}"));
        let names = (0..length).flat_map(named).collect();
        let series = Some(Series { length, channels: self.values.ncols() });
        Ok(Self { names, values, notes: self.notes.clone(), series, ..Self::default() })
    }
}

impl Dataset for Table<f32> {
    fn len(&self) -> usize {
        self.values.nrows()
    }

    fn dim(&self) -> usize {
        self.values.ncols()
    }

    fn write(&self, pick: Pick, out: &mut [f32]) -> Result<(), fm_core::data::DataError> {
        self.values.write(pick, out)
    }

    fn class(&self, row: usize) -> Option<i64> {
        self.labels.get(row).map(|class| i64::from(*class))
    }
}

/// Whether column names are other than the numbers 1, 2, ...
pub(super) fn are_names(names: &[String]) -> bool {
    !names.iter().zip(1..).all(|(name, k): (_, usize)| *name == k.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_tables_of_sequences() {
        let values = Array2::from_shape_fn((10, 1), |(t, _)| t as f64);
        let table = Table { names: vec!["mv".into()], ..Table::of(values) };
        let found = table.windows(4, 3).unwrap();
        assert_eq!((found.names[3].as_str(), found.values.row(1).to_vec()), ("mv@3", vec![3.0, 4.0, 5.0, 6.0]));
        assert_eq!(found.series, Some(Series { length: 4, channels: 1 }));
        assert!(found.windows(2, 1).is_err());
        assert!(Table { labels: vec![0; 10], ..table.clone() }.windows(2, 1).is_err());
        assert!(table.select(&[]).windows(usize::MAX, 1).is_err());
    }
}
