//! Which rows make up a training batch: a pure function of (seed, step).
//!
//! Global row g = step * batch + i belongs to epoch g / n, whose permutation comes from (seed, epoch); a batch may straddle two
//! epochs, so that every row is seen exactly once an epoch and none is dropped.
//!
//! ```
//! use fm_core::data::Order;
//! let order = Order::new(7, 10);
//! let mut epoch: Vec<usize> = (0..5).flat_map(|step| order.batch(step, 2)).collect();
//! epoch.sort();
//! assert_eq!(epoch, (0..10).collect::<Vec<_>>());
//! ```

use crate::rng::{self, Stream};
use rand::seq::SliceRandom;
use std::sync::{Arc, Mutex, PoisonError};

/// The order of a data set of n rows over all epochs. Shared by the loader's threads.
#[derive(Debug)]
pub struct Order {
    seed: u64,
    rows: usize,
    /// The two epochs used last: threads work a few batches apart at most.
    recent: Mutex<Vec<(u64, Arc<Vec<u32>>)>>,
}

impl Order {
    /// The order of `rows` rows (at least one) in the run of this seed.
    pub fn new(seed: u64, rows: usize) -> Self {
        Self { seed, rows: rows.max(1), recent: Mutex::new(Vec::new()) }
    }

    /// The rows of one step.
    pub fn batch(&self, step: u64, batch: usize) -> Vec<usize> {
        let (n, mut rows) = (self.rows as u64, Vec::with_capacity(batch));
        let (mut next, end) = (step * batch as u64, (step + 1) * batch as u64);
        while next < end {
            let epoch = next / n;
            let last = end.min((epoch + 1) * n);
            let part = (next - epoch * n) as usize..(last - epoch * n) as usize;
            rows.extend(self.epoch(epoch)[part].iter().map(|row| *row as usize));
            next = last;
        }
        rows
    }

    fn epoch(&self, epoch: u64) -> Arc<Vec<u32>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, order)) = recent.iter().find(|(e, _)| *e == epoch) {
            return order.clone();
        }
        let mut order: Vec<u32> = (0..self.rows as u32).collect();
        order.shuffle(&mut rng::stream(self.seed, epoch, Stream::Order, 0));
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
    fn batches_may_exceed_the_data() {
        let order = Order::new(0, 3);
        let mut rows = order.batch(0, 6);
        rows.sort_unstable();
        assert_eq!(rows, [0, 0, 1, 1, 2, 2]);
    }
}
