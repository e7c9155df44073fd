//! Batches: the data of one step on the host, already paired.
//!
//! A batch is a pure function of its step: any number of workers gives the same result, and a run
//! can resume at any step.
//!
//! ```
//! use fm_train::batch::Batch;
//! let batch = Batch { shape: vec![2], x1: vec![1.0, 2.0, 3.0, 4.0], ..Batch::default() };
//! assert_eq!((batch.rows(), batch.dim(), batch.span()), (2, 2, (0..2, 2)));
//! assert_eq!(batch.part(1..2, 2).x1, [3.0, 4.0]);
//! ```

use crate::TrainError;
use fm_core::data::{DataError, Pick};
use fm_core::source::Source;
use std::ops::Range;

/// One training batch on the host, or a part of its rows: source and data, already paired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The step of the batch; the training loop sets it.
    pub step: u64,
    /// The shape of a row; empty for rows of one value.
    pub shape: Vec<i64>,
    /// Source rows x0, B x dim.
    pub x0: Vec<f32>,
    /// Data rows x1, B x dim, in the network's units; empty if the device holds the data.
    pub x1: Vec<f32>,
    /// The rows of the data set in this batch, if the device holds the data
    /// ([`crate::device_dataset`]).
    pub device_rows: Vec<Pick>,
    /// The class within which each source row chooses its data row on the device, 0 without
    /// classes, if the device holds the data and chooses ([`crate::device_dataset`]).
    pub choosing: Vec<i64>,
    /// The class of each row, with the null class for dropped labels; empty without classes.
    pub classes: Vec<i64>,
    /// The condition vector of each row, with zeros for dropped conditions, B x condition dim;
    /// empty without condition vectors.
    pub conditions: Vec<f32>,
    /// Cost of these pairs relative to independent pairs, if rows were coupled.
    pub coupling_gain: Option<f64>,
    /// Index of the first of these rows in the whole batch; other processes hold the other rows.
    pub first: usize,
    /// Rows of the whole batch; 0 if all rows are here.
    pub whole: usize,
}

impl Batch {
    /// Values per row, at least 1; the largest `usize` if the shape is too large to count.
    pub fn dim(&self) -> usize {
        let sizes = self.shape.iter().map(|n| usize::try_from(*n).unwrap_or(0));
        sizes.fold(1usize, usize::saturating_mul).max(1)
    }

    /// The number of rows in this part.
    pub fn rows(&self) -> usize {
        self.device_rows.len().max(self.choosing.len()).max(self.x1.len() / self.dim())
    }

    /// Range of these rows in the whole batch, and the number of rows of the whole batch.
    pub fn span(&self) -> (Range<usize>, usize) {
        let rows = self.rows();
        (self.first..self.first.saturating_add(rows), self.whole.max(rows))
    }

    /// The given rows of this batch, which has `whole` rows; empty for a range that is not here.
    pub fn part(&self, rows: Range<usize>, whole: usize) -> Self {
        fn of<T: Clone>(values: &[T], rows: &Range<usize>, whole: usize) -> Vec<T> {
            let each = values.len() / whole.max(1);
            values.get(rows.start.saturating_mul(each)..rows.end.saturating_mul(each)).unwrap_or_default().to_vec()
        }
        Self {
            step: self.step,
            shape: self.shape.clone(),
            x0: of(&self.x0, &rows, whole),
            x1: of(&self.x1, &rows, whole),
            device_rows: of(&self.device_rows, &rows, whole),
            choosing: of(&self.choosing, &rows, whole),
            classes: of(&self.classes, &rows, whole),
            conditions: of(&self.conditions, &rows, whole),
            coupling_gain: self.coupling_gain,
            first: self.first.saturating_add(rows.start),
            whole: self.whole.max(whole),
        }
    }

    /// The rows of all batches, concatenated.
    pub(crate) fn concat(batches: &[Self]) -> Self {
        fn all<T: Clone>(batches: &[Batch], of: fn(&Batch) -> &Vec<T>) -> Vec<T> {
            batches.iter().flat_map(of).cloned().collect()
        }
        Self {
            shape: batches.first().map(|batch| batch.shape.clone()).unwrap_or_default(),
            x0: all(batches, |b| &b.x0),
            x1: all(batches, |b| &b.x1),
            device_rows: all(batches, |b| &b.device_rows),
            choosing: all(batches, |b| &b.choosing),
            classes: all(batches, |b| &b.classes),
            conditions: all(batches, |b| &b.conditions),
            ..Self::default()
        }
    }

    /// Splits the rows into equal parts, one for each of `batches`, which keep their step and
    /// place.
    pub(crate) fn split_into(&self, batches: &mut [Self]) {
        let (count, whole) = (batches.len(), self.rows());
        for (k, batch) in batches.iter_mut().enumerate() {
            let each = whole / count.max(1);
            let Self { step, first, whole, .. } = *batch;
            *batch = Self { step, first, whole, ..self.part(k * each..(k + 1) * each, each * count) };
        }
    }
}

/// A source of batches.
pub trait BatchSource: Sync {
    /// The batch of one step. It depends only on the step.
    ///
    /// # Errors
    /// Any error; the training ends with its text.
    fn batch(&self, step: u64) -> Result<Batch, DataError>;

    /// Checks the settings before the first step.
    ///
    /// # Errors
    /// Settings from which no batch, or a wrong one, would result.
    fn validate(&self) -> Result<(), TrainError> {
        Ok(())
    }

    /// The source distribution of x0, if there is one.
    fn source(&self) -> Option<&Source> {
        None
    }
}
