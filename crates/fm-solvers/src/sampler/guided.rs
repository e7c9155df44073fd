//! Guidance and the steps of a sampler.

use super::{Sampler, Steps, saving};
use crate::SolveError;
use crate::guidance::{GuidanceOptions, ZeroStar};

impl Sampler {
    /// Checks that the steps suit the rules of a [`Guider`](crate::guidance::Guider). Without this
    /// check its velocities are NaN where they do not.
    ///
    /// ```
    /// use fm_solvers::Sampler;
    /// use fm_solvers::guidance::{GuidanceOptions, Projection};
    /// let projection = Some(Projection { momentum: -0.5, ..Projection::default() });
    /// let options = GuidanceOptions { scale: 4.0, projection, ..GuidanceOptions::default() };
    /// assert!(Sampler::midpoint(20).check_guidance(&options).is_ok());
    /// assert!(Sampler::dopri5(1e-5).check_guidance(&options).is_err());
    /// ```
    ///
    /// # Errors
    /// [`Combination`](fm_core::Error::Combination) for momentum with adaptive steps, which differ
    /// between samples.
    pub fn check_guidance(&self, options: &GuidanceOptions) -> Result<(), SolveError> {
        let momentum = options.projection.is_some_and(|rule| rule.momentum != 0.0);
        if momentum && matches!(self.steps, Steps::Adaptive(..)) {
            let (what, with) = ("the momentum of projected guidance".into(), "adaptive steps".into());
            let why = "it averages over equal steps of all samples; give a number of steps, or a momentum of 0";
            return Err(fm_core::Error::Combination { what, with, why }.into());
        }
        Ok(())
    }

    /// CFG-Zero* with no velocity in a share of the first steps over `span`, rounded up to whole
    /// steps, or in a share of the span if the steps are adaptive. The paper has 0.04.
    ///
    /// ```
    /// use fm_solvers::Sampler;
    /// assert_eq!(Sampler::euler(50).zero_star(0.04, (0.0, 1.0))?.zero_until, 0.04);
    /// assert_eq!(Sampler::euler(10).zero_star(0.04, (0.0, 1.0))?.zero_until, 0.1);
    /// assert_eq!(Sampler::dopri5(1e-5).zero_star(0.04, (0.0, 0.5))?.zero_until, 0.02);
    /// # Ok::<(), fm_solvers::SolveError>(())
    /// ```
    ///
    /// # Errors
    /// [`Value`](fm_core::Error::Value) for a share outside 0 to 1, and the errors of the grid.
    pub fn zero_star(&self, share: f64, span: (f64, f64)) -> Result<ZeroStar, SolveError> {
        if !(0.0..=1.0).contains(&share) {
            let name = "the share of steps without velocity";
            return Err(fm_core::Error::Value { name, domain: "from 0 to 1", value: share }.into());
        }
        if matches!(self.steps, Steps::Adaptive(..)) {
            let zero_until = saving::within(&[share], span).first().copied().unwrap_or(span.0);
            return Ok(ZeroStar { zero_until });
        }
        Ok(ZeroStar::of_steps(&self.steps.grid(span)?, share))
    }
}
