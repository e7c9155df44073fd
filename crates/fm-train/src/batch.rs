//! Batches: the data of a step on the host, already paired.
//!
//! A batch is a pure function of its step: the result is the same with any number of workers, and a resumed run starts anywhere.
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

/// One training batch on the host, or some rows of it: source and data, already paired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The step that the batch is for; the training loop sets it.
    pub step: u64,
    /// The shape of a row; empty for rows of one value.
    pub shape: Vec<i64>,
    /// Source rows x0, B x dim.
    pub x0: Vec<f32>,
    /// Data rows x1, B x dim, in the network's units; empty where the device holds them.
    pub x1: Vec<f32>,
    /// The rows of the data set that these are, where the device holds it ([`crate::device_dataset`]).
    pub device_rows: Vec<Pick>,
    /// The class of each row, dropped ones as the null class; empty without classes.
    pub classes: Vec<i64>,
    /// The condition vector of each row, dropped ones as zeros, B x condition dim; empty without condition vectors.
    pub conditions: Vec<f32>,
    /// The cost of these pairs over that of independent ones, where rows were coupled.
    pub coupling_gain: Option<f64>,
    /// The first of these rows in the whole batch, of which other processes have other rows.
    pub first: usize,
    /// Rows of the whole batch; 0 where these are all.
    pub whole: usize,
}

impl Batch {
    /// Values per row, at least 1; the largest number for a shape that is too large to count.
    pub fn dim(&self) -> usize {
        let sizes = self.shape.iter().map(|n| usize::try_from(*n).unwrap_or(0));
        sizes.fold(1usize, usize::saturating_mul).max(1)
    }

    /// The number of rows here.
    pub fn rows(&self) -> usize {
        self.device_rows.len().max(self.x1.len() / self.dim())
    }

    /// The rows of the whole batch that are here, and the number of rows of the whole batch.
    pub fn span(&self) -> (Range<usize>, usize) {
        let rows = self.rows();
        (self.first..self.first.saturating_add(rows), self.whole.max(rows))
    }

    /// Some of the `whole` rows that are here; none of those that are not.
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
            classes: of(&self.classes, &rows, whole),
            conditions: of(&self.conditions, &rows, whole),
            coupling_gain: self.coupling_gain,
            first: self.first.saturating_add(rows.start),
            whole: self.whole.max(whole),
        }
    }

    /// The rows of all batches, one after the other.
    pub(crate) fn concat(batches: &[Self]) -> Self {
        fn all<T: Clone>(batches: &[Batch], of: fn(&Batch) -> &Vec<T>) -> Vec<T> {
            batches.iter().flat_map(of).cloned().collect()
        }
        Self {
            shape: batches.first().map(|batch| batch.shape.clone()).unwrap_or_default(),
            x0: all(batches, |b| &b.x0),
            x1: all(batches, |b| &b.x1),
            device_rows: all(batches, |b| &b.device_rows),
            classes: all(batches, |b| &b.classes),
            conditions: all(batches, |b| &b.conditions),
            ..Self::default()
        }
    }

    /// Deals the rows out to as many equal batches, which keep their step and place.
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
    /// The batch of one step. It depends on the step alone.
    ///
    /// # Errors
    /// Any error; the training ends with its text.
    fn batch(&self, step: u64) -> Result<Batch, DataError>;

    /// Checks the settings before the first step.
    ///
    /// # Errors
    /// Settings from which no batch, or a wrong one, would be made.
    fn validate(&self) -> Result<(), TrainError> {
        Ok(())
    }

    /// The source that x0 is drawn from, where there is one.
    fn source(&self) -> Option<&Source> {
        None
    }
}
