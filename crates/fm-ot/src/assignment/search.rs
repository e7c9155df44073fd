//! Shortest augmenting paths over reduced costs.

use super::matching::{Matching, NONE};
use super::scan::relax;

/// Buffers of the searches, reused between them.
pub(super) struct Search {
    /// Distances of the columns; NaN for settled ones.
    distance: Vec<f64>,
    previous: Vec<u64>,
    settled: Vec<(usize, f64)>,
}

impl Search {
    pub(super) fn new(columns: usize) -> Self {
        Self { distance: vec![0.0; columns], previous: vec![0; columns], settled: Vec::new() }
    }

    /// Finds the cheapest alternating path from a free row to a free column, updates prices along
    /// it and flips it.
    pub(super) fn augment(&mut self, start: usize, matching: &mut Matching<'_>) {
        self.distance.fill(f64::INFINITY);
        self.settled.clear();
        let (mut row, mut offset) = (start, 0.0);
        let (end, shortest) = loop {
            let shortest =
                relax(matching.row(row), &matching.v, offset, row as u64, &mut self.distance, &mut self.previous);
            // Among equally near columns, a free one ends the search.
            let mut nearest = self.distance.iter().enumerate().filter(|(_, d)| **d == shortest).map(|(j, _)| j);
            let Some(first) = nearest.next() else { return };
            if matching.row_of[first] == NONE {
                break (first, shortest);
            }
            if let Some(free) = nearest.find(|&j| matching.row_of[j] == NONE) {
                break (free, shortest);
            }
            self.distance[first] = f64::NAN;
            self.settled.push((first, shortest));
            row = matching.row_of[first];
            offset = matching.row(row)[first] - matching.v[first] - shortest;
        };
        for &(j, distance) in &self.settled {
            // Rounding may make a later column slightly nearer; prices must only fall.
            matching.v[j] -= (shortest - distance).max(0.0);
        }
        let mut j = end;
        loop {
            let i = self.previous[j] as usize;
            matching.row_of[j] = i;
            std::mem::swap(&mut matching.column_of[i], &mut j);
            if i == start {
                return;
            }
        }
    }
}
