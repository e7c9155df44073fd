//! The steps of a method along a grid: which weights each takes.

use super::method::MultistepMethod;
use super::schedule::Schedule;
use super::weights::{PathPoint, StepWeights, adams, dpm_solver_2m, uni_c, uni_p};
use crate::SolveError;
use crate::fixed::check_grid;
use fm_core::prediction::{Conversion, Prediction};
use fm_core::state::OdeState;

/// A method on a grid.
pub(super) struct Plan<'a> {
    schedule: Schedule<'a>,
    pub(super) grid: &'a [f64],
    pub(super) method: MultistepMethod,
    /// For methods on a path: its points at the times of the grid.
    points: Vec<PathPoint>,
    /// For methods on a path: the data from x and v, at each time except the last.
    to_data: Vec<Conversion>,
}

impl<'a> Plan<'a> {
    /// # Errors
    /// A grid without steps; for methods on a path, falling times, no path, an invalid path,
    /// another path than that of the field, a time outside \[0, 1\], and extra noise.
    pub(super) fn new(schedule: Schedule<'a>, grid: &'a [f64], method: MultistepMethod) -> Result<Self, SolveError> {
        check_grid(grid)?;
        let mut plan = Self { schedule, grid, method, points: Vec::new(), to_data: Vec::new() };
        if !method.exponential() {
            return Ok(plan);
        }
        if grid[1] < grid[0] {
            return Err(SolveError::Forwards { method: method.name() });
        }
        plan.schedule.check()?;
        let (last, before) = grid.split_last().ok_or(SolveError::Grid)?;
        for t in before {
            let c = plan.schedule.at(*t)?;
            plan.to_data.push(Prediction::Velocity.to(Prediction::Data, &c)?);
            plan.points.push(PathPoint::new(c.alpha, c.sigma));
        }
        // Only derivatives are singular at the end, and no velocity is evaluated there.
        if *last > 1.0 {
            return Err(fm_core::Error::TimeOutside { t: *last }.into());
        }
        plan.points.push(plan.point(*last));
        plan.points[0] = plan.points[0].bounded(plan.points[1]);
        Ok(plan)
    }

    fn point(&self, t: f64) -> PathPoint {
        let c = self.schedule.coefficients(t);
        PathPoint::new(c.alpha, c.sigma)
    }

    /// The value that the method stores: the velocity, or the data.
    pub(super) fn value<S: OdeState>(&self, i: usize, x: &S, v: S) -> S {
        match self.to_data.get(i) {
            Some(Conversion { x: a, prediction: b }) => S::linear_combination(&[(*a, x), (*b, &v)]),
            None => v,
        }
    }

    /// The number of steps after step i.
    fn remaining(&self, i: usize) -> usize {
        self.grid.len() - 2 - i
    }

    /// The number of stored values, out of `count`, that step i uses.
    fn used(&self, i: usize, count: usize) -> usize {
        let count = count.min(self.method.memory() + 1);
        let noise_free = self.points.last().is_some_and(|end| end.sigma < 1e-2 * end.alpha);
        match self.method {
            MultistepMethod::DpmSolver2M if noise_free && self.remaining(i) == 0 => 1,
            MultistepMethod::UniPc2 | MultistepMethod::UniPc3 if noise_free => count.min(self.remaining(i) + 1),
            _ => count,
        }
    }

    /// The times of the newest `count` values, up to time i.
    fn times(&self, i: usize, count: usize) -> Vec<f64> {
        (0..count).map(|k| self.grid[i - k]).collect()
    }

    /// The points of the values before time i, newest first.
    fn before(&self, i: usize, count: usize) -> Vec<PathPoint> {
        (1..count).map(|k| self.points[i - k]).collect()
    }

    /// Step i from time i to `end`, its end or a time within it, with `count` values up to its
    /// start.
    pub(super) fn predict(&self, i: usize, count: usize, end: f64) -> StepWeights {
        let (t, used) = (self.grid[i], self.used(i, count));
        if !self.method.exponential() {
            return adams(t, end - t, &self.times(i, used));
        }
        let (from, to, before) = (self.points[i], self.point(end), self.before(i, used));
        if self.method == MultistepMethod::DpmSolver2M {
            return dpm_solver_2m(from, to, before.first().copied());
        }
        uni_p(from, to, &before)
    }

    /// The correction of the step that ended at time i, with `count` values of which the newest is
    /// at its end; `None` if the method does not correct it.
    pub(super) fn correct(&self, i: usize, count: usize) -> Option<StepWeights> {
        let last = i.checked_sub(1).filter(|_| count > 1)?;
        match self.method {
            MultistepMethod::AdamsBashforth2 | MultistepMethod::DpmSolver2M => None,
            // The first step after a start: an Euler step alone would leave the order at 2.
            MultistepMethod::AdamsBashforth3 if count > 2 => None,
            MultistepMethod::AdamsBashforth3 | MultistepMethod::Pec => {
                let t = self.grid[last];
                Some(adams(t, self.grid[i] - t, &self.times(i, count)))
            }
            MultistepMethod::UniPc2 | MultistepMethod::UniPc3 => {
                let used = self.used(last, count - 1);
                Some(uni_c(self.points[last], self.points[i], &self.before(last, used)))
            }
        }
    }
}
