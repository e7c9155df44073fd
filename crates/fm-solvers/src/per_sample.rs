//! Adaptive steps per row, by an embedded error estimate.
//!
//! Each row is a separate system with its own time, step size and controller, so its result does
//! not depend on the other rows of the batch. All unfinished rows are evaluated in one call; a row
//! that reaches the end or fails leaves the batch. For a field that treats rows independently, the
//! results equal those of [`adaptive`](crate::adaptive) on each row, bit for bit, in any batch and
//! any order.
//!
//! ```
//! use fm_core::state::RowState;
//! use fm_solvers::{AdaptiveOptions, SaveAt, per_sample, tableau::DOPRI5};
//! use ndarray::{Array2, array};
//! // Row i rotates with angular velocity 1 + 9 i: the second row needs more steps.
//! let turn = |x: &Array2<f64>, _t: &[f64], rows: &[usize]| {
//!     Array2::from_shape_fn(x.dim(), |(i, j)| (1.0 + 9.0 * rows[i] as f64) * if j == 0 { -x[[i, 1]] } else { x[[i, 0]] })
//! };
//! let x = array![[1.0, 0.0], [1.0, 0.0]];
//! let solution = per_sample::solve(&turn, x, (0.0, 1.0), &DOPRI5, &AdaptiveOptions::with_tolerance(1e-8), SaveAt::End)?;
//! assert!((solution.x[[0, 0]] - 1.0f64.cos()).abs() < 1e-7 && (solution.x[[1, 0]] - 10.0f64.cos()).abs() < 1e-6);
//! let [slow, fast] = [0, 1].map(|i| solution.rows[i].evaluations);
//! assert!(2 * slow < fast && solution.calls == fast); // the calls are those of the slowest row
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

mod batch;
mod solution;

pub use solution::BatchSolution;

use crate::controller::AdaptiveOptions;
use crate::{SaveAt, SolveError, tableau::Tableau};
use batch::Batch;
use fm_core::field::RowField;
use fm_core::state::{OdeState, RowState};

/// Integrates every row of `x` from `span.0` to `span.1`, in either direction.
///
/// # Errors
/// If the span, the options, the tableau or the output times are invalid, or the state has no rows;
/// a velocity of another shape than x; [`SolveError::Stopped`] if a row does not reach the end.
pub fn solve<S: OdeState + RowState>(
    field: &(impl RowField<S> + ?Sized),
    x: S,
    span: (f64, f64),
    tableau: &Tableau,
    options: &AdaptiveOptions,
    output: SaveAt<'_>,
) -> Result<BatchSolution<S>, SolveError> {
    solve_partial(field, x, span, tableau, options, output)?.into_result()
}

/// As [`solve`]; for a row that stops early the result holds the state it reached, and
/// [`BatchSolution::rows`] the reason.
///
/// # Errors
/// As [`solve`], without [`SolveError::Stopped`].
pub fn solve_partial<S: OdeState + RowState>(
    field: &(impl RowField<S> + ?Sized),
    x: S,
    span: (f64, f64),
    tableau: &Tableau,
    options: &AdaptiveOptions,
    output: SaveAt<'_>,
) -> Result<BatchSolution<S>, SolveError> {
    let error_weights = options.check(span, tableau, x.dimension())?;
    output.check(span)?;
    if x.shape().is_empty() {
        return Err(SolveError::NoRows);
    }
    field.check(&x)?;
    S::untracked(|| {
        let mut batch = Batch::start(field, x, span, tableau, options, output)?;
        while batch.step(error_weights)? {}
        batch.finish(span.1);
        Ok(batch.out)
    })
}
