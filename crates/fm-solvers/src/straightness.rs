//! Straightness of trajectories: how accurately a few Euler steps follow them.
//!
//! S = integral over the span of |(x(end) - x(start)) - v(x(t), t)|^2 / d dt along the flow's own
//! trajectories, d the number of dimensions; S times d uses the squared Euclidean norm. S is 0
//! exactly if every trajectory is a straight line at constant speed, and then one Euler step is
//! exact. Unit: that of the state, squared. The trajectory is computed by a fixed-step method, the
//! integral by the trapezoidal rule on its grid. Source: Liu, Gong, Liu, "Flow Straight and Fast"
//! (2023), section 2.
//!
//! ```
//! use fm_core::state::RowState;
//! use fm_solvers::{Grid, straightness::straightness, tableau::RK4};
//! use ndarray::{Array2, array};
//! // dx/dt = x has S = x(0)^2 ((e^2 - 1) / 2 - (e - 1)^2).
//! let growth = |x: &Array2<f64>, _: &[f64], _: &[usize]| x.clone();
//! let found = straightness(&growth, array![[1.0], [2.0]], &Grid::Uniform.times(200)?, &RK4)?;
//! let e = std::f64::consts::E;
//! let want = (e * e - 1.0) / 2.0 - (e - 1.0).powi(2);
//! assert!((found[0] - want).abs() < 2e-5 && (found[1] - 4.0 * want).abs() < 8e-5);
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

use crate::step::velocity;
use crate::tableau::Tableau;
use crate::{SaveAt, SolveError, fixed};
use fm_core::field::{RowField, SharedTime};
use fm_core::state::{OdeState, RowState, Tolerance};

/// S of each row that starts at `x`, along `grid`.
///
/// # Errors
/// As [`fixed::solve`], and [`SolveError::NoRows`] for a state without rows.
pub fn straightness<S: OdeState + RowState>(
    field: &(impl RowField<S> + ?Sized),
    x: S,
    grid: &[f64],
    tableau: &Tableau,
) -> Result<Vec<f64>, SolveError> {
    if x.shape().is_empty() {
        return Err(SolveError::NoRows);
    }
    field.check(&x)?;
    let (field, rows) = (SharedTime(|x: &S, t: &[f64], rows: &[usize]| field.velocities(x, t, rows)), x.rows());
    let solution = fixed::solve(&field, x, grid, tableau, SaveAt::Steps)?;
    // With this tolerance an error norm is the root mean square.
    let plain = Tolerance::new(0.0, 1.0);
    S::untracked(|| {
        let states = &solution.states;
        let start = &states[0];
        let line = S::linear_combination(&[(1.0, &solution.x), (-1.0, start)]);
        let mut sums = vec![0.0; rows];
        for (k, (state, t)) in states.iter().zip(grid).enumerate() {
            let off = S::linear_combination(&[(1.0, &line), (-1.0, &velocity(&field, state, *t)?)]);
            let before = grid[k.max(1) - 1];
            let after = grid[(k + 1).min(grid.len() - 1)];
            let weight = 0.5 * (after - before).abs();
            let norms = S::row_error_norms(&off, start, start, &plain);
            sums.iter_mut().zip(norms).for_each(|(sum, norm)| *sum += weight * norm * norm);
        }
        Ok(sums)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grid;
    use crate::tableau::{EULER, RK4};
    use ndarray::{Array2, array};

    #[test]
    fn lines_at_constant_speed_have_none_and_others_converge_from_any_grid() {
        let constant = |x: &Array2<f64>, _: &[f64], _: &[usize]| Array2::from_elem(x.raw_dim(), 3.0);
        let grid = Grid::Uniform.times(7).unwrap();
        let flat = straightness(&constant, array![[1.0, 2.0]], &grid, &EULER).unwrap();
        assert!(flat[0] < 1e-25, "{flat:?}");
        // v = 2 t moves along a line at varying speed: S = integral of (1 - 2 t)^2 = 1/3, the mean
        // over dimensions.
        let faster = |x: &Array2<f64>, t: &[f64], _: &[usize]| Array2::from_shape_fn(x.raw_dim(), |(i, _)| 2.0 * t[i]);
        for grid in [Grid::Uniform, Grid::Warp { s: 0.5 }] {
            let found = straightness(&faster, array![[1.0, 2.0]], &grid.times(400).unwrap(), &RK4).unwrap();
            assert!((found[0] - 1.0 / 3.0).abs() < 1e-4, "{found:?}");
        }
    }

    #[test]
    fn a_field_that_breaks_is_an_error() {
        let broken = |x: &Array2<f64>, _: &[f64], _: &[usize]| x.mapv(|_| f64::NAN);
        let found = straightness(&broken, array![[1.0], [2.0]], &[0.0, 1.0], &EULER);
        assert!(matches!(found, Err(SolveError::Stopped { .. })));
    }
}
