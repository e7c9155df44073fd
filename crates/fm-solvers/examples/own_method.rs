//! A method of your own as a `Solver`: the two-step Adams-Bashforth method.
//! `cargo run -p fm-solvers --example own_method`
//!
//! x_(n+1) = x_n + h (3/2 v_n - 1/2 v_(n-1)), started by one Euler step: order 2, one evaluation
//! per step.

#![allow(clippy::print_stdout, reason = "a program prints its results")]

use fm_core::{field::VelocityField, state::OdeState};
use fm_solvers::{Fixed, SaveAt, Solution, SolveError, Solver, Stats, solve};
use std::ops::Range;

/// Equal steps.
pub(crate) struct AdamsBashforth2 {
    pub(crate) steps: usize,
}

impl<S: OdeState> Solver<S> for AdamsBashforth2 {
    fn solve_partial(
        &self,
        field: &dyn VelocityField<S>,
        mut x: S,
        span: Range<f64>,
        save: SaveAt<'_>,
    ) -> Result<Solution<S>, SolveError> {
        field.check(&x)?;
        let mut record = save.record(&span, &x)?;
        let h = (span.end - span.start) / self.steps as f64;
        let mut before = None;
        for n in 0..self.steps {
            let v = field.velocity(&x, span.start + n as f64 * h);
            x = match &before {
                None => S::linear_combination(&[(1.0, &x), (h, &v)]),
                Some(before) => S::linear_combination(&[(1.0, &x), (1.5 * h, &v), (-0.5 * h, before)]),
            };
            record.step(span.start + (n + 1) as f64 * h, &x);
            before = Some(v);
        }
        let stats = Stats { evaluations: self.steps, accepted: self.steps, smallest_step: h.abs(), ..Stats::default() };
        Ok(record.finish(x, stats))
    }
}

/// Errors at t = 1 of x' = -2 t x from 1, of the method above and of the midpoint rule at the same
/// cost.
pub(crate) fn errors(evaluations: usize) -> Result<[f64; 2], SolveError> {
    let field = |x: &f64, t: f64| -2.0 * t * x;
    let own = solve(&field, 1.0, 0.0..1.0, &AdamsBashforth2 { steps: evaluations })?;
    let midpoint = solve(&field, 1.0, 0.0..1.0, &Fixed::midpoint(evaluations / 2))?;
    Ok([own.x, midpoint.x].map(|x| (x - (-1f64).exp()).abs()))
}

pub(crate) fn main() -> Result<(), SolveError> {
    for evaluations in [20, 40, 80] {
        let [own, midpoint] = errors(evaluations)?;
        println!("{evaluations} evaluations: error {own:.1e} (Adams-Bashforth), {midpoint:.1e} (midpoint)");
    }
    Ok(())
}
