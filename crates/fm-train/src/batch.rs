//! Batches: the data of a step on the host, already paired.
//!
//! A batch is a pure function of its step: the result is the same with any number of workers, and a resumed run starts anywhere.
//!
//! ```
//! use fm_train::batch::Batch;
//! let batch = Batch { x1: vec![1.0, 2.0, 3.0, 4.0], ..Batch::default() };
//! assert_eq!(batch.span(&[2]), (0..2, 2)); // two rows of two values
//! assert_eq!(batch.part(1..2, 2).x1, [3.0, 4.0]);
//! ```

use crate::TrainError;
use fm_core::data::Pick;
use fm_core::source::Source;
use std::ops::Range;

/// One training batch on the host, or some rows of it: source and data, already paired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Source rows x0, B x dim.
    pub x0: Vec<f32>,
    /// Data rows x1, B x dim, normalised; empty where the device holds them.
    pub x1: Vec<f32>,
    /// Which rows of the data set these are, where the device holds it ([`crate::device_dataset`]).
    pub device_rows: Vec<Pick>,
    /// The class of each row, dropped ones as the null class; empty when unconditional.
    pub classes: Vec<i64>,
    /// What pairing gained: the cost of these pairs over that of the pairs as drawn.
    pub coupling_gain: Option<f64>,
    /// Where these rows begin in the batch that other processes have other rows of.
    pub first: usize,
    /// How many rows that one has; 0 where these are all.
    pub whole: usize,
}

/// Values of a row, at least 1; as many as there can be where a shape is too large to count.
fn row_values(shape: &[i64]) -> usize {
    let sizes = shape.iter().map(|n| usize::try_from(*n).unwrap_or(0));
    sizes.fold(1usize, usize::saturating_mul).max(1)
}

impl Batch {
    /// How many rows of this shape there are here.
    pub fn rows(&self, shape: &[i64]) -> usize {
        self.device_rows.len().max(self.x1.len() / row_values(shape))
    }

    /// Which rows of the whole batch these are, and how many that one has.
    pub fn span(&self, shape: &[i64]) -> (Range<usize>, usize) {
        let rows = self.rows(shape);
        (self.first..self.first.saturating_add(rows), self.whole.max(rows))
    }

    /// Some of the `whole` rows that are here; none of those that are not.
    pub fn part(&self, rows: Range<usize>, whole: usize) -> Self {
        fn of<T: Clone>(values: &[T], rows: &Range<usize>, whole: usize) -> Vec<T> {
            let each = values.len() / whole.max(1);
            values.get(rows.start.saturating_mul(each)..rows.end.saturating_mul(each)).unwrap_or_default().to_vec()
        }
        Self {
            x0: of(&self.x0, &rows, whole),
            x1: of(&self.x1, &rows, whole),
            device_rows: of(&self.device_rows, &rows, whole),
            classes: of(&self.classes, &rows, whole),
            coupling_gain: self.coupling_gain,
            first: self.first.saturating_add(rows.start),
            whole: self.whole.max(whole),
        }
    }
}

/// Where batches come from.
pub trait BatchSource: Sync {
    /// The batch of one step. It depends on the step alone.
    ///
    /// # Errors
    /// A text that names the cause and the remedy.
    fn batch(&self, step: u64) -> Result<Batch, String>;

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
