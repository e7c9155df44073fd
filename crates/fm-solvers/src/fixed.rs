//! Fixed-step solves along a given time grid, forwards or backwards.
//!
//! A grid of n + 1 times defines n steps. Evaluations are counted as they are made: n s for a
//! method of s stages. A last stage that only an error estimate needs is skipped, so Dopri5 and
//! Tsit5 take 6 evaluations per step.
//!
//! ```
//! use fm_solvers::{Grid, SaveAt, fixed, tableau::EULER};
//! let field = |_: &f64, t: f64| 2.0 * t;
//! let solution = fixed::solve(&field, 0.0, &Grid::Uniform.times(4)?, &EULER, SaveAt::End)?;
//! assert_eq!(solution.x, 0.75); // sum over left ends: 2 (0 + .25 + .5 + .75) / 4
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

use crate::record::{Observer, Record, Step};
use crate::step::{is_finite, stages};
use crate::{SaveAt, Solution, SolveError, Stats, StopReason, tableau::Tableau};
use fm_core::field::VelocityField;
use fm_core::state::OdeState;

/// Integrates `x` along `grid`.
///
/// # Errors
/// [`SolveError::Grid`] unless the grid has at least two finite, strictly monotonic times; output
/// times outside it; an invalid tableau; a velocity of another shape than x;
/// [`SolveError::Stopped`] at a state that is not finite.
pub fn solve<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: S,
    grid: &[f64],
    tableau: &Tableau,
    output: SaveAt<'_>,
) -> Result<Solution<S>, SolveError> {
    solve_partial(field, x, grid, tableau, output)?.into_result()
}

/// As [`solve`], but if a state is not finite the result is the state before it, found by a second
/// pass.
///
/// # Errors
/// As [`solve`], without [`SolveError::Stopped`].
pub fn solve_partial<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: S,
    grid: &[f64],
    tableau: &Tableau,
    output: SaveAt<'_>,
) -> Result<Solution<S>, SolveError> {
    check_grid(grid)?;
    tableau.check()?;
    output.check((grid[0], grid[grid.len() - 1]))?;
    field.check(&x)?;
    S::untracked(|| {
        let pass = |careful| {
            let mut record = Record::new(output, grid[0], &x);
            let (x, stats) = integrate(field, &x, grid, tableau, careful, &mut record)?;
            Ok::<_, SolveError>(record.finish(x, stats))
        };
        let solution = pass(false)?;
        if is_finite(&solution.x) {
            return Ok(solution);
        }
        let mut careful = pass(true)?;
        careful.stats.evaluations += solution.stats.evaluations;
        Ok(careful)
    })
}

/// All steps, unless the observer returns a state; if `careful`, only those before the first state
/// that is not finite.
pub(crate) fn integrate<S: OdeState>(
    field: &(impl VelocityField<S> + ?Sized),
    x: &S,
    grid: &[f64],
    tableau: &Tableau,
    careful: bool,
    observer: &mut impl Observer<S>,
) -> Result<(S, Stats), SolveError> {
    // Interpolants may need a stage that steps do not.
    let count = if observer.interpolates() { tableau.stages() } else { tableau.stages_of_a_step() };
    let at_end = count == tableau.stages() && tableau.fsal();
    let mut stats = Stats { smallest_step: f64::INFINITY, ..Stats::default() };
    let mut x = S::linear_combination(&[(1.0, x)]);
    let mut next = S::linear_combination(&[(1.0, &x)]);
    let mut k = Vec::with_capacity(count);
    for pair in grid.windows(2) {
        let (t, h) = (pair[0], pair[1] - pair[0]);
        stats.evaluations += stages(field, &x, (t, h), tableau, (count, at_end), &mut k, &mut next)?;
        if careful && !is_finite(&next) {
            stats.reason = StopReason::NonFinite { t };
            break;
        }
        stats.accepted += 1;
        stats.smallest_step = stats.smallest_step.min(h.abs());
        let mut step = Step { field, tableau, t, h, end: pair[1], x: &x, next: &next, k: &mut k, evaluations: 0 };
        let stopped = observer.step(&mut step)?;
        stats.evaluations += step.evaluations;
        if let Some((t, stopped)) = stopped {
            stats.reason = StopReason::Event { t };
            return Ok((stopped, stats));
        }
        std::mem::swap(&mut x, &mut next);
        k.swap(0, count - 1);
        k.truncate(usize::from(at_end));
    }
    Ok((x, stats))
}

pub(crate) fn check_grid(grid: &[f64]) -> Result<(), SolveError> {
    let steps = || grid.windows(2).map(|p| p[1] - p[0]);
    let good = grid.len() > 1 && steps().all(f64::is_finite) && (steps().all(|h| h > 0.0) || steps().all(|h| h < 0.0));
    if good { Ok(()) } else { Err(SolveError::Grid) }
}
