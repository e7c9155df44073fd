//! Sums of a function of the distance over all pairs of points, in parallel and in bounded memory.
//!
//! One side is stored column by column, so that the squared distances of a row to a block of points
//! take a few vectorised passes; nothing larger than a block is stored. Rows are divided among
//! threads in fixed chunks whose sums are added in order, so the result does not depend on the
//! number of threads.

use crate::points::Points;
use multiversion::multiversion;
use rayon::prelude::*;

/// Number of points that a row is compared with at a time, and of rows per thread at a time.
const BLOCK: usize = 256;
const ROWS: usize = 64;

/// `n` evenly spaced row numbers below `rows`, because the order of rows may be meaningful.
pub(crate) fn spaced(rows: usize, n: usize) -> Vec<usize> {
    (0..n).map(|i| i * rows / n.max(1)).collect()
}

/// The sum of f(|a - b|^2) over all rows a of x and b of y.
pub(crate) fn sum_over(x: Points<'_>, y: Points<'_>, f: impl Fn(f64) -> f64 + Sync) -> f64 {
    sums(x, y, |_| 0, f)
}

/// The mean of f(|a - b|^2) over all pairs of different rows of x.
pub(crate) fn mean_within(x: Points<'_>, f: impl Fn(f64) -> f64 + Sync) -> f64 {
    let pairs = x.nrows() * (x.nrows() - 1) / 2;
    sums(x, x, |row| row + 1, f) / pairs as f64
}

/// The sum over the rows of y from `first(row of x)` on.
fn sums(x: Points<'_>, y: Points<'_>, first: impl Fn(usize) -> usize + Sync, f: impl Fn(f64) -> f64 + Sync) -> f64 {
    let columns = y.columns();
    let chunk = |c: usize| {
        let rows = c * ROWS..x.nrows().min((c + 1) * ROWS);
        let values: Vec<Vec<f64>> = rows.clone().map(|i| x.row(i)).collect();
        let mut sum = 0.0;
        // A block of points stays in the cache while all rows are compared with it.
        for start in (first(rows.start)..y.nrows()).step_by(BLOCK) {
            let end = y.nrows().min(start + BLOCK);
            for (i, row) in rows.clone().zip(&values) {
                let from = start.max(first(i)).min(end);
                let mut squared = [0.0; BLOCK];
                add_squares(row, &columns, from, &mut squared[..end - from]);
                let mut lanes = [0.0; 8];
                for (k, s) in squared[..end - from].iter().enumerate() {
                    lanes[k % 8] += f(*s);
                }
                sum += lanes.iter().sum::<f64>();
            }
        }
        sum
    };
    let chunks: Vec<f64> = (0..x.nrows().div_ceil(ROWS)).into_par_iter().map(chunk).collect();
    chunks.iter().sum()
}

/// Adds the squared distances of a row to the points from `start` on, four dimensions per pass.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_squares(row: &[f64], columns: &[Vec<f64>], start: usize, squared: &mut [f64]) {
    let end = start + squared.len();
    let (fours, fours_of) = (row.chunks_exact(4), columns.chunks_exact(4));
    for (a, column) in fours.remainder().iter().zip(fours_of.remainder()) {
        for (to, b) in squared.iter_mut().zip(&column[start..end]) {
            *to += (a - b) * (a - b);
        }
    }
    for (a, column) in fours.zip(fours_of) {
        let [p, q, r, s] = [0, 1, 2, 3].map(|k| &column[k][start..end]);
        let points = p.iter().zip(q).zip(r.iter().zip(s));
        for (to, ((p, q), (r, s))) in squared.iter_mut().zip(points) {
            let d = [a[0] - p, a[1] - q, a[2] - r, a[3] - s];
            *to += (d[0] * d[0] + d[1] * d[1]) + (d[2] * d[2] + d[3] * d[3]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Whole numbers are summed exactly, around the sizes of blocks and chunks and for dimensions
    /// that are not multiples of four.
    #[test]
    fn every_pair_counts_once() {
        for (n, dim) in [(2, 1), (63, 2), (64, 3), (65, 4), (255, 5), (256, 7), (257, 8), (700, 2)] {
            let table = Array2::from_shape_fn((n, dim), |(i, j)| ((7 * i + 3 * j + i * j) % 11) as f32);
            let squared =
                |i: usize, j: usize| (0..dim).map(|k| f64::from(table[[i, k]] - table[[j, k]]).powi(2)).sum::<f64>();
            let all: f64 = (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| squared(i, j)).sum();
            assert_eq!(sum_over(table.view().into(), table.view().into(), |s| s), all);
            let within = all / (n * (n - 1)) as f64;
            assert!((mean_within(table.view().into(), |s| s) / within - 1.0).abs() < 1e-14);
        }
    }
}
