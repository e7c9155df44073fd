//! Step-size state of one trajectory: time, step size, errors and counts, in plain scalars. Solvers
//! hold the states.

use crate::controller::AdaptiveOptions;
use crate::{Stats, StopReason};

/// A step to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) t: f64,
    pub(crate) h: f64,
    last: bool,
}

impl Trial {
    /// The same step with another end before the end of the solve.
    pub(crate) fn up_to(self, end: f64) -> Self {
        Self { h: end - self.t, last: false, ..self }
    }
}

/// Everything about one trajectory except its state.
#[derive(Debug, Clone)]
pub(crate) struct StepState {
    t: f64,
    end: f64,
    length: f64,
    h: f64,
    errors: [f64; 3],
    rejected: bool,
    pub(crate) stats: Stats,
}

impl StepState {
    pub(crate) fn new((start, end): (f64, f64), first_step: f64, options: &AdaptiveOptions) -> Self {
        let length = (end - start).abs();
        let stats = Stats { smallest_step: f64::INFINITY, ..Stats::default() };
        Self { t: start, end, length, h: first_step.max(options.min_step), errors: [1.0; 3], rejected: false, stats }
    }

    /// The time reached.
    pub(crate) fn t(&self) -> f64 {
        self.t
    }

    /// The next step to try, which costs `cost` evaluations; `None` at the end, with the reason in
    /// the stats.
    pub(crate) fn propose(&mut self, cost: usize, options: &AdaptiveOptions) -> Option<Trial> {
        let remaining = (self.end - self.t).abs();
        if remaining == 0.0 || self.stats.reason != StopReason::ReachedEnd {
            return None;
        }
        let size = self.h.min(options.max_step);
        // A remainder of the size of a rounding error must not become a separate step.
        let last = 1.000_000_1 * size >= remaining;
        let h = if last { self.end - self.t } else { size.copysign(self.end - self.t) };
        // Checked only after a rejection: a first step may be arbitrarily small.
        let tiny = self.rejected && size < f64::EPSILON * self.length;
        if self.t + h == self.t || ((size < options.min_step || tiny) && !last) {
            self.stats.reason = StopReason::StepUnderflow { t: self.t };
            return None;
        }
        if self.stats.evaluations + cost > options.max_evaluations {
            self.stats.reason = StopReason::MaxEvaluations { t: self.t };
            return None;
        }
        Some(Trial { t: self.t, h, last })
    }

    /// Returns whether a step with this error is accepted, and chooses the size of the next step.
    /// The error grows as the power `order` of the step size.
    pub(crate) fn judge(&mut self, trial: Trial, error: f64, order: f64, options: &AdaptiveOptions) -> bool {
        let control = &options.control;
        if !error.is_finite() {
            // There is no error to estimate from: shrink the step until the failing time is located
            // accurately enough to report.
            self.stats.rejected += 1;
            self.rejected = true;
            self.h = 0.1 * trial.h.abs();
            if self.h < options.min_step.max(1e-9 * self.length) {
                self.stats.reason = StopReason::NonFinite { t: self.t };
            }
            return false;
        }
        if error > 1.0 {
            self.stats.rejected += 1;
            self.rejected = true;
            self.h = trial.h.abs() * (control.safety * error.powf(-1.0 / order)).max(control.min_factor).min(1.0);
            return false;
        }
        self.stats.accepted += 1;
        self.stats.smallest_step = self.stats.smallest_step.min(trial.h.abs());
        self.t = if trial.last { self.end } else { trial.t + trial.h };
        self.errors = [error, self.errors[0], self.errors[1]];
        let factor = control.factor_of(order, self.errors);
        let size = trial.h.abs() * if self.rejected { factor.min(1.0) } else { factor };
        // A proposed size below the minimum is raised to it; only a rejection can require a smaller
        // step.
        self.h = size.max(options.min_step);
        self.rejected = false;
        true
    }
}

/// Hairer's first step size, in two halves around the evaluation that it needs. d0, d1 and d2 are
/// scaled norms of the state, its velocity, and its second derivative.
pub(crate) fn first_guess(d0: f64, d1: f64, length: f64) -> f64 {
    let guess = if d0 < 1e-5 || d1 < 1e-5 { 1e-6 } else { 0.01 * d0 / d1 };
    guess.min(length)
}

pub(crate) fn first_step(guess: f64, d1: f64, d2: f64, order: usize, length: f64) -> f64 {
    let steepest = d1.max(d2);
    let h = if steepest <= 1e-15 { (1e-3 * guess).max(1e-6) } else { (0.01 / steepest).powf(1.0 / order as f64) };
    let h = h.min(100.0 * guess).min(length);
    // A velocity that is not finite gives no step size; the first step will detect and report it.
    if h.is_finite() && h > 0.0 { h } else { guess }
}

/// The norm of an error damped by a second, coarser estimate: e e / sqrt(e^2 + E^2 / 100), without
/// overflow.
pub(crate) fn damped(error: f64, coarse: f64) -> f64 {
    if error == 0.0 || !coarse.is_finite() { error } else { error / (0.1 * coarse / error).hypot(1.0) }
}
