//! From a plan to pairs.
//!
//! A plan P gives each pair of a row and a column a mass; training needs pairs.
//!
//! | function | what comes out |
//! |---|---|
//! | [`permutation`] | each row gets a column of its own: nothing is duplicated or dropped |
//! | [`draw`] | pairs with replacement, with the plan's probabilities, as torchcfm draws them |
//! | [`follow`] | a column for one row, with the probabilities of its line of the plan |
//! | [`barycentric`] | for each row the mean of its columns' points |
//!
//! ```
//! use fm_ot::pairs::barycentric;
//! use ndarray::array;
//! let plan = array![[0.5, 0.0], [0.25, 0.25]];
//! let mapped = barycentric(plan.view(), array![[0.0f32], [4.0]].view())?;
//! assert_eq!(mapped, array![[0.0], [2.0]]);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::OtError;
use ndarray::{Array2, ArrayView2};
use rand::{Rng, RngCore};

fm_core::choice! {
    /// How pairs are taken from a plan.
    #[derive(Default)]
    pub enum Pairs("pairs") {
        /// Each row of both batches in one pair; rows that the plan leaves out are paired at random.
        #[default]
        Permutation = "permutation",
        /// With replacement, from the plan: rows may be duplicated and dropped.
        Drawn = "drawn" | "replacement",
    }
}

/// `p[row] = column`, each column at most once: rows choose in random order, each among the columns that are left, with the plan's
/// probabilities. A plan that is a permutation is returned as it is.
///
/// # Errors
/// [`OtError::MoreRows`] for a plan with more rows than columns.
pub fn permutation(plan: ArrayView2<'_, f64>, rng: &mut dyn RngCore) -> Result<Vec<usize>, OtError> {
    let (n, columns) = plan.dim();
    if n > columns {
        return Err(OtError::MoreRows { rows: n, columns });
    }
    let (mut order, mut left): (Vec<usize>, Vec<usize>) = ((0..n).collect(), (0..columns).collect());
    let mut permutation = vec![0; n];
    let mut later = Vec::new();
    for i in 0..n {
        order.swap(i, rng.random_range(i..n));
        let row = plan.row(order[i]);
        let total: f64 = left.iter().map(|&j| row[j]).sum();
        let mut at = rng.random::<f64>() * total;
        let chosen = left.iter().position(|&j| {
            at -= row[j];
            at < 0.0
        });
        match chosen {
            Some(k) => permutation[order[i]] = left.swap_remove(k),
            // Nothing is left of the row's mass: it takes what the others leave.
            None => later.push(order[i]),
        }
    }
    for row in later {
        permutation[row] = left.swap_remove(rng.random_range(0..left.len()));
    }
    Ok(permutation)
}

/// `count` pairs (row, column), drawn with replacement with probability proportional to the plan.
pub fn draw(plan: ArrayView2<'_, f64>, count: usize, rng: &mut dyn RngCore) -> Vec<(usize, usize)> {
    let mut below = 0.0;
    let sums: Vec<f64> = plan.rows().into_iter().map(|row| row.sum()).collect();
    let cumulative: Vec<f64> = sums
        .iter()
        .map(|s| {
            below += s;
            below
        })
        .collect();
    let mut pick = || {
        let at = rng.random::<f64>() * below;
        let row = cumulative.partition_point(|c| *c <= at).min(sums.len() - 1);
        (row, follow(plan, row, rng))
    };
    if sums.is_empty() { Vec::new() } else { (0..count).map(|_| pick()).collect() }
}

/// A column for a row, with probability proportional to its line of the plan; its largest entry where rounding leaves nothing.
pub fn follow(plan: ArrayView2<'_, f64>, row: usize, rng: &mut dyn RngCore) -> usize {
    let row = plan.row(row);
    let mut at = rng.random::<f64>() * row.sum();
    let found = row.iter().position(|p| {
        at -= p;
        at < 0.0
    });
    found.unwrap_or_else(|| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(j, _)| j))
}

/// For each row i of the plan the mean of `points` (columns, d), weighted by P_i: the projection that a map to them would use.
/// A row without mass has no mean: NaN.
///
/// # Errors
/// [`OtError::Masses`] when there are not as many points as the plan has columns.
pub fn barycentric(plan: ArrayView2<'_, f64>, points: ArrayView2<'_, f32>) -> Result<Array2<f32>, OtError> {
    if plan.ncols() != points.nrows() {
        return Err(OtError::Masses { side: "column", masses: points.nrows(), points: plan.ncols() });
    }
    let mut mean = plan.dot(&points.mapv(f64::from));
    for (mut row, p) in mean.rows_mut().into_iter().zip(plan.rows()) {
        row /= p.sum();
    }
    Ok(mean.mapv(|v| v as f32))
}
