//! The iteration: epsilon decreases level by level, and each level fits both sides in turn until
//! its error is small enough.

use super::kernel::{BLOCK, absolute_sum, largest_magnitude};
use super::options::{Magnitudes, SinkhornOptions};
use super::relaxation::Relaxation;
use super::solution::{EntropicPlan, assemble};
use super::state::{Problem, Side, State};
use crate::OtError;
use ndarray::ArrayView2;

pub(super) fn solve(
    cost: ArrayView2<'_, f64>,
    problem: &Problem<'_>,
    options: &SinkhornOptions,
) -> Result<EntropicPlan, OtError> {
    // Run parallel passes from within the thread pool: a thread outside it would sleep and wake on
    // each pass.
    if cost.len() > BLOCK { rayon::scope(|_| descend(cost, problem, options)) } else { descend(cost, problem, options) }
}

fn descend(
    cost: ArrayView2<'_, f64>,
    problem: &Problem<'_>,
    options: &SinkhornOptions,
) -> Result<EntropicPlan, OtError> {
    let (a, b) = problem.marginals.of(cost.dim())?;
    let standard = cost.as_standard_layout();
    let values = standard.as_slice().unwrap_or(&[]);
    let total = absolute_sum(values);
    if !(total * crate::HEADROOM).is_finite() {
        crate::check_cost(cost)?;
    }
    let mean = total / values.len() as f64;
    let epsilon = options.epsilon(Magnitudes { total, mean, largest: largest_magnitude(values) })?;
    let mut state = State::new(problem, (&a, &b), values, cost.ncols());
    let mut iterations = 0;
    for level in levels(mean, epsilon) {
        let last = level == epsilon || iterations >= options.max_iterations;
        // The plan must have the requested epsilon, even if it is inaccurate.
        state.absorb();
        state.enter(if last { epsilon } else { level });
        // An intermediate level only needs a rough fit.
        let tolerance = if last { options.tolerance } else { options.tolerance.max(0.05) };
        let mut relaxation = Relaxation::new(matches!(problem.side, Side::Exact));
        let mut target = 8.0 * tolerance;
        let mut progress = Progress::default();
        loop {
            iterations += 1;
            // The last two allowed iterations are not over-relaxed, so that the plan is fitted in
            // any case.
            let omega = if iterations + 2 > options.max_iterations { 1.0 } else { relaxation.omega() };
            let (mut error, total) = state.iterate(omega);
            relaxation.observe(total);
            if omega > 1.0 && last && total <= target {
                // Over-relaxation leaves neither side fitted; the error is computed, and the plan
                // returned, with exact column sums.
                iterations += 2;
                state.iterate(1.0);
                error = state.iterate(1.0).0;
                target /= 4.0;
            } else if omega > 1.0 {
                error = total;
            }
            if error <= tolerance || iterations >= options.max_iterations || progress.has_ended(error) {
                if last && omega > 1.0 {
                    // The columns of the plan are exact, however the iteration ends.
                    iterations += 1;
                    state.iterate(1.0);
                }
                break;
            }
        }
        if last {
            break;
        }
    }
    let found = assemble(state, iterations, options.tolerance)?;
    if options.require_convergence && !found.converged {
        let (error, tolerance) = (found.error, options.tolerance);
        return Err(OtError::NotConverged { iterations, error, tolerance });
    }
    Ok(found)
}

/// Ends an iteration whose error no longer falls, because rounding keeps it above the tolerance.
#[derive(Debug)]
struct Progress {
    least: f64,
    since: usize,
}

impl Default for Progress {
    fn default() -> Self {
        Self { least: f64::INFINITY, since: 0 }
    }
}

impl Progress {
    /// Iterations without a fall of the error by a thousandth after which it has ended.
    const PATIENCE: usize = 20_000;

    fn has_ended(&mut self, error: f64) -> bool {
        self.since += 1;
        if error < 0.999 * self.least {
            (self.least, self.since) = (error, 0);
        }
        self.since >= Self::PATIENCE
    }
}

/// The levels of epsilon: an eighth of the mean cost, divided by 4 until it is near epsilon, then
/// epsilon.
fn levels(mean: f64, epsilon: f64) -> Vec<f64> {
    let falling = std::iter::successors(Some(mean / 8.0), |e| Some(e / 4.0)).take_while(|e| *e > 3.0 * epsilon);
    falling.chain([epsilon]).collect()
}
