//! Distributions of training times on [0, 1].
//!
//! A distribution *is* its quantile function Q: a draw is t = Q(u) with u uniform on (0, 1). Density p(t) and cumulative
//! distribution F(t) come with it, so that F(Q(u)) = u and p = F'.
//!
//! | law | Q(u) | source |
//! |---|---|---|
//! | [`TimeLaw::Uniform`] | u | |
//! | [`TimeLaw::LogitNormal`] | 1 / (1 + exp(-(loc + scale z))), z the normal quantile of u | Esser et al. 2024 |
//!
//! ```
//! use fm_core::time::TimeLaw;
//! let law = TimeLaw::LogitNormal { loc: 0.0, scale: 1.0 };
//! assert_eq!(TimeLaw::Uniform.quantile(0.3), 0.3);
//! assert!((law.quantile(0.5) - 0.5).abs() < 1e-12);
//! assert!((law.density(0.5) - 1.5957691216).abs() < 1e-9); // 4 / sqrt(2 pi)
//! ```

use rand::Rng;
use serde::{Deserialize, Serialize};

/// A distribution of training times, in the form that configurations and checkpoints write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "law", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TimeLaw {
    /// t = u.
    #[default]
    Uniform,
    /// t = sigmoid(loc + scale z): mass in the middle of the path, where the regression is hardest.
    LogitNormal {
        /// Median of logit(t).
        loc: f64,
        /// Standard deviation of logit(t), above 0.
        scale: f64,
    },
}

/// A time distribution that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TimeLawError {
    /// Parameters outside the law's domain.
    #[error("logit-normal time needs a finite loc and a finite scale above 0, got loc {loc} and scale {scale}")]
    LogitNormal {
        /// The offending location.
        loc: f64,
        /// The offending scale.
        scale: f64,
    },
}

impl TimeLaw {
    /// Checks the parameters.
    ///
    /// # Errors
    /// Names the parameter that is out of its domain.
    pub fn validate(&self) -> Result<(), TimeLawError> {
        match *self {
            TimeLaw::LogitNormal { loc, scale } if !(loc.is_finite() && scale.is_finite() && scale > 0.0) => {
                Err(TimeLawError::LogitNormal { loc, scale })
            }
            _ => Ok(()),
        }
    }

    /// Q(u) for u in (0, 1).
    pub fn quantile(&self, u: f64) -> f64 {
        match *self {
            TimeLaw::Uniform => u,
            TimeLaw::LogitNormal { loc, scale } => sigmoid(loc + scale * normal::quantile(u)),
        }
    }

    /// p(t) for t in (0, 1).
    pub fn density(&self, t: f64) -> f64 {
        match *self {
            TimeLaw::Uniform => 1.0,
            TimeLaw::LogitNormal { loc, scale } => normal::density((logit(t) - loc) / scale) / (scale * t * (1.0 - t)),
        }
    }

    /// F(t) for t in (0, 1).
    pub fn cdf(&self, t: f64) -> f64 {
        match *self {
            TimeLaw::Uniform => t,
            TimeLaw::LogitNormal { loc, scale } => normal::cdf((logit(t) - loc) / scale),
        }
    }

    /// One draw.
    pub fn sample(&self, rng: &mut impl Rng) -> f64 {
        // The open interval keeps the normal quantile finite.
        self.quantile(rng.sample(rand_distr::Open01))
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn logit(t: f64) -> f64 {
    (t / (1.0 - t)).ln()
}

/// The standard normal law, to about 1e-15 relative, since std has no error function.
mod normal {
    use libm::erfc;
    use std::f64::consts::{PI, SQRT_2};

    pub(super) fn density(z: f64) -> f64 {
        (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
    }

    pub(super) fn cdf(z: f64) -> f64 {
        0.5 * erfc(-z / SQRT_2)
    }

    /// Newton's iteration with Halley's correction from a logistic first guess, in the lower tail (the upper by symmetry).
    pub(super) fn quantile(u: f64) -> f64 {
        if u > 0.5 {
            return -quantile(1.0 - u);
        }
        let mut z = if u < 0.02 { -(-2.0 * u.ln()).sqrt() } else { (u / (1.0 - u)).ln() / 1.7 };
        for _ in 0..40 {
            let step = (cdf(z) - u) / density(z);
            let next = z - step / (1.0 + 0.5 * z * step);
            if (next - z).abs() <= 1e-15 * (1.0 + z.abs()) {
                return next;
            }
            z = next;
        }
        z
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    const LAWS: [TimeLaw; 3] = [
        TimeLaw::Uniform,
        TimeLaw::LogitNormal { loc: 0.0, scale: 1.0 },
        TimeLaw::LogitNormal { loc: -0.7, scale: 1.6 },
    ];

    #[test]
    fn cdf_inverts_the_quantile() {
        for law in LAWS {
            for u in [1e-6, 1e-3, 0.02, 0.3, 0.5, 0.8, 1.0 - 1e-6] {
                assert!((law.cdf(law.quantile(u)) - u).abs() < 1e-12, "{law:?} at {u}");
            }
        }
    }

    /// Reference: `[float(scipy.stats.norm.ppf(u)) for u in (1e-300, 1e-6, 0.1, 0.975)]`, SciPy 1.17.1.
    #[test]
    fn normal_quantile_matches_scipy() {
        let reference = [
            (1e-300, -37.0470962993612),
            (1e-6, -4.753424308822899),
            (0.1, -1.2815515655446004),
            (0.975, 1.959963984540054),
        ];
        for (u, z) in reference {
            assert!((normal::quantile(u) - z).abs() < 1e-12 * f64::abs(z), "{u}: {}", normal::quantile(u));
        }
    }

    #[test]
    fn density_integrates_to_the_cdf() {
        for law in LAWS {
            let (n, a, b) = (20_000, 0.01, 0.9);
            let h = (b - a) / n as f64;
            let integral: f64 = (0..n).map(|i| law.density(a + (i as f64 + 0.5) * h) * h).sum();
            assert!((integral - (law.cdf(b) - law.cdf(a))).abs() < 1e-7, "{law:?}");
        }
    }

    #[test]
    fn draws_pass_kolmogorov_smirnov() {
        for law in LAWS {
            let mut rng = rng::stream(7, 0, rng::Stream::Time, 0);
            let n = 100_000;
            let mut t: Vec<f64> = (0..n).map(|_| law.cdf(law.sample(&mut rng))).collect();
            t.sort_by(f64::total_cmp);
            let d = t.iter().enumerate().map(|(i, f)| (f - (i as f64 + 0.5) / n as f64).abs()).fold(0.0, f64::max);
            assert!(d < 1.63 / (n as f64).sqrt(), "{law:?}: D = {d}"); // 1 % level
        }
    }

    #[test]
    fn illegal_parameters_are_named() {
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = TimeLaw::LogitNormal { loc: 0.0, scale }.validate().unwrap_err();
            assert!(error.to_string().contains("scale above 0"));
        }
        assert_eq!(TimeLaw::Uniform.validate(), Ok(()));
    }
}
