//! The standard normal distribution, to a relative error of about 1e-15; std has no error function.
//!
//! ```
//! use fm_core::normal::{cdf, density, quantile};
//! assert_eq!((cdf(0.0), quantile(0.5), quantile(0.0)), (0.5, 0.0, f64::NEG_INFINITY));
//! assert!((quantile(cdf(1.5)) - 1.5).abs() < 1e-12);
//! assert!((density(0.0) - 0.398_942_280_401_432_7).abs() < 1e-15);
//! ```

use libm::erfc;
use std::f64::consts::{PI, SQRT_2};

/// The density, exp(-z^2 / 2) / sqrt(2 pi).
pub fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// The probability of a value below `z`.
#[doc(alias = "norm.cdf")]
pub fn cdf(z: f64) -> f64 {
    0.5 * erfc(-z / SQRT_2)
}

/// The value below which a share `u` of the values lies; infinite at 0 and 1, NaN outside.
#[doc(alias = "norm.ppf")]
pub fn quantile(u: f64) -> f64 {
    if !(0.0..=1.0).contains(&u) {
        return f64::NAN;
    }
    // Halley's method from a logistic initial guess, in the lower tail; the upper tail follows by
    // symmetry.
    if u > 0.5 {
        return -quantile(1.0 - u);
    }
    if u == 0.0 {
        return f64::NEG_INFINITY;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference: `[float(scipy.stats.norm.ppf(u)) for u in (1e-300, 1e-6, 0.1, 0.975)]`, SciPy
    /// 1.17.1.
    #[test]
    fn normal_quantile_matches_scipy() {
        let reference = [
            (1e-300, -37.0470962993612),
            (1e-6, -4.753424308822899),
            (0.1, -1.2815515655446004),
            (0.975, 1.959963984540054),
        ];
        for (u, z) in reference {
            assert!((quantile(u) - z).abs() < 1e-12 * f64::abs(z), "{u}: {}", quantile(u));
        }
    }
}
