//! Batches of a data set: shuffled rows, random mirroring, label dropout, and paired source rows.
//!
//! A batch is a function of (seed, step, row), independent of the thread that makes it. [`Order`] gives each row once per epoch, labels are
//! dropped per row, and [`Pairing`] adds the source rows.
//!
//! ```
//! use fm_core::source::Source;
//! use fm_train::batch::BatchSource;
//! use fm_train::data::{BatchOptions, Batches};
//! use fm_train::pairing::Pairing;
//! let table = ndarray::array![[0.0f32], [1.0], [2.0], [3.0]];
//! let pairing = Pairing::new(Source::default(), None, 0, 1);
//! let batches = Batches::new(&table, pairing, BatchOptions { rows: 2, ..BatchOptions::default() });
//! let mut epoch = [batches.batch(0).unwrap().x1, batches.batch(1).unwrap().x1].concat();
//! epoch.sort_by(f32::total_cmp);
//! assert_eq!(epoch, [0.0, 1.0, 2.0, 3.0]);
//! ```

use crate::TrainError;
use crate::batch::{Batch, BatchSource};
use crate::collective::Shard;
use crate::pairing::{Pairing, Rows};
use fm_core::data::{Dataset, Order, Pick};
use fm_core::rng::{self, Stream};
use fm_core::source::Source;
use rand::Rng;
use std::ops::Range;

/// How batches are made of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchOptions {
    /// Rows of a batch.
    pub rows: usize,
    /// Mirror rows at random.
    pub mirror: bool,
    /// Condition the model on the rows' classes.
    pub conditional: bool,
    /// The null class, and the probability that it replaces a row's class (for classifier-free guidance).
    pub dropped: Option<(i64, f64)>,
    /// Give row numbers instead of values, for data in device memory ([`crate::device_dataset`]).
    pub resident: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { rows: 64, mirror: false, conditional: false, dropped: None, resident: false }
    }
}

/// Batches of a data set.
pub struct Batches<'a> {
    data: &'a dyn Dataset,
    order: Order,
    pairing: Pairing,
    options: BatchOptions,
}

impl std::fmt::Debug for Batches<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches")
            .field("options", &self.options)
            .field("pairing", &self.pairing)
            .finish_non_exhaustive()
    }
}

impl<'a> Batches<'a> {
    /// Batches of `data`, with the seed of the pairing.
    pub fn new(data: &'a dyn Dataset, pairing: Pairing, options: BatchOptions) -> Self {
        Self { data, order: Order::new(pairing.seed(), data.len()), pairing, options }
    }

    /// A process's rows of a step's batch.
    fn rows(&self, step: u64, shard: Shard) -> Rows {
        let o = &self.options;
        let mirrored =
            |i: usize| o.mirror && rng::stream(self.pairing.seed(), step, Stream::Augment, i as u64).random();
        let (wanted, order) = (shard.rows(o.rows), self.order.batch(step, o.rows));
        let device_rows: Vec<Pick> = wanted.clone().map(|i| Pick { row: order[i], mirrored: mirrored(i) }).collect();
        let classes = if o.conditional { self.classes(step, wanted, &device_rows) } else { Vec::new() };
        let mut x1 = Vec::new();
        if !o.resident || self.pairing.looks_at_rows() {
            x1.resize(device_rows.len() * self.data.dim(), 0.0);
            let rows = x1.chunks_exact_mut(self.data.dim().max(1));
            device_rows.iter().zip(rows).for_each(|(pick, out)| self.data.write(*pick, out));
        }
        Rows { x1, classes, device_rows: if o.resident { device_rows } else { Vec::new() }, whole: o.rows }
    }

    fn classes(&self, step: u64, rows: Range<usize>, device_rows: &[Pick]) -> Vec<i64> {
        let dropped = |i: usize| {
            let (null, share) = self.options.dropped?;
            rng::stream(self.pairing.seed(), step, Stream::LabelDrop, i as u64).random_bool(share).then_some(null)
        };
        let class = |(i, pick): (usize, &Pick)| dropped(i).unwrap_or_else(|| self.data.class(pick.row).unwrap_or(0));
        rows.zip(device_rows).map(class).collect()
    }
}

impl BatchSource for Batches<'_> {
    fn validate(&self) -> Result<(), TrainError> {
        let (o, rows) = (&self.options, self.data.len());
        if rows == 0 || self.data.dim() == 0 {
            return Err(TrainError::setting(
                "data set",
                format!("{rows} rows of {} values", self.data.dim()),
                "give data",
            ));
        }
        if o.rows == 0 {
            return Err(TrainError::setting("batch size", 0, "give at least 1"));
        }
        if let Some((null, share)) = o.dropped
            && !((0.0..=1.0).contains(&share) && null >= 0)
        {
            return Err(TrainError::setting(
                "label drop",
                format!("{share} (to class {null})"),
                "give a share from 0 to 1",
            ));
        }
        if o.conditional
            && let Some(row) = (0..rows).find(|row| self.data.class(*row).is_none_or(|class| class < 0))
        {
            let remedy =
                format!("row {row} of the data has no class, or a negative one: give classes, or train without");
            return Err(TrainError::setting("conditional", true, remedy));
        }
        Ok(())
    }

    fn source(&self) -> Option<&Source> {
        Some(self.pairing.source())
    }

    fn batch(&self, step: u64) -> Result<Batch, String> {
        let mut batch = self.pairing.batch(step, self.data.dim(), |step, shard| self.rows(step, shard))?;
        if self.options.resident {
            batch.x1 = Vec::new();
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn device_rows(mirror: bool) -> Vec<Pick> {
        let table = Array2::zeros((50, 3));
        let pairing = Pairing::new(Source::default(), None, 0, 1);
        let options = BatchOptions { rows: 200, mirror, resident: true, ..BatchOptions::default() };
        Batches::new(&table, pairing, options).batch(0).unwrap().device_rows
    }

    #[test]
    fn rows_are_mirrored_half_the_time_or_never_and_each_by_its_own_chance() {
        assert!(device_rows(false).iter().all(|pick| !pick.mirrored));
        let mirrored = device_rows(true);
        let count = mirrored.iter().filter(|pick| pick.mirrored).count();
        assert!((60..140).contains(&count), "{count} of 200");
        // The same row, met again in the batch, is not always turned the same way.
        let both = |row| [true, false].iter().all(|m| mirrored.iter().any(|p| p.row == row && p.mirrored == *m));
        assert!((0..50).any(both));
    }
}
