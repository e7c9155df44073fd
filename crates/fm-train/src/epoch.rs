//! Epochs: passes over a data set of a fixed number of rows.
//!
//! Batches are cut from one sequence that passes over the data again and again, so after s steps of
//! B rows s B / n passes over n rows are done, and a batch may span two epochs. Epoch k ends with
//! the first step s at which s B >= k n.
//!
//! ```
//! use fm_train::epoch::EpochLength;
//! let epoch = EpochLength::new(100, 32).unwrap();
//! assert_eq!(epoch.passes(25), 8.0);
//! // 100 rows are done in step 4, 200 in step 7, 300 in step 10.
//! let ends: Vec<u64> = (1..=10).filter(|step| epoch.ends_with(*step)).collect();
//! assert_eq!(ends, [4, 7, 10]);
//! assert_eq!((epoch.total(3), epoch.interval(1.0), epoch.interval(10.0)), (Some(10), 3, 30));
//! assert!(EpochLength::new(0, 32).is_none());
//! ```

/// Rows per epoch and per step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochLength {
    rows: u64,
    batch: u64,
}

impl EpochLength {
    /// The length for a data set of `rows` rows, of which each step takes `batch`, over all
    /// processes; `None` if either is 0.
    pub fn new(rows: u64, batch: u64) -> Option<Self> {
        (rows > 0 && batch > 0).then_some(Self { rows, batch })
    }

    /// The passes over the data that are done after this number of steps.
    pub fn passes(&self, steps: u64) -> f64 {
        steps as f64 * self.batch as f64 / self.rows as f64
    }

    /// Whether the step with this number, from 1, is the last of an epoch.
    pub fn ends_with(&self, step: u64) -> bool {
        self.completed(step) > self.completed(step.saturating_sub(1))
    }

    /// The steps of this number of epochs; `None` if they do not fit into 64 bits.
    pub fn total(&self, epochs: u64) -> Option<u64> {
        u64::try_from((u128::from(epochs) * u128::from(self.rows)).div_ceil(u128::from(self.batch))).ok()
    }

    /// The steps of an interval in epochs, at least 1. The interval of one epoch is rounded to
    /// whole steps first, so two epochs have twice the steps of one.
    pub fn interval(&self, epochs: f64) -> u64 {
        let one = (self.rows as f64 / self.batch as f64).round().max(1.0);
        (epochs * one).round().max(1.0) as u64
    }

    /// The epochs that are complete after this number of steps.
    fn completed(&self, steps: u64) -> u128 {
        u128::from(steps) * u128::from(self.batch) / u128::from(self.rows)
    }
}
