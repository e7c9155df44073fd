//! Time grids learned from a field: few steps, placed where the error is.
//!
//! Two methods, for n steps of a given solver along one field:
//!
//! - [`equal_error`]: a step of size h of a method of order p makes an error of about
//!   C |x^(q)(t)| h^q, q = p + 1, with x^(q) the q-th derivative of x along a trajectory. The sum
//!   of these errors is least where h is proportional to |x^(q)|^(-1 / q), so the times are the
//!   quantiles of the density |x^(q)(t)|^(1 / q). One fine solve gives the derivatives, as
//!   differences of its states. q is at most 3, because higher differences are rounding errors of
//!   f32.
//! - [`least_squares`]: minimises E(s) = mean |x_n(s) - x*|^2 over the step sizes
//!   h_i = exp(s_i) / sum exp(s), by the Levenberg-Marquardt method, where x_n is the end of the n
//!   steps and x* that of a fine solve. The mean is over the values of a batch. It takes the
//!   propagation of errors into account, which the first method leaves out, and starts from its
//!   times. An iteration takes n solves of n steps for the Jacobian, and one per trial (at most 8).
//!
//! Times are f64 and rise from 0 to 1; states are batches (rows, ...) of any shape.
//!
//! Errors: [`SolveError::Grid`] for times that do not rise from 0 to 1, for fewer than two fine
//! steps, and for no steps; [`SolveError::Stopped`] for states that are not finite; the errors of a
//! solve.
//!
//! Sources: de Boor, "Good Approximation by Splines with Variable Knots II" (1974), for equal
//! errors; Shaul et al., "Bespoke Solvers for Generative Flow Models" (2023), for times learned
//! from end points (by gradient descent there); Marquardt (1963).
//!
//! ```
//! use fm_solvers::learned_grid::{LeastSquares, equal_error, least_squares};
//! use fm_solvers::Grid;
//! use ndarray::{Array2, array};
//! // x = t^3 along every path, so the error density of Euler's method is |6 t|^(1/2).
//! let fine = Grid::Uniform.times(300)?;
//! let states: Vec<Array2<f64>> = fine.iter().map(|t| array![[t.powi(3)]]).collect();
//! let times = equal_error(&states, 2, 1)?;
//! // The median of the density is t^(3/2) = 1/2; the floor shifts it slightly.
//! assert!((times[1] - 0.5f64.powf(2.0 / 3.0)).abs() < 0.01);
//! // The best time of two Euler steps with v = 3 t^2 is at 2 / 3.
//! let euler = |times: &[f64]| Ok(array![[3.0 * times[1].powi(2) * (1.0 - times[1])]]);
//! let found = least_squares(euler, &array![[1.0]], &times, &LeastSquares::default())?;
//! assert!((found.times[1] - 2.0 / 3.0).abs() < 1e-3 && found.error < found.start_error);
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

use crate::{SolveError, StopReason};
use fm_core::state::{OdeState, RowProducts};

/// The lower bound of the density, relative to its mean, so that every part has steps.
const FLOOR: f64 = 0.05;

/// Differences of states, relative to their mean change per step, that count as rounding errors.
const STRAIGHT: f64 = 1e-6;

/// Options of [`least_squares`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeastSquares {
    /// The largest number of steps of the Levenberg-Marquardt method.
    pub iterations: usize,
    /// The change of s for the derivatives, above 0. Solves in f32 need about 0.01.
    pub difference: f64,
    /// The relative decrease of the error below which the search ends.
    pub tolerance: f64,
}

impl Default for LeastSquares {
    /// 20 steps.
    fn default() -> Self {
        Self { iterations: 20, difference: 0.01, tolerance: 1e-5 }
    }
}

/// A learned grid.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedGrid {
    /// The times, from 0 to 1.
    pub times: Vec<f64>,
    /// Root mean square of the difference to the end of the fine solve.
    pub error: f64,
    /// The same for the times at the start of the search.
    pub start_error: f64,
    /// Number of solves.
    pub solves: usize,
}

/// Times of n steps with equal errors of a method of this order, from the states of a fine solve
/// after equal steps over the whole span, the first one included. Straight paths, whose differences
/// are rounding errors, get equal steps.
///
/// # Errors
/// [`SolveError::Grid`] for fewer than two fine steps, and for no steps; [`SolveError::Stopped`]
/// for states whose squares are not finite.
pub fn equal_error<S: OdeState + RowProducts>(
    states: &[S],
    steps: usize,
    order: usize,
) -> Result<Vec<f64>, SolveError> {
    let q = (order + 1).clamp(2, 3).min(states.len().saturating_sub(1));
    if q < 2 || steps == 0 {
        return Err(SolveError::Grid);
    }
    // Differences of neighbours, with the signs of a binomial.
    let weights: &[f64] = if q == 2 { &[1.0, -2.0, 1.0] } else { &[-1.0, 3.0, -3.0, 1.0] };
    let difference = |window: &[S]| {
        let terms: Vec<(f64, &S)> = weights.iter().copied().zip(window).collect();
        square(&S::linear_combination(&terms)).sqrt().powf(1.0 / q as f64)
    };
    let inner: Vec<f64> = states.windows(q + 1).map(difference).collect();
    let cells = states.len() - 1;
    let nearest = |window: usize| inner[window.min(inner.len() - 1)];
    // The middle of a window is the border of two cells for q = 2, and a cell for q = 3; cells at
    // the ends take the nearest.
    let at = |cell: usize| {
        let before = nearest(cell.saturating_sub(1));
        if q == 2 { 0.5 * (before + nearest(cell)) } else { before }
    };
    let mean = (0..cells).map(at).sum::<f64>() / cells as f64;
    if !mean.is_finite() {
        let bad = states.iter().position(|x| !square(x).is_finite()).unwrap_or_default();
        return Err(not_finite(bad.saturating_sub(1) as f64 / cells as f64));
    }
    // Along straight lines, differences are rounding errors.
    let moved = S::linear_combination(&[(1.0, &states[cells]), (-1.0, &states[0])]);
    if mean.powi(q as i32) <= STRAIGHT * square(&moved).sqrt() / cells as f64 {
        return Ok((0..=steps).map(|i| i as f64 / steps as f64).collect());
    }
    let density: Vec<f64> = (0..cells).map(|cell| at(cell) + FLOOR * mean).collect();
    Ok(quantiles(&density, steps))
}

/// The times at which equal shares of a density, constant within cells of equal length, have
/// passed.
fn quantiles(density: &[f64], steps: usize) -> Vec<f64> {
    let whole: f64 = density.iter().sum();
    let (mut cell, mut before) = (0, 0.0);
    let mut times = vec![0.0];
    for i in 1..steps {
        let wanted = whole * i as f64 / steps as f64;
        while cell + 1 < density.len() && before + density[cell] < wanted {
            before += density[cell];
            cell += 1;
        }
        times.push((cell as f64 + (wanted - before) / density[cell]) / density.len() as f64);
    }
    times.push(1.0);
    times
}

/// The times from `start` on for which `solve` ends nearest to `end`. `solve` takes the times of n
/// steps from 0 to 1 and returns the state at their end.
///
/// # Errors
/// [`SolveError::Grid`] for times that do not rise from 0 to 1,
/// [`Value`](fm_core::Error::Value) for a difference that is not above 0, the errors of `solve` at
/// the start, and [`SolveError::Stopped`] if its end there, or `end`, is not finite. Later errors
/// of `solve` are not returned: a trial that fails counts as far from the end, and a Jacobian that
/// fails ends the search with the best times so far.
pub fn least_squares<S: OdeState + RowProducts>(
    mut solve: impl FnMut(&[f64]) -> Result<S, SolveError>,
    end: &S,
    start: &[f64],
    options: &LeastSquares,
) -> Result<LearnedGrid, SolveError> {
    crate::fixed::check_grid(start)?;
    if (start.first(), start.last()) != (Some(&0.0), Some(&1.0)) {
        return Err(SolveError::Grid);
    }
    let scale = options.difference;
    if !scale.is_finite() || scale <= 0.0 {
        let (name, domain) = ("the difference of least squares", "finite and above 0");
        return Err(fm_core::Error::Value { name, domain, value: scale }.into());
    }
    let values = end.shape().iter().product::<usize>().max(1) as f64;
    let minus = |a: &S, b: &S| S::linear_combination(&[(1.0, a), (-1.0, b)]);
    let mut s: Vec<f64> = start.windows(2).map(|pair| (pair[1] - pair[0]).ln()).collect();
    let mut reached = solve(start)?;
    let mut residual = minus(&reached, end);
    let mut error = square(&residual) / values;
    if !error.is_finite() {
        return Err(not_finite(0.0));
    }
    let (mut best, mut solves, mut damping) = (start.to_vec(), 1, 1e-2);
    let start_error = error.sqrt();
    for _ in 0..options.iterations {
        let moved = |s: &[f64], i: usize| {
            let mut s = s.to_vec();
            s[i] += scale;
            times_of(&s)
        };
        let mut column = |i| {
            solves += 1;
            solve(&moved(&s, i)).ok().map(|x| minus(&x, &reached))
        };
        let Some(columns) = (0..s.len()).map(&mut column).collect::<Option<Vec<S>>>() else { break };
        let inner = |a: &S, b: &S| a.row_products(b).iter().sum::<f64>() / values;
        let normal: Vec<Vec<f64>> =
            columns.iter().map(|a| columns.iter().map(|b| inner(a, b) / scale / scale).collect()).collect();
        let gradient: Vec<f64> = columns.iter().map(|a| inner(a, &residual) / scale).collect();
        let before = error;
        for _ in 0..MOST_TRIALS {
            let change = damped(&normal, &gradient, damping);
            let trial: Vec<f64> = s.iter().zip(&change).map(|(s, d)| s - d.clamp(-LARGEST, LARGEST)).collect();
            let times = times_of(&trial);
            solves += 1;
            let found = crate::fixed::check_grid(&times).and_then(|()| solve(&times)).ok();
            let found = found.map(|x| (minus(&x, end), x)).map(|(r, x)| (square(&r) / values, r, x));
            if let Some((less, r, x)) = found.filter(|(trial, ..)| *trial < error) {
                (s, best, error, residual, reached) = (trial, times, less, r, x);
                damping = (damping / 5.0).max(1e-9);
                break;
            }
            damping *= 10.0;
        }
        if before - error <= options.tolerance * before {
            break;
        }
    }
    Ok(LearnedGrid { times: best, error: error.sqrt(), start_error, solves })
}

/// Trials of one step, each with ten times the damping.
const MOST_TRIALS: usize = 8;

/// The largest change of s in a step.
const LARGEST: f64 = 1.0;

/// The error of a state that is not finite after time t.
fn not_finite(t: f64) -> SolveError {
    SolveError::Stopped { row: None, reason: StopReason::NonFinite { t } }
}

/// The sum of all squares.
fn square<S: RowProducts>(x: &S) -> f64 {
    x.row_products(x).iter().sum()
}

/// The times of step sizes exp(s_i) / sum exp(s).
fn times_of(s: &[f64]) -> Vec<f64> {
    let most = s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sizes: Vec<f64> = s.iter().map(|s| (s - most).exp()).collect();
    let whole: f64 = sizes.iter().sum();
    let mut times = vec![0.0];
    let mut passed = 0.0;
    for size in &sizes[..sizes.len().saturating_sub(1)] {
        passed += size / whole;
        times.push(passed);
    }
    times.push(1.0);
    times
}

/// The solution d of (A + damping (diag A + mean diag A / 10)) d = b, by Cholesky's method.
fn damped(a: &[Vec<f64>], b: &[f64], damping: f64) -> Vec<f64> {
    let n = b.len();
    let mean = (0..n).map(|i| a[i][i]).sum::<f64>() / n.max(1) as f64;
    let mut l = vec![vec![0.0f64; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let inner: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
            let added = if i == j { damping * (a[i][i] + 0.1 * mean) + f64::MIN_POSITIVE } else { 0.0 };
            let rest = a[i][j] + added - inner;
            l[i][j] = if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / l[j][j] };
        }
    }
    let mut d = b.to_vec();
    for i in 0..n {
        d[i] = (d[i] - (0..i).map(|k| l[i][k] * d[k]).sum::<f64>()) / l[i][i];
    }
    for i in (0..n).rev() {
        d[i] = (d[i] - (i + 1..n).map(|k| l[k][i] * d[k]).sum::<f64>()) / l[i][i];
    }
    d
}
