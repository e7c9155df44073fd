//! Step-size control as a value: what the error of a step says about the size of the next, and when to give up.
//!
//! With e_n the scaled error of the last accepted step and k the method's order, the next step is h times
//!
//! clamp(s e_n^(-(p + i + d) / k) e_(n-1)^((p + 2 d) / k) e_(n-2)^(-d / k)),
//!
//! a PID controller on log(1 / e). i = 1 alone is the textbook controller; a step after a rejection does not grow, and a rejected
//! step shrinks by the textbook rule, since only its own error is known to matter.
//!
//! Sources: Soederlind, "Digital filters in adaptive time-stepping", ACM TOMS 29 (2003); Hairer, Norsett, Wanner, "Solving Ordinary
//! Differential Equations I", II.4 (first step, p. 169), and volume II, IV.2 (PI).
//!
//! ```
//! use fm_solvers::control::Control;
//! // An error of 1/32 of what is allowed: a fifth-order method can take twice the step, less a margin of a tenth.
//! let factor = Control::I.factor(5, [1.0 / 32.0, 1.0, 1.0]);
//! assert!((factor - 0.9 * 2.0).abs() < 1e-12);
//! // The PI controller takes half of what the error has gained since the last step back.
//! let pi = Control { proportional: 0.5, integral: 0.5, ..Control::I };
//! assert!((pi.factor(5, [1.0 / 32.0, 1.0 / 32.0, 1.0]) - 0.9 * 2.0f64.sqrt()).abs() < 1e-12);
//! ```

use crate::tableau::Tableau;
use crate::{Reason, SolveError, Stats};
use fm_core::state::Tolerance;

/// A PID controller of the step size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Control {
    /// p, the weight of the change of the error.
    pub proportional: f64,
    /// i, the weight of the error itself.
    pub integral: f64,
    /// d, the weight of the change of the change.
    pub derivative: f64,
    /// s, the margin.
    pub safety: f64,
    /// The most that a step may shrink by.
    pub min_factor: f64,
    /// The most that a step may grow by.
    pub max_factor: f64,
}

impl Control {
    /// The textbook controller.
    pub const I: Self =
        Self { proportional: 0.0, integral: 1.0, derivative: 0.0, safety: 0.9, min_factor: 0.2, max_factor: 10.0 };
    /// Gustafsson's PI controller, with Hairer's numbers for Dopri5 (beta = 0.04).
    pub const PI: Self = Self { proportional: 0.2, integral: 0.65, ..Self::I };
    /// Soederlind's H312 filter, the smoothest.
    pub const PID: Self = Self { proportional: 1.0 / 18.0, integral: 1.0 / 9.0, derivative: 1.0 / 18.0, ..Self::I };

    /// What to multiply the step size by, from the errors of the last three accepted steps, latest first.
    pub fn factor(&self, order: usize, errors: [f64; 3]) -> f64 {
        let Self { proportional: p, integral: i, derivative: d, .. } = *self;
        let k = order as f64;
        let [now, before, earlier] = errors.map(|e| e.max(1e-10));
        let mut factor = self.safety * now.powf(-(p + i + d) / k);
        if p + 2.0 * d != 0.0 {
            factor *= before.powf((p + 2.0 * d) / k);
        }
        if d != 0.0 {
            factor *= earlier.powf(-d / k);
        }
        factor.clamp(self.min_factor, self.max_factor)
    }

    fn check(&self) -> Result<(), SolveError> {
        let Self { proportional, integral, derivative, safety, min_factor, max_factor } = *self;
        let gain = proportional + integral + derivative;
        let bad = |what, value, remedy| Err(SolveError::Control { what, value, remedy });
        match () {
            () if !(gain > 0.0 && gain.is_finite()) => {
                bad("the sum of the gains", gain, "give gains that add up to more than 0")
            }
            () if !(safety > 0.0 && safety <= 1.0) => bad("safety", safety, "give at most 1 and more than 0"),
            () if !(min_factor > 0.0 && min_factor < 1.0) => bad("min_factor", min_factor, "give one between 0 and 1"),
            () if !(max_factor > 1.0 && max_factor.is_finite()) => bad("max_factor", max_factor, "give one above 1"),
            () => Ok(()),
        }
    }
}

/// How carefully to step.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Error allowed per step.
    pub tolerance: Tolerance,
    /// How errors become step sizes.
    pub control: Control,
    /// The size of the first step; none: Hairer's rule, for one more evaluation.
    pub first_step: Option<f64>,
    /// A step that would have to be smaller than this ends the solve.
    pub min_step: f64,
    /// No step is larger than this.
    pub max_step: f64,
    /// Evaluations after which the state reached is returned.
    pub max_evaluations: usize,
}

impl Default for Options {
    /// 1e-5 both ways, as the field samples CIFAR-10, and 10,000 evaluations.
    fn default() -> Self {
        Self::with_tolerance(1e-5)
    }
}

impl Options {
    /// The same relative and absolute tolerance, and otherwise the defaults.
    pub fn with_tolerance(tolerance: f64) -> Self {
        Self {
            tolerance: Tolerance::new(tolerance, tolerance),
            control: Control::I,
            first_step: None,
            min_step: 0.0,
            max_step: f64::INFINITY,
            max_evaluations: 10_000,
        }
    }

    /// The weights of the error estimate, if a solve with these options can be carried out at all.
    pub(crate) fn check<'a>(
        &self,
        (start, end): (f64, f64),
        tableau: &'a Tableau,
        dimension: Option<usize>,
    ) -> Result<&'a [f64], SolveError> {
        tableau.check()?;
        self.control.check()?;
        let (rtols, atols) = (self.tolerance.rtol.values(), self.tolerance.atol.values());
        for (bounds, dimension) in [rtols, atols].into_iter().flat_map(|b| dimension.map(|d| (b, d))) {
            if matches!((bounds.len(), dimension), (n, d) if n != d && n != 1) {
                return Err(SolveError::ToleranceCount { given: bounds.len(), dimension });
            }
        }
        for i in 0..rtols.len().max(atols.len()).max(1) {
            let (rtol, atol) = (self.tolerance.rtol.at(i), self.tolerance.atol.at(i));
            if !(rtol >= 0.0 && atol >= 0.0 && rtol + atol > 0.0 && (rtol + atol).is_finite()) {
                return Err(SolveError::Tolerance { rtol, atol });
            }
        }
        if !(start.is_finite() && end.is_finite() && start != end) {
            return Err(SolveError::Grid);
        }
        let bad = |what, value, remedy| Err(SolveError::Control { what, value, remedy });
        match self.first_step {
            Some(first) if !(first > 0.0 && first.is_finite()) => {
                return bad("first_step", first, "give a positive size, in either direction");
            }
            _ if self.max_step.is_nan() || self.max_step <= 0.0 => {
                return bad("max_step", self.max_step, "give a positive size");
            }
            _ if !(self.min_step >= 0.0 && self.min_step <= self.max_step) => {
                return bad("min_step", self.min_step, "give a size from 0 to max_step");
            }
            _ => {}
        }
        tableau.e.ok_or(SolveError::NoErrorEstimate { method: tableau.name })
    }
}

/// A step to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) t: f64,
    pub(crate) h: f64,
    last: bool,
}

/// One system on its way from t to the end: everything about it but its state.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    t: f64,
    end: f64,
    length: f64,
    h: f64,
    errors: [f64; 3],
    rejected: bool,
    pub(crate) stats: Stats,
}

impl Lane {
    pub(crate) fn new((start, end): (f64, f64), first_step: f64) -> Self {
        let length = (end - start).abs();
        let stats = Stats { smallest_step: f64::INFINITY, ..Stats::default() };
        Self { t: start, end, length, h: first_step.abs(), errors: [1.0; 3], rejected: false, stats }
    }

    /// The time reached.
    pub(crate) fn t(&self) -> f64 {
        self.t
    }

    /// The next step to try, at a cost of so many evaluations; none when the lane has ended, with the reason in its stats.
    pub(crate) fn propose(&mut self, cost: usize, options: &Options) -> Option<Trial> {
        let remaining = (self.end - self.t).abs();
        if remaining == 0.0 || self.stats.reason != Reason::ReachedEnd {
            return None;
        }
        let size = self.h.min(options.max_step);
        // A remainder of a rounding error must not become a step of its own.
        let last = 1.000_000_1 * size >= remaining;
        let h = if last { self.end - self.t } else { size.copysign(self.end - self.t) };
        if self.t + h == self.t || (size < options.min_step && !last) {
            self.stats.reason = Reason::StepUnderflow { t: self.t };
            return None;
        }
        if self.stats.evaluations + cost > options.max_evaluations {
            self.stats.reason = Reason::MaxEvaluations { t: self.t };
            return None;
        }
        Some(Trial { t: self.t, h, last })
    }

    /// Whether a step of this error is accepted; also chooses the size of the next.
    pub(crate) fn judge(&mut self, trial: Trial, error: f64, order: usize, control: &Control) -> bool {
        if !error.is_finite() {
            // Nothing to estimate from: close in on the place, until it is known well enough to report.
            self.stats.rejected += 1;
            self.rejected = true;
            self.h = 0.1 * trial.h.abs();
            if self.h < 1e-9 * self.length {
                self.stats.reason = Reason::NonFinite { t: self.t };
            }
            return false;
        }
        if error > 1.0 {
            self.stats.rejected += 1;
            self.rejected = true;
            self.h = trial.h.abs() * (control.safety * error.powf(-1.0 / order as f64)).clamp(control.min_factor, 1.0);
            return false;
        }
        self.stats.accepted += 1;
        self.stats.smallest_step = self.stats.smallest_step.min(trial.h.abs());
        self.t = if trial.last { self.end } else { trial.t + trial.h };
        self.errors = [error, self.errors[0], self.errors[1]];
        let factor = control.factor(order, self.errors);
        self.h = trial.h.abs() * if self.rejected { factor.min(1.0) } else { factor };
        self.rejected = false;
        true
    }
}

/// Hairer's first step, in two halves around the evaluation that it costs. d0, d1 and d2 are scaled norms of the state, of its
/// velocity, and of its second derivative.
pub(crate) fn first_guess(d0: f64, d1: f64, length: f64) -> f64 {
    let guess = if d0 < 1e-5 || d1 < 1e-5 { 1e-6 } else { 0.01 * d0 / d1 };
    guess.min(length)
}

pub(crate) fn first_step(guess: f64, d1: f64, d2: f64, order: usize, length: f64) -> f64 {
    let steepest = d1.max(d2);
    let h = if steepest <= 1e-15 { (1e-3 * guess).max(1e-6) } else { (0.01 / steepest).powf(1.0 / order as f64) };
    let h = h.min(100.0 * guess).min(length);
    // A velocity that is not finite says nothing about step sizes; the first step will meet it and name it.
    if h.is_finite() && h > 0.0 { h } else { guess }
}
