//! Which rows make up a training batch: a pure function of (seed, step).
//!
//! Global row g = step * batch + i belongs to epoch g / n, whose permutation is drawn from (seed,
//! epoch). A batch may span two epochs, so every row appears exactly once per epoch and none is
//! dropped.
//!
//! ```
//! use fm_core::data::Order;
//! let order = Order::new(7, 10);
//! let mut epoch: Vec<usize> = (0..5).flat_map(|step| order.batch(step, 2)).collect();
//! epoch.sort();
//! assert_eq!(epoch, (0..10).collect::<Vec<_>>());
//! ```

use crate::rng::{Key, Stream};
use rand::seq::SliceRandom;
use std::sync::{Arc, Mutex, PoisonError};

/// The order of a data set of n rows over all epochs. Shared between the loader's threads.
#[derive(Debug)]
#[doc(alias = "RandomSampler")]
pub struct Order {
    seed: u64,
    rows: usize,
    /// The two most recently used epochs: threads are at most a few batches apart.
    recent: Mutex<Vec<(u64, Arc<Vec<u32>>)>>,
}

impl Order {
    /// The order of `rows` rows in the run of this seed.
    ///
    /// # Panics
    /// When `rows` is above `u32::MAX`.
    pub fn new(seed: u64, rows: usize) -> Self {
        assert!(u32::try_from(rows).is_ok(), "an order of {rows} rows: there may be at most {}", u32::MAX);
        Self { seed, rows, recent: Mutex::new(Vec::new()) }
    }

    /// The rows of one step; empty if the data set is empty.
    ///
    /// # Panics
    /// When memory cannot hold `batch` row numbers, or the permutation of an epoch (four bytes per
    /// row of the data set).
    pub fn batch(&self, step: u64, batch: usize) -> Vec<usize> {
        // In 128 bits: the global row number may exceed 64 bits.
        let (n, mut rows) = (self.rows as u128, Vec::new());
        if n == 0 {
            return rows;
        }
        assert!(rows.try_reserve_exact(batch).is_ok(), "memory cannot hold a batch of {batch} row numbers");
        let mut next = u128::from(step) * batch as u128;
        let end = next + batch as u128;
        while next < end {
            let epoch = next / n;
            let last = end.min((epoch + 1) * n);
            let part = (next - epoch * n) as usize..(last - epoch * n) as usize;
            rows.extend(self.epoch(epoch as u64)[part].iter().map(|row| *row as usize));
            next = last;
        }
        rows
    }

    fn epoch(&self, epoch: u64) -> Arc<Vec<u32>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = recent.iter().find(|(e, _)| *e == epoch) {
            return order.clone();
        }
        let mut order = Vec::new();
        assert!(order.try_reserve_exact(self.rows).is_ok(), "memory cannot hold a permutation of {} rows", self.rows);
        order.extend(0..self.rows as u32);
        order.shuffle(&mut Key::new(self.seed, epoch, Stream::Order).generator(0));
        let order = Arc::new(order);
        if recent.len() > 1 {
            recent.remove(0);
        }
        recent.push((epoch, order.clone()));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_a_function_of_seed_and_step_alone() {
        let (a, b) = (Order::new(3, 100), Order::new(3, 100));
        let forwards: Vec<_> = (0..20).map(|s| a.batch(s, 16)).collect();
        let backwards: Vec<_> = (0..20).rev().map(|s| b.batch(s, 16)).collect();
        assert_eq!(forwards, backwards.into_iter().rev().collect::<Vec<_>>());
        assert_ne!(forwards[0], Order::new(4, 100).batch(0, 16));
    }

    #[test]
    fn the_last_step_of_all_has_a_batch_and_a_set_without_rows_an_empty_one() {
        let last = Order::new(1, 3).batch(u64::MAX, 5);
        assert!(last.len() == 5 && last.iter().all(|row| *row < 3));
        assert!(Order::new(1, 0).batch(0, 5).is_empty());
    }

    #[test]
    #[should_panic(expected = "there may be at most 4294967295")]
    fn an_order_of_more_rows_than_its_numbers_reach_is_refused() {
        let _ = Order::new(1, u32::MAX as usize + 1);
    }

    #[test]
    fn batches_may_exceed_the_data() {
        let order = Order::new(0, 3);
        let mut rows = order.batch(0, 6);
        rows.sort_unstable();
        assert_eq!(rows, [0, 0, 1, 1, 2, 2]);
    }
}
