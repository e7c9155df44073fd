//! The built-in time distributions, chosen by name.

use super::confined;
use super::distribution::{TimeDistribution, invert};
use crate::Error;
use crate::choice;
use crate::choice::{Choice, Domain};
use crate::normal;
use std::f64::consts::{FRAC_PI_2, PI};

choice! {
    /// A distribution of training times. With u in (0, 1) and z the standard normal quantile of u:
    ///
    /// | name | Q(u) | density p(t) | source |
    /// |---|---|---|---|
    /// | `uniform` | u | 1 | |
    /// | `logit-normal` | sigmoid(loc + scale z) | phi((logit t - loc) / scale) / (scale t (1 - t)) | Esser et al. 2024 |
    /// | `arcsine` | sin^2(pi u / 2) | 1 / (pi sqrt(t (1 - t))) | called "u-shaped" elsewhere |
    /// | `exp-u` | 1/2 + asinh((2u - 1) sinh(a/2)) / a | a cosh(a (t - 1/2)) / (2 sinh(a/2)) | Lee et al. 2024 |
    /// | `power` | u^k | t^(1/k - 1) / k | toward the source for k > 1 |
    /// | `power-data` | 1 - (1 - u)^k | (1 - t)^(1/k - 1) / k | toward the data for k > 1 |
    /// | `mode` | u + s (u - sin^2(pi u / 2)) | 1 / Q'(u) | Esser et al. 2024 |
    /// | `cosmap` | 1 - 1 / (tan(pi u / 2) + 1) | 2 / (pi (1 - 2t + 2t^2)) | Esser et al. 2024 |
    /// | `warp` | 4 (1-s) u^3 + 6 (s-1) u^2 + (3-2s) u | 1 / Q'(u), Q' = 12 (1-s) u^2 + 12 (s-1) u + (3-2s) | |
    /// | `edm-skew` | 1 / (1 + exp(1.2 z' - 1.2)), z' = -z | that of logit-normal(1.2, 1.2) | Karras et al. 2022 |
    /// | `discrete` | (ceil(k u) - 1) / k | mass 1/k at 0, 1/k, ..., (k-1)/k | Liu et al. 2023, k-step distillation |
    ///
    /// Esser et al. measure time from the data; their formulas are reversed here. Densities have
    /// unit 1 / time.
    ///
    /// ```
    /// use fm_core::time::TimeKind;
    /// let law: TimeKind = "u-shaped".parse()?;
    /// assert_eq!(law, TimeKind::Arcsine);
    /// assert!((law.quantile(1.0 / 3.0) - 0.25).abs() < 1e-15);
    /// assert!((law.cdf(0.25) - 1.0 / 3.0).abs() < 1e-15);
    /// assert!((law.density(0.5) - 2.0 / std::f64::consts::PI).abs() < 1e-15);
    /// # Ok::<(), fm_core::choice::ChoiceError>(())
    /// ```
    #[derive(Default)]
    pub enum TimeKind("time") {
        /// All times equally.
        #[default]
        Uniform = "uniform",
        /// More mass in the middle of the path, where the regression is hardest.
        LogitNormal = "logit-normal" | "logit_normal" {
            /// Median of logit(t).
            loc = 0.0, Domain::within(-30.0, 30.0);
            /// Standard deviation of logit(t).
            scale = 1.0, Domain::above(0.0, 30.0)
        },
        /// More mass at both ends.
        Arcsine = "arcsine" | "u-shaped" | "u_shaped",
        /// More mass at both ends, with a bounded density proportional to exp(a t) + exp(a (1 -
        /// t)).
        ExpU = "exp-u" {
            /// The steepness.
            a = 4.0, Domain::above(0.0, 100.0)
        },
        /// More mass at the source end for k > 1.
        Power = "power" {
            /// The power.
            k = 2.0, Domain::above(0.0, 100.0)
        },
        /// More mass at the data end for k > 1.
        PowerData = "power-data" {
            /// The power.
            k = 2.0, Domain::above(0.0, 100.0)
        },
        /// More mass in the middle for s > 0, at the ends for s < 0; s = 0 is uniform.
        Mode = "mode" {
            /// The strength, at most 2 / (pi - 2), where Q stops increasing.
            s = 1.29, Domain::within(-1.0, 2.0 / (PI - 2.0))
        },
        /// More mass in the middle: log signal-to-noise ratios on the linear path are distributed
        /// as under the cosine schedule.
        Cosmap = "cosmap",
        /// A cubic in u: more mass in the middle for s < 1, at the ends for s > 1; s = 1 is
        /// uniform.
        Warp = "warp" {
            /// Slope of Q in the middle.
            s = 0.5, Domain::within(0.0, 1.5)
        },
        /// EDM's log-normal noise levels on the linear path.
        EdmSkew = "edm-skew",
        /// k equal times from 0, for distillation to k Euler steps; k = 1 is t = 0 only.
        Discrete = "discrete" {
            /// The number of times.
            k = 4.0, Domain::whole(1.0, 100_000.0)
        },
    }
}

impl TimeKind {
    /// The quantile function Q(u), increasing, for u in (0, 1); NaN unless 0 <= u <= 1.
    pub fn quantile(&self, u: f64) -> f64 {
        if !(0.0..=1.0).contains(&u) {
            return f64::NAN;
        }
        match *self {
            TimeKind::Uniform => u,
            TimeKind::LogitNormal { loc, scale } => sigmoid(loc + scale * normal::quantile(u)),
            TimeKind::Arcsine => (FRAC_PI_2 * u).sin().powi(2),
            TimeKind::ExpU { a } => confined(0.5 + ((2.0 * u - 1.0) * (0.5 * a).sinh()).asinh() / a, 0.0, 1.0),
            TimeKind::Power { k } => u.powf(k),
            TimeKind::PowerData { k } => -(k * (-u).ln_1p()).exp_m1(),
            TimeKind::Mode { s } => u + s * (u - (FRAC_PI_2 * u).sin().powi(2)),
            TimeKind::Cosmap => {
                let (sin, cos) = (FRAC_PI_2 * u).sin_cos();
                sin / (sin + cos)
            }
            TimeKind::Warp { s } => u * ((4.0 * (1.0 - s) * u + 6.0 * (s - 1.0)) * u + 3.0 - 2.0 * s),
            TimeKind::EdmSkew => EDM_SKEW.quantile(u),
            TimeKind::Discrete { k } => confined((k * u).ceil() - 1.0, 0.0, k - 1.0) / k,
        }
    }

    /// F(t), the probability of a time of at most t: 0 below the interval [0, 1] and 1 above it.
    pub fn cdf(&self, t: f64) -> f64 {
        if !(0.0..=1.0).contains(&t) {
            return confined(t, 0.0, 1.0);
        }
        match *self {
            TimeKind::Uniform => t,
            TimeKind::LogitNormal { loc, scale } => normal::cdf((logit(t) - loc) / scale),
            // Each half is computed from the square root that is accurate there.
            TimeKind::Arcsine if t > 0.5 => 1.0 - self.cdf(1.0 - t),
            TimeKind::Arcsine => t.sqrt().asin() / FRAC_PI_2,
            TimeKind::ExpU { a } => 0.5 + (a * (t - 0.5)).sinh() / (2.0 * (0.5 * a).sinh()),
            TimeKind::Power { k } => t.powf(1.0 / k),
            TimeKind::PowerData { k } => -((-t).ln_1p() / k).exp_m1(),
            TimeKind::Mode { .. } | TimeKind::Warp { .. } => invert(t, |u| self.quantile(u)),
            TimeKind::Cosmap => t.atan2(1.0 - t) / FRAC_PI_2,
            TimeKind::EdmSkew => EDM_SKEW.cdf(t),
            TimeKind::Discrete { k } => ((k * t).floor() + 1.0).min(k) / k,
        }
    }

    /// p(t) for t in (0, 1), 0 outside [0, 1], infinite where the density is. For a
    /// [discrete](Self::is_discrete) distribution, the probability of t.
    pub fn density(&self, t: f64) -> f64 {
        if !(0.0..=1.0).contains(&t) {
            return if t.is_nan() { t } else { 0.0 };
        }
        match *self {
            TimeKind::Uniform => 1.0,
            TimeKind::LogitNormal { .. } if t <= 0.0 || t >= 1.0 => 0.0,
            TimeKind::LogitNormal { loc, scale } => normal::density((logit(t) - loc) / scale) / (scale * t * (1.0 - t)),
            TimeKind::Arcsine => 1.0 / (PI * (t * (1.0 - t)).sqrt()),
            TimeKind::ExpU { a } => a * (a * (t - 0.5)).cosh() / (2.0 * (0.5 * a).sinh()),
            TimeKind::Power { k } => t.powf(1.0 / k - 1.0) / k,
            TimeKind::PowerData { k } => (1.0 - t).powf(1.0 / k - 1.0) / k,
            TimeKind::Mode { .. } | TimeKind::Warp { .. } => 1.0 / self.slope(invert(t, |u| self.quantile(u))),
            TimeKind::Cosmap => 2.0 / (PI * (1.0 - 2.0 * t + 2.0 * t * t)),
            TimeKind::EdmSkew => EDM_SKEW.density(t),
            TimeKind::Discrete { k } => {
                f64::from((0.0..1.0).contains(&t) && (k * t - (k * t).round()).abs() < 1e-9) / k
            }
        }
    }

    /// Whether the distribution has point masses instead of a density.
    pub fn is_discrete(&self) -> bool {
        matches!(self, TimeKind::Discrete { .. })
    }

    /// Q'(u) of the distributions without a closed-form cdf; never negative.
    fn slope(&self, u: f64) -> f64 {
        let slope = match *self {
            TimeKind::Mode { s } => 1.0 + s * (1.0 - FRAC_PI_2 * (PI * u).sin()),
            TimeKind::Warp { s } => 12.0 * (1.0 - s) * u * (u - 1.0) + 3.0 - 2.0 * s,
            _ => 1.0,
        };
        slope.max(0.0)
    }
}

impl TimeDistribution for TimeKind {
    #[inline]
    fn quantile(&self, u: f64) -> f64 {
        TimeKind::quantile(self, u)
    }

    #[inline]
    fn cdf(&self, t: f64) -> f64 {
        TimeKind::cdf(self, t)
    }

    #[inline]
    fn density(&self, t: f64) -> f64 {
        TimeKind::density(self, t)
    }

    fn is_discrete(&self) -> bool {
        TimeKind::is_discrete(self)
    }

    fn name(&self) -> String {
        self.to_string()
    }

    fn check(&self) -> Result<(), Error> {
        Ok(self.validate()?)
    }
}

/// t = 1 / (1 + sigma), with log sigma normal of mean -1.2 and deviation 1.2, is the logistic
/// function of 1.2 + 1.2 z.
const EDM_SKEW: TimeKind = TimeKind::LogitNormal { loc: 1.2, scale: 1.2 };

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn logit(t: f64) -> f64 {
    (t / (1.0 - t)).ln()
}
