//! Pairs of rows from a plan.
//!
//! A plan P assigns a mass to each pair of a row and a column; training needs pairs.
//!
//! | function | result |
//! |---|---|
//! | [`permutation`] | each row gets a different column: nothing is duplicated or dropped |
//! | [`draw`] | pairs with replacement, with the probabilities of the plan, as in torchcfm |
//! | [`follow`] | a column for one row, with the probabilities of its row of the plan |
//! | [`barycentric`] | for each row, the weighted mean of the points of its columns |
//!
//! ```
//! use fm_ot::pairs::barycentric;
//! use ndarray::array;
//! let plan = array![[0.5, 0.0], [0.25, 0.25]];
//! let mapped = barycentric(plan.view(), array![[0.0f32], [4.0]].view())?;
//! assert_eq!(mapped, array![[0.0], [2.0]]);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::scalar::Scalar;
use crate::{OtError, memory};
use ndarray::{Array2, ArrayView1, ArrayView2};
use rand::{Rng, RngCore};

fm_core::choice! {
    /// How pairs are sampled from a plan.
    #[derive(Default)]
    pub enum PairSampling("pairs") {
        /// Each row of both batches occurs in exactly one pair; rows without mass left are paired
        /// at random.
        #[default]
        Permutation = "permutation",
        /// With replacement, from the plan: rows may be duplicated or dropped.
        Drawn = "drawn" | "replacement",
    }
}

/// `p[row] = column`, each column at most once. In random order, each row draws one of the
/// remaining columns with the probabilities of the plan. A plan that is a permutation is returned
/// unchanged.
///
/// # Errors
/// [`OtError::MoreRows`] for a plan with more rows than columns, [`OtError::Plan`] for an entry
/// that is negative or not finite, [`OtError::NoMass`] for a plan of zeros, [`OtError::TooLarge`],
/// [`OtError::Memory`].
pub fn permutation(plan: ArrayView2<'_, f64>, rng: &mut dyn RngCore) -> Result<Vec<usize>, OtError> {
    let (n, columns) = plan.dim();
    if n > columns {
        return Err(OtError::MoreRows { rows: n, columns });
    }
    if n == 0 {
        return Ok(Vec::new());
    }
    row_masses(plan)?;
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
            // No mass is left in this row: it gets a column that the other rows leave over.
            None => later.push(order[i]),
        }
    }
    for row in later {
        permutation[row] = left.swap_remove(rng.random_range(0..left.len()));
    }
    Ok(permutation)
}

/// `count` pairs (row, column), drawn with replacement with probability proportional to the plan.
///
/// # Errors
/// [`OtError::Empty`] for a plan without entries, [`OtError::Plan`] for an entry that is negative
/// or not finite, [`OtError::NoMass`] for a plan of zeros, [`OtError::TooLarge`],
/// [`OtError::Memory`] for more pairs than can be allocated.
#[doc(alias = "sample_map")]
pub fn draw(plan: ArrayView2<'_, f64>, count: usize, rng: &mut dyn RngCore) -> Result<Vec<(usize, usize)>, OtError> {
    let masses = row_masses(plan)?;
    memory::check((count, 2), 1)?;
    let mut below = 0.0;
    let cumulative: Vec<f64> = masses
        .iter()
        .map(|s| {
            below += s;
            below
        })
        .collect();
    // The fallback if rounding leaves no mass above a draw.
    let last = masses.iter().rposition(|s| *s > 0.0).ok_or(OtError::NoMass)?;
    let pick = |_| {
        let at = rng.random::<f64>() * below;
        let row = cumulative.partition_point(|c| *c <= at).min(last);
        (row, choose(plan.row(row), masses[row], rng))
    };
    Ok((0..count).map(pick).collect())
}

/// A column for a row, with probability proportional to the row's entries in the plan; the largest
/// entry if rounding leaves none.
///
/// # Errors
/// [`OtError::NoSuchRow`], [`OtError::MasslessRow`], [`OtError::Plan`] for an entry of the row that
/// is negative or not finite, [`OtError::TooLarge`].
pub fn follow(plan: ArrayView2<'_, f64>, row: usize, rng: &mut dyn RngCore) -> Result<usize, OtError> {
    let rows = plan.nrows();
    if row >= rows {
        return Err(OtError::NoSuchRow { row, rows });
    }
    memory::check((1, plan.ncols()), 1)?;
    let mass = row_mass(plan.row(row), row)?;
    if mass > 0.0 { Ok(choose(plan.row(row), mass, rng)) } else { Err(OtError::MasslessRow { row }) }
}

/// For each row i of the plan, the mean of `points` (columns, d) weighted by P_i: the barycentric
/// projection. A row without mass has no mean and gives NaN.
///
/// # Errors
/// [`OtError::Points`] if the number of points is not the plan's number of columns,
/// [`OtError::Point`] for a point that is not finite, [`OtError::Empty`] for a plan without
/// entries, [`OtError::Plan`] for an entry that is negative or not finite, [`OtError::NoMass`],
/// [`OtError::TooLarge`], [`OtError::Memory`].
pub fn barycentric<T: Scalar>(plan: ArrayView2<'_, f64>, points: ArrayView2<'_, T>) -> Result<Array2<T>, OtError> {
    if plan.ncols() != points.nrows() {
        return Err(OtError::Points { points: points.nrows(), columns: plan.ncols() });
    }
    let masses = row_masses(plan)?;
    memory::check((plan.nrows().max(points.nrows()), points.ncols()), 2)?;
    let points: Array2<f64> = points.mapv(Into::into);
    if let Some(((row, column), _)) = points.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(OtError::Point { row, column });
    }
    let mut mean = plan.dot(&points);
    for (mut row, mass) in mean.rows_mut().into_iter().zip(masses) {
        row /= mass;
    }
    Ok(mean.mapv(T::of))
}

/// Draws a column of a row with mass.
fn choose(row: ArrayView1<'_, f64>, mass: f64, rng: &mut dyn RngCore) -> usize {
    let mut at = rng.random::<f64>() * mass;
    let found = row.iter().position(|p| {
        at -= p;
        at < 0.0
    });
    found.unwrap_or_else(|| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(j, _)| j))
}

/// The mass of each row of a plan; fails if the total is 0.
fn row_masses(plan: ArrayView2<'_, f64>) -> Result<Vec<f64>, OtError> {
    if plan.is_empty() {
        return Err(OtError::Empty);
    }
    memory::check(plan.dim(), 1)?;
    let masses: Vec<f64> =
        plan.rows().into_iter().enumerate().map(|(i, row)| row_mass(row, i)).collect::<Result<_, _>>()?;
    match masses.iter().sum::<f64>() {
        0.0 => Err(OtError::NoMass),
        total if total.is_finite() => Ok(masses),
        _ => Err(OtError::TooLarge),
    }
}

/// The sum of a row, checked for invalid entries.
fn row_mass(row: ArrayView1<'_, f64>, index: usize) -> Result<f64, OtError> {
    if let Some(column) = row.iter().position(|p| !(*p >= 0.0 && p.is_finite())) {
        return Err(OtError::Plan { row: index, column, mass: row[column] });
    }
    let sum = row.sum();
    if sum.is_finite() { Ok(sum) } else { Err(OtError::TooLarge) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::rng::{Key, Stream};
    use ndarray::array;

    #[test]
    fn plans_without_meaning_are_errors() {
        let rng = &mut Key::new(0, 0, Stream::Coupling).generator(0);
        for (entry, row) in [(f64::NAN, 1), (-0.5, 1), (f64::INFINITY, 1)] {
            let plan = array![[0.5, 0.0], [0.25, entry]];
            let refused = |found: OtError| matches!(found, OtError::Plan { row: r, column: 1, .. } if r == row);
            assert!(refused(permutation(plan.view(), rng).unwrap_err()), "{entry}");
            assert!(refused(draw(plan.view(), 3, rng).unwrap_err()), "{entry}");
            assert!(refused(follow(plan.view(), 1, rng).unwrap_err()), "{entry}");
            assert!(refused(barycentric(plan.view(), array![[0f32], [1.0]].view()).unwrap_err()), "{entry}");
            assert_eq!(follow(plan.view(), 0, rng), Ok(0));
        }
        let zeros = Array2::<f64>::zeros((2, 2));
        assert_eq!(permutation(zeros.view(), rng), Err(OtError::NoMass));
        assert_eq!(draw(zeros.view(), 1, rng), Err(OtError::NoMass));
        assert_eq!(follow(zeros.view(), 1, rng), Err(OtError::MasslessRow { row: 1 }));
        assert_eq!(follow(zeros.view(), 5, rng), Err(OtError::NoSuchRow { row: 5, rows: 2 }));
        assert_eq!(draw(Array2::zeros((0, 0)).view(), 1, rng), Err(OtError::Empty));
        let huge = array![[f64::MAX, f64::MAX]];
        assert_eq!(draw(huge.view(), 1, rng), Err(OtError::TooLarge));
        let one = array![[1.0]];
        assert!(matches!(draw(one.view(), usize::MAX, rng), Err(OtError::Memory { .. })));
    }

    #[test]
    fn means_are_of_as_many_finite_points_as_columns() {
        let plan = array![[0.5, 0.5]];
        let text = barycentric(plan.view(), array![[0f32]].view()).unwrap_err().to_string();
        assert!(text.contains("1 points") && text.contains("2 columns") && !text.contains("mass"), "{text}");
        let fine = array![[1.0 + 1e-12], [1.0 + 3e-12]];
        assert!((barycentric(plan.view(), fine.view()).unwrap()[(0, 0)] - (1.0 + 2e-12f64)).abs() < 1e-15);
        let broken = array![[0f32], [f32::NAN]];
        assert_eq!(barycentric(plan.view(), broken.view()), Err(OtError::Point { row: 1, column: 0 }));
    }
}
