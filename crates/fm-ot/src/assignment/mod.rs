//! The linear assignment problem: distinct columns p(i) that minimise sum_i C[i, p(i)].
//!
//! For uniform marginals of equal size this *is* optimal transport. The method is that of Jonker
//! and Volgenant ("A shortest augmenting path algorithm for dense and sparse linear assignment
//! problems", Computing 38, 1987) with better initial prices:
//!
//! 1. Prices v_j start at the column minima, and an auction with a decreasing increment (Bertsekas,
//!    "The auction algorithm", Annals of Operations Research 14, 1988) moves them near their
//!    optimum. Its assignments are discarded, its prices are kept.
//! 2. At those prices each row takes its cheapest column, whose price falls to the row's second
//!    choice (augmenting row reduction).
//! 3. A Dijkstra search over reduced costs C_ij - v_j assigns each remaining row and makes the
//!    result exact.
//!
//! Good prices leave a handful of rows to the third stage, which is the slow one. All stages only
//! scan rows of reduced costs, in vectorised code.
//!
//! The result includes a certificate of optimality: potentials u, v with u_i + v_j <= C_ij and sum
//! u + sum v = cost (v = 0 on unused columns).
//!
//! ```
//! use fm_ot::assignment::assign;
//! use ndarray::array;
//! let plan = assign(array![[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]].view())?;
//! assert_eq!((plan.columns, plan.cost), (vec![1, 0, 2], 5.0));
//! # Ok::<(), fm_ot::OtError>(())
//! ```

mod auction;
mod matching;
mod reduction;
pub(crate) mod scan;
mod search;

use crate::OtError;
use matching::{Matching, NONE};
use ndarray::ArrayView2;
use search::Search;

/// An optimal assignment and its certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The column of each row.
    pub columns: Vec<usize>,
    /// The sum over rows i of `C[i, columns[i]]`.
    pub cost: f64,
    /// Row potentials u.
    pub u: Vec<f64>,
    /// Column potentials v.
    pub v: Vec<f64>,
}

/// Solves the assignment problem for finite costs of any sign, with at least as many columns as
/// rows.
///
/// # Errors
/// [`OtError::MoreRows`], [`OtError::NotFinite`], [`OtError::TooLarge`] for costs above 1e278,
/// [`OtError::Memory`].
#[doc(alias = "linear_sum_assignment")]
pub fn assign(cost: ArrayView2<'_, f64>) -> Result<Assignment, OtError> {
    let (rows, columns) = cost.dim();
    if rows > columns {
        return Err(OtError::MoreRows { rows, columns });
    }
    crate::memory::check((rows.max(1), columns), 2)?;
    crate::check_cost(cost)?;
    let standard = cost.as_standard_layout();
    let cost = standard.as_slice().unwrap_or(&[]);
    if rows == 0 {
        return Ok(Assignment { columns: Vec::new(), cost: 0.0, u: Vec::new(), v: vec![0.0; columns] });
    }
    // An unused column must keep the price 0, so only a square problem may start from other prices.
    let square = rows == columns;
    let v = if square { auction::warm_prices(cost, &column_minima(cost, columns)) } else { vec![0.0; columns] };
    let mut matching = Matching { cost, rows, column_of: vec![NONE; rows], row_of: vec![NONE; columns], v };
    let free = reduction::reduce_rows(&mut matching);
    let mut search = Search::new(columns);
    free.into_iter().for_each(|row| search.augment(row, &mut matching));
    let spent: Vec<f64> = (0..rows).map(|i| matching.row(i)[matching.column_of[i]]).collect();
    let u = spent.iter().zip(&matching.column_of).map(|(c, &j)| c - matching.v[j]).collect();
    Ok(Assignment { cost: spent.iter().sum(), u, columns: matching.column_of, v: matching.v })
}

/// v_j = min_i C_ij, computed row by row so that memory is read sequentially.
fn column_minima(cost: &[f64], n: usize) -> Vec<f64> {
    let mut v = vec![f64::INFINITY; n];
    for row in cost.chunks_exact(n) {
        scan::lower(&mut v, row);
    }
    v
}
