//! Guidance and the steps of a sampler.

use super::{Sampler, Steps, saving};
use crate::SolveError;
use crate::guidance::{GuidanceOptions, GuidanceRule, Projection, ZeroStar};

impl Sampler {
    /// The options of a named rule for these steps over `span`, at scale 1.
    ///
    /// ```
    /// use fm_solvers::Sampler;
    /// use fm_solvers::guidance::GuidanceOptions;
    /// let rule = "rectified-cfg++:steps=0.5".parse()?;
    /// let options = Sampler::euler(20).guidance_options(rule, (0.0, 1.0))?;
    /// assert_eq!(options, GuidanceOptions { look_ahead: Some(0.025), ..GuidanceOptions::default() });
    /// // Adaptive steps have no size to look ahead by.
    /// assert!(Sampler::dopri5(1e-5).guidance_options(rule, (0.0, 1.0)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Combination`](fm_core::Error::Combination) for rectified-CFG++ with adaptive steps; as
    /// [`check_guidance`](Self::check_guidance); the errors of the grid.
    pub fn guidance_options(&self, rule: GuidanceRule, span: (f64, f64)) -> Result<GuidanceOptions, SolveError> {
        let mut options = GuidanceOptions::default();
        match rule {
            GuidanceRule::Plain => {}
            GuidanceRule::ZeroStar { share } => options.zero_star = Some(self.zero_star(share, span)?),
            GuidanceRule::Projected { eta, norm, momentum } => {
                options.projection = Some(Projection { eta, norm_limit: Some(norm), momentum });
            }
            GuidanceRule::LookAhead { .. } if matches!(self.steps, Steps::Adaptive(..)) => {
                let (what, with) = (format!("guidance {rule}"), "adaptive steps".into());
                let why = "it evaluates ahead by a share of the step size; give a number of steps";
                return Err(fm_core::Error::Combination { what, with, why }.into());
            }
            GuidanceRule::LookAhead { steps } => {
                let count = self.steps.grid(span)?.len().saturating_sub(1).max(1);
                options.look_ahead = Some(steps * (span.1 - span.0) / count as f64);
            }
        }
        self.check_guidance(&options)?;
        Ok(options)
    }

    /// Checks that the sampler suits the rules of a [`Guider`](crate::guidance::Guider). Without
    /// this check, momentum gives velocities of NaN, and the other rules wrong samples.
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
    /// [`Combination`](fm_core::Error::Combination) for CFG-Zero* and rectified-CFG++ along another
    /// path than the trained one, for CFG-Zero* in stochastic sampling, and for momentum with
    /// adaptive steps, which differ between samples.
    pub fn check_guidance(&self, options: &GuidanceOptions) -> Result<(), SolveError> {
        let refuse = |what: &str, with: &str, why| {
            Err(fm_core::Error::Combination { what: what.into(), with: with.into(), why }.into())
        };
        let (zero_star, look_ahead) = (options.zero_star.is_some(), options.look_ahead.is_some());
        if (zero_star || look_ahead) && self.schedule.is_some() {
            let what = if zero_star { "CFG-Zero*" } else { "rectified-CFG++" };
            return refuse(what, "another path", "its steps are those of the trained path; sample along that");
        }
        if zero_star && self.stochastic.is_some() {
            let why = "its steps without velocity have no score; sample the ODE";
            return refuse("CFG-Zero*", "stochastic sampling", why);
        }
        let momentum = options.projection.is_some_and(|rule| rule.momentum != 0.0);
        if momentum && matches!(self.steps, Steps::Adaptive(..)) {
            let why = "it averages over equal steps of all samples; give a number of steps, or a momentum of 0";
            return refuse("the momentum of projected guidance", "adaptive steps", why);
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
