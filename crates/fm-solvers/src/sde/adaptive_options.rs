//! Options of adaptive stochastic steps, checked for a span.

use super::Diffusion;
use crate::SolveError;
use crate::controller::{AdaptiveOptions, PidController};
use crate::pace::Pace;
use crate::tableau::HEUN_EULER;
use fm_core::choice::Choice;

/// The largest step, as a share of the span, and the largest growth: the error of a large step may
/// be small by chance, so it must not be tried.
const MAX_STEP: f64 = 0.125;
const MAX_FACTOR: f64 = 2.0;

/// Options of adaptive stochastic steps.
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptiveSde {
    /// The noise; not `churn`.
    pub diffusion: Diffusion,
    /// Whether each row has its own steps, or the batch shares them.
    pub pace: Pace,
    /// Tolerances, controller and limits. The default first step is 1/100 of the span; no step is
    /// longer than 1/8 of it, or than twice the one before.
    pub options: AdaptiveOptions,
    /// The share of the span that the last step covers, which denoises.
    pub last_step: f64,
}

impl AdaptiveSde {
    /// Steps per row at a relative and absolute tolerance of 0.01, and a last step of 0.001.
    pub fn new(diffusion: Diffusion) -> Self {
        let options = AdaptiveOptions::with_tolerance(1e-2);
        Self { diffusion, pace: Pace::PerSample, options, last_step: 1e-3 }
    }
}

impl AdaptiveSde {
    /// The time at which the last step starts.
    pub(super) fn stop(&self, (low, high): (f64, f64)) -> f64 {
        high - self.last_step * (high - low)
    }

    /// The options in units of the time up to the last step, which runs from 0 to 1 here. Only a
    /// field with a score (`scored`) has a span that falls.
    pub(super) fn check(
        &self,
        span: (f64, f64),
        dimension: Option<usize>,
        scored: bool,
    ) -> Result<AdaptiveOptions, SolveError> {
        self.diffusion.validate()?;
        if matches!(self.diffusion, Diffusion::Churn { .. }) {
            return Err(SolveError::StochasticAdaptive);
        }
        self.options.check(span, &HEUN_EULER, dimension)?;
        if span.1 < span.0 && !scored {
            return Err(SolveError::Backwards);
        }
        if span.1 > 1.0 {
            return Err(fm_core::Error::TimeOutside { t: span.1 }.into());
        }
        if !(self.last_step > 0.0 && self.last_step < 1.0) {
            let (what, remedy) = ("last_step", "give a share between 0 and 1");
            return Err(SolveError::Control { what, value: self.last_step, remedy });
        }
        let length = (self.stop(span) - span.0).abs();
        let o = &self.options;
        let (min_step, max_step) = (o.min_step / length, (o.max_step / length).min(MAX_STEP));
        let control = PidController { max_factor: o.control.max_factor.min(MAX_FACTOR), ..o.control };
        let first_step = o.first_step.map(|h| h / length);
        Ok(AdaptiveOptions { min_step: min_step.min(max_step), max_step, first_step, control, ..o.clone() })
    }
}
