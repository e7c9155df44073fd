//! Step-size control: the size of the next step from the errors of the last ones, and limits of a
//! solve.
//!
//! With e_n the scaled error of the last accepted step and k the method's order, the step size h is
//! multiplied by
//!
//! clamp(s e_n^(-(p + i + d) / k) e_(n-1)^((p + 2 d) / k) e_(n-2)^(-d / k)),
//!
//! a PID controller on log(1 / e). i = 1 alone is the textbook controller. A step after a rejection
//! does not grow. A rejected step shrinks by the textbook rule, because only its own error is
//! relevant.
//!
//! Which controller: the textbook controller is the default, and suits smooth fields. If the error
//! estimate varies strongly from step to step, so that many steps are rejected, try `PI`, then
//! `PID`, which change the step size less. Which tolerance: compare two of them, such as 1e-3 and
//! 1e-5 (the default), and take the larger one if the results agree. States in f32 allow no
//! relative tolerance much below 1e-6.
//!
//! Sources: Soederlind, "Digital filters in adaptive time-stepping", ACM TOMS 29 (2003); Hairer,
//! Norsett, Wanner, "Solving Ordinary Differential Equations I", II.4 (first step, p. 169), and
//! volume II, IV.2 (PI).
//!
//! ```
//! use fm_solvers::controller::PidController;
//! // An error of 1/32 of the tolerance: a fifth-order method can double the step, reduced by the safety factor 0.9.
//! let factor = PidController::I.factor(5, [1.0 / 32.0, 1.0, 1.0]);
//! assert!((factor - 0.9 * 2.0).abs() < 1e-12);
//! // With the same error in two successive steps, this PI controller uses half the exponent.
//! let pi = PidController { proportional: 0.5, integral: 0.5, ..PidController::I };
//! assert!((pi.factor(5, [1.0 / 32.0, 1.0 / 32.0, 1.0]) - 0.9 * 2.0f64.sqrt()).abs() < 1e-12);
//! ```

use crate::SolveError;
use crate::save::check_span;
use crate::tableau::Tableau;
use fm_core::state::Tolerance;
use serde::{Deserialize, Serialize};

/// A PID controller of the step size. The default is the textbook controller [`I`](Self::I).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "AdaptiveStepSizeController")]
#[doc(alias = "PIDController")]
pub struct PidController {
    /// p, the gain of the change of the error.
    pub proportional: f64,
    /// i, the gain of the error itself.
    pub integral: f64,
    /// d, the gain of the second difference of the error.
    pub derivative: f64,
    /// s, the safety factor.
    pub safety: f64,
    /// The smallest factor by which a step may shrink.
    pub min_factor: f64,
    /// The largest factor by which a step may grow.
    pub max_factor: f64,
}

impl Default for PidController {
    fn default() -> Self {
        Self::I
    }
}

impl PidController {
    /// The textbook controller.
    pub const I: Self =
        Self { proportional: 0.0, integral: 1.0, derivative: 0.0, safety: 0.9, min_factor: 0.2, max_factor: 10.0 };
    /// Gustafsson's PI controller, with Hairer's coefficients for Dopri5 (beta = 0.04).
    pub const PI: Self = Self { proportional: 0.2, integral: 0.65, ..Self::I };
    /// Soederlind's H312 filter, the smoothest of these controllers.
    pub const PID: Self = Self { proportional: 1.0 / 18.0, integral: 1.0 / 9.0, derivative: 1.0 / 18.0, ..Self::I };

    /// The factor by which to multiply the step size, from the errors of the last three accepted
    /// steps, latest first. A NaN error counts as infinite. If the bounds are in the wrong order
    /// (which a solver rejects), the result is the upper one.
    pub fn factor(&self, order: usize, errors: [f64; 3]) -> f64 {
        self.factor_of(order as f64, errors)
    }

    /// [`factor`](Self::factor) for an error that grows as the power k of the step size.
    pub(crate) fn factor_of(&self, k: f64, errors: [f64; 3]) -> f64 {
        let Self { proportional: p, integral: i, derivative: d, .. } = *self;
        let [now, before, earlier] = errors.map(|e| if e.is_nan() { f64::INFINITY } else { e.max(1e-10) });
        let mut factor = self.safety * now.powf(-(p + i + d) / k);
        if p + 2.0 * d != 0.0 {
            factor *= before.powf((p + 2.0 * d) / k);
        }
        if d != 0.0 {
            factor *= earlier.powf(-d / k);
        }
        // Unlike clamp, this returns a bound for NaN.
        factor.max(self.min_factor).min(self.max_factor)
    }

    fn check(&self) -> Result<(), SolveError> {
        let Self { proportional, integral, derivative, safety, min_factor, max_factor } = *self;
        let gain = proportional + integral + derivative;
        let bad = |what, value, remedy| Err(SolveError::Control { what, value, remedy });
        if !(gain > 0.0 && gain.is_finite()) {
            return bad("the sum of the gains", gain, "give finite gains that add up to more than 0");
        }
        if !(safety > 0.0 && safety <= 1.0) {
            return bad("safety", safety, "give at most 1 and more than 0");
        }
        if !(min_factor > 0.0 && min_factor < 1.0) {
            return bad("min_factor", min_factor, "give one between 0 and 1");
        }
        if !(max_factor > 1.0 && max_factor.is_finite()) {
            return bad("max_factor", max_factor, "give one above 1");
        }
        Ok(())
    }
}

/// Options of an adaptive solve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptiveOptions {
    /// Error allowed per step.
    pub tolerance: Tolerance,
    /// The step-size controller.
    pub control: PidController,
    /// The size of the first step; `None` for Hairer's rule, which costs one more evaluation.
    pub first_step: Option<f64>,
    /// The minimum step size: the solve ends if a smaller step is needed.
    pub min_step: f64,
    /// The maximum step size. Omitted in files if there is no limit, because JSON has no infinity.
    #[serde(skip_serializing_if = "is_infinite")]
    pub max_step: f64,
    /// The number of evaluations after which the solve stops.
    pub max_evaluations: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_infinite(size: &f64) -> bool {
    size.is_infinite()
}

impl Default for AdaptiveOptions {
    /// Relative and absolute tolerance 1e-5, the usual setting for CIFAR-10, and 10,000
    /// evaluations.
    fn default() -> Self {
        Self::with_tolerance(1e-5)
    }
}

impl AdaptiveOptions {
    /// The given relative and absolute tolerance, with default values otherwise.
    pub fn with_tolerance(tolerance: f64) -> Self {
        Self {
            tolerance: Tolerance::new(tolerance, tolerance),
            control: PidController::I,
            first_step: None,
            min_step: 0.0,
            max_step: f64::INFINITY,
            max_evaluations: 10_000,
        }
    }

    /// The weights of the error estimate, or an error if these options are invalid.
    pub(crate) fn check<'a>(
        &self,
        span: (f64, f64),
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
        check_span(span)?;
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
            _ if self.max_evaluations == 0 => {
                return bad("max_evaluations", 0.0, "allow at least one");
            }
            _ => {}
        }
        tableau.e.ok_or(SolveError::NoErrorEstimate { method: tableau.name })
    }
}
