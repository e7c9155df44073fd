//! Jumps of a flow map: x(t + h) = x(t) + h u(x, t, h), with u the mean velocity over the step.
//!
//! One jump may span the whole time from the source to the data. Each jump is one evaluation, and
//! the points at the times of the grid are those of the map. States at other times lie on the line
//! between the two points around them.
//!
//! Errors: [`SolveError::NoFlowMap`] for a field that has velocities only, and those of a grid.
//!
//! ```
//! use fm_core::field::RowField;
//! use fm_solvers::{SaveAt, flow_map};
//! use ndarray::{Array2, array};
//! /// dx/dt = x, whose flow map is x e^h.
//! struct Growth;
//! impl RowField<Array2<f64>> for Growth {
//!     fn velocities(&self, x: &Array2<f64>, _t: &[f64], _rows: &[usize]) -> Array2<f64> {
//!         x.clone()
//!     }
//!     fn is_flow_map(&self) -> bool {
//!         true
//!     }
//!     fn mean_velocities(&self, x: &Array2<f64>, _t: &[f64], h: &[f64], _rows: &[usize]) -> Option<Array2<f64>> {
//!         Some(x * (h[0].exp_m1() / h[0]))
//!     }
//! }
//! for grid in [&[0.0, 1.0][..], &[0.0, 0.25, 1.0]] {
//!     let solution = flow_map::solve(&Growth, array![[2.0]], grid, SaveAt::End)?;
//!     assert!((solution.x[[0, 0]] - 2.0 * 1f64.exp()).abs() < 1e-12);
//!     assert_eq!(solution.stats.evaluations, grid.len() - 1);
//! }
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

use crate::{SaveAt, Solution, SolveError, fixed, tableau};
use fm_core::Error;
use fm_core::field::{RowField, VelocityField};
use fm_core::state::{OdeState, RowState};

/// Jumps from each time of the grid to the next.
///
/// # Errors
/// [`SolveError::NoFlowMap`] for a field without mean velocities; the errors of [`fixed::solve`].
pub fn solve<S: OdeState + RowState>(
    field: &impl RowField<S>,
    x: S,
    grid: &[f64],
    save: SaveAt<'_>,
) -> Result<Solution<S>, SolveError> {
    if !field.is_flow_map() {
        return Err(SolveError::NoFlowMap);
    }
    // Euler's method with the mean velocity over a step is the jump.
    fixed::solve(&Jumps { field, grid }, x, grid, &tableau::EULER, save)
}

/// The mean velocities of a flow map over the steps of a grid.
struct Jumps<'a, F> {
    field: &'a F,
    grid: &'a [f64],
}

impl<S: OdeState + RowState, F: RowField<S>> VelocityField<S> for Jumps<'_, F> {
    /// At times of the grid before the last; elsewhere NaN, which a solver rejects.
    fn velocity(&self, x: &S, t: f64) -> S {
        let rows: Vec<usize> = (0..x.rows()).collect();
        let step = self.grid.windows(2).find(|step| step[0] == t);
        let jump = |step: &[f64]| {
            let h = vec![step[1] - step[0]; rows.len()];
            self.field.mean_velocities(x, &vec![t; rows.len()], &h, &rows)
        };
        step.and_then(jump).unwrap_or_else(|| S::linear_combination(&[(f64::NAN, x)]))
    }

    fn check(&self, x: &S) -> Result<(), Error> {
        self.field.check(x)
    }

    fn segment(&self, t: f64) -> usize {
        self.field.segment(t)
    }
}
