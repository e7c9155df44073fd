//! Stepping along a given grid of times, forwards or backwards.
//!
//! A grid of n + 1 times is n steps; the evaluations are counted as they are made: n s for a method of s stages, n (s - 1) + 1
//! for one whose last stage is the next step's first.
//!
//! ```
//! use fm_solvers::{fixed, tableau::EULER, uniform_grid};
//! let field = |_: &Vec<f64>, t: f64| vec![2.0 * t];
//! let solution = fixed::solve(&field, vec![0.0], &uniform_grid(4), &EULER, |_, _| ())?;
//! assert_eq!(solution.x, [0.75]); // sum over left ends: 2 (0 + .25 + .5 + .75) / 4
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

use crate::{Reason, Solution, SolveError, Stats, tableau::Tableau};
use fm_core::{field::VelocityField, state::OdeState};

/// Carries `x` along `grid`. `observe` sees every time and state, the first and the last included.
///
/// # Errors
/// [`SolveError::Grid`] unless the grid has at least two finite, strictly monotonic times.
pub fn solve<S: OdeState>(
    field: &impl VelocityField<S>,
    mut x: S,
    grid: &[f64],
    tableau: &Tableau,
    mut observe: impl FnMut(f64, &S),
) -> Result<Solution<S>, SolveError> {
    check_grid(grid)?;
    let mut stats = Stats { reason: Reason::ReachedEnd, ..Stats::default() };
    let mut first = None;
    observe(grid[0], &x);
    for pair in grid.windows(2) {
        let (t, h) = (pair[0], pair[1] - pair[0]);
        let k0 = first.take().unwrap_or_else(|| {
            stats.evaluations += 1;
            field.velocity(&x, t)
        });
        let mut step = runge_kutta(field, &x, t, h, k0, tableau);
        stats.evaluations += tableau.stages() - 1;
        stats.accepted += 1;
        x = step.x;
        first = if tableau.fsal() { step.k.pop() } else { None };
        observe(pair[1], &x);
    }
    Ok(Solution { x, stats })
}

/// One step and its stages.
pub(crate) struct Step<S> {
    pub(crate) x: S,
    pub(crate) k: Vec<S>,
}

/// Takes one step whose first stage is already known.
pub(crate) fn runge_kutta<S: OdeState>(
    field: &impl VelocityField<S>,
    x: &S,
    t: f64,
    h: f64,
    first: S,
    tableau: &Tableau,
) -> Step<S> {
    let mut k = Vec::with_capacity(tableau.stages());
    k.push(first);
    let mut latest = None;
    for (a, c) in tableau.a.iter().zip(tableau.c).skip(1) {
        let state = advance(x, h, a, &k);
        k.push(field.velocity(&state, t + c * h));
        latest = Some(state);
    }
    // With FSAL the last stage was evaluated at the new state itself.
    let x = latest.filter(|_| tableau.fsal()).unwrap_or_else(|| advance(x, h, tableau.b, &k));
    Step { x, k }
}

/// x + h sum_i w_i k_i.
fn advance<S: OdeState>(x: &S, h: f64, weights: &[f64], k: &[S]) -> S {
    let stages = weights.iter().zip(k).filter(|(w, _)| **w != 0.0).map(|(w, k)| (h * w, k));
    S::linear_combination(&std::iter::once((1.0, x)).chain(stages).collect::<Vec<_>>())
}

fn check_grid(grid: &[f64]) -> Result<(), SolveError> {
    let rises = |p: &[f64]| p[1] > p[0];
    let good = grid.len() > 1
        && grid.iter().all(|t| t.is_finite())
        && (grid.windows(2).all(rises) || grid.windows(2).all(|p| p[1] < p[0]));
    if good { Ok(()) } else { Err(SolveError::Grid) }
}
