//! The rules of guidance as values.

use fm_core::Error;
use fm_core::prediction::Prediction;
use serde::{Deserialize, Serialize};

/// Which rules guide a field, and how strongly. The default is no guidance.
///
/// ```
/// use fm_core::prediction::Prediction;
/// use fm_solvers::guidance::{GuidanceOptions, Projection, ZeroStar};
/// let plain = GuidanceOptions { scale: 4.0, rescale: 0.7, ..GuidanceOptions::default() };
/// let both = GuidanceOptions {
///     zero_star: Some(ZeroStar::default()),
///     projection: Some(Projection::default()),
///     ..plain
/// };
/// assert!(plain.check(Prediction::Velocity).is_ok());
/// let error = both.check(Prediction::Velocity).unwrap_err().to_string();
/// assert!(error.starts_with("CFG-Zero* cannot be combined with projected guidance"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuidanceOptions {
    /// The scale w: 1 for the field without guidance.
    #[doc(alias = "guidance_scale")]
    #[doc(alias = "cfg_scale")]
    pub scale: f64,
    /// Times with guidance, including both ends; v = v_c at other times.
    pub interval: (f64, f64),
    /// The share phi, from 0 to 1, of the velocity that is rescaled to the deviation of v_c.
    #[doc(alias = "guidance_rescale")]
    pub rescale: f64,
    /// CFG-Zero*.
    pub zero_star: Option<ZeroStar>,
    /// Adaptive projected guidance.
    pub projection: Option<Projection>,
    /// Rectified-CFG++: the difference of the predictions is evaluated at t + h, with h above 0 and
    /// at most 1; the paper has the step size, or half of it. Times after 1 count as 1. An
    /// evaluation takes one more pass, of v_c alone.
    pub look_ahead: Option<f64>,
}

/// CFG-Zero*: v_u is scaled to the projection of v_c onto it, and the first steps have velocity 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "ClassifierFreeZeroStarGuidance")]
pub struct ZeroStar {
    /// The time, from 0 to 1, before which v = 0.
    pub zero_until: f64,
}

impl Default for ZeroStar {
    /// No velocity in the first 4 % of equal steps.
    fn default() -> Self {
        Self { zero_until: 0.04 }
    }
}

impl ZeroStar {
    /// No velocity in the first steps along `times`: a share of all steps, rounded up.
    ///
    /// ```
    /// use fm_solvers::guidance::ZeroStar;
    /// assert_eq!(ZeroStar::of_steps(&[0.0, 0.1, 0.3, 0.6, 1.0], 0.04).zero_until, 0.1);
    /// assert_eq!(ZeroStar::of_steps(&[0.0, 0.1, 0.3, 0.6, 1.0], 0.5).zero_until, 0.3);
    /// assert_eq!(ZeroStar::of_steps(&[0.0, 1.0], 0.0).zero_until, 0.0);
    /// ```
    pub fn of_steps(times: &[f64], share: f64) -> Self {
        // The product may round up: 0.07 * 100 is above 7.
        let steps = (share * times.len().saturating_sub(1) as f64 - 1e-9).ceil().max(0.0) as usize;
        Self { zero_until: times.get(steps).or(times.last()).copied().unwrap_or(0.0) }
    }
}

/// Adaptive projected guidance (APG): reduces the part of the difference that is parallel to v_c,
/// which oversaturates samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "APG")]
#[doc(alias = "AdaptiveProjectedGuidance")]
pub struct Projection {
    /// The share of the parallel part that is kept. 1 keeps all of it.
    pub eta: f64,
    /// The largest norm r of a row's difference. The paper has 2.5 to 15, for images of different
    /// sizes.
    #[doc(alias = "adaptive_projected_guidance_rescale")]
    pub norm_limit: Option<f64>,
    /// The weight of the previous average, between -1 and 1: an average is the difference plus this
    /// weight times the average at the evaluation before. The paper has -0.75 to 0. It needs all
    /// rows at one time, as in fixed steps.
    #[doc(alias = "adaptive_projected_guidance_momentum")]
    pub momentum: f64,
}

impl Default for GuidanceOptions {
    fn default() -> Self {
        Self { scale: 1.0, interval: (0.0, 1.0), rescale: 0.0, zero_star: None, projection: None, look_ahead: None }
    }
}

impl GuidanceOptions {
    /// Classifier-free guidance, or autoguidance with a weaker network.
    ///
    /// ```
    /// use fm_core::prediction::Prediction;
    /// use fm_solvers::guidance::GuidanceOptions;
    /// for options in [GuidanceOptions::scaled(3.0), GuidanceOptions::apg(3.0), GuidanceOptions::cfg_zero_star(3.0)] {
    ///     assert!(options.scale == 3.0 && options.check(Prediction::Velocity).is_ok());
    /// }
    /// ```
    #[doc(alias = "CFG")]
    pub fn scaled(scale: f64) -> Self {
        Self { scale, ..Self::default() }
    }

    /// Adaptive projected guidance with the values of the rule `apg`: without a part parallel to
    /// v_c, a norm of at most 5, and a momentum of -0.5. It needs fixed steps.
    ///
    /// ```
    /// use fm_solvers::{Sampler, guidance::GuidanceOptions};
    /// let named = Sampler::euler(10).guidance_options("apg".parse()?, (0.0, 1.0))?;
    /// assert_eq!(GuidanceOptions::apg(1.0), named);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apg(scale: f64) -> Self {
        let projection = Some(Projection { eta: 0.0, norm_limit: Some(5.0), momentum: -0.5 });
        Self { projection, ..Self::scaled(scale) }
    }

    /// CFG-Zero* with velocity 0 in the first 4 %, as the rule `cfg-zero`: of the time for a
    /// [`Guider`](super::Guider), and of the steps, rounded up, for `Sampler::guidance`.
    pub fn cfg_zero_star(scale: f64) -> Self {
        Self { zero_star: Some(ZeroStar::default()), ..Self::scaled(scale) }
    }

    /// Checks the values, and the rules for fields that predict `prediction`.
    ///
    /// # Errors
    /// [`Error::Value`] for a value outside its domain; [`Error::Combination`] for two of
    /// CFG-Zero*, projected guidance and rectified-CFG++, and for CFG-Zero* or rectified-CFG++ of a
    /// prediction that is not a velocity.
    pub fn check(&self, prediction: Prediction) -> Result<(), Error> {
        self.check_values()?;
        let rules = [
            (self.zero_star.is_some(), "CFG-Zero*"),
            (self.projection.is_some(), "projected guidance"),
            (self.look_ahead.is_some(), "rectified-CFG++"),
        ];
        let mut chosen = rules.iter().filter(|(chosen, _)| *chosen).map(|(_, name)| *name);
        if let (Some(what), Some(with)) = (chosen.next(), chosen.next()) {
            let why = "each replaces the difference of the two predictions; choose one of them";
            return Err(Error::Combination { what: what.into(), with: with.into(), why });
        }
        let of_velocities = rules.iter().find(|(chosen, name)| *chosen && *name != "projected guidance");
        match of_velocities {
            Some((_, what)) if !prediction.is_velocity() => {
                let why = "its formula is of velocities; convert both fields to velocities before (Converted)";
                Err(Error::Combination { what: (*what).into(), with: format!("{prediction} prediction"), why })
            }
            _ => Ok(()),
        }
    }

    fn check_values(&self) -> Result<(), Error> {
        let Self { scale, interval: (from, to), rescale, zero_star, projection, look_ahead } = *self;
        let Projection { eta, norm_limit, momentum } = projection.unwrap_or_default();
        let zero_until = zero_star.map_or(0.0, |rule| rule.zero_until);
        let (limit, ahead) = (norm_limit.unwrap_or(1.0), look_ahead.unwrap_or(1.0));
        check_scale(scale)?;
        let ordered = !from.is_nan() && !to.is_nan() && from <= to;
        let values = [
            (ordered, "the start of the guidance interval", "at most its end", from),
            ((0.0..=1.0).contains(&rescale), "the rescale of guidance", "from 0 to 1", rescale),
            ((0.0..=1.0).contains(&zero_until), "the end of the zero velocity of CFG-Zero*", "from 0 to 1", zero_until),
            (eta.is_finite(), "eta of projected guidance", "finite", eta),
            (limit > 0.0, "the norm limit of projected guidance", "above 0", limit),
            (momentum.abs() < 1.0, "the momentum of projected guidance", "between -1 and 1", momentum),
            (ahead > 0.0 && ahead <= 1.0, "the time of rectified-CFG++", "above 0 and at most 1", ahead),
        ];
        match values.into_iter().find(|(valid, ..)| !valid) {
            Some((_, name, domain, value)) => Err(Error::Value { name, domain, value }),
            None => Ok(()),
        }
    }
}

/// libtorch takes no larger factor of a tensor of f32.
pub(super) fn check_scale(scale: f64) -> Result<(), Error> {
    let domain = "finite in single precision";
    if scale.abs() <= f64::from(f32::MAX) {
        return Ok(());
    }
    Err(Error::Value { name: "the guidance scale", domain, value: scale })
}
