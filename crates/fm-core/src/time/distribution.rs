//! The trait of time distributions, defined by their quantile function.
//!
//! ```
//! use fm_core::rng::{Key, Stream};
//! use fm_core::time::{TimeDistribution, Times};
//! /// t = u^2: half of the times lie below 1/4.
//! struct Square;
//! impl TimeDistribution for Square {
//!     fn quantile(&self, u: f64) -> f64 {
//!         u * u
//!     }
//! }
//! // The cdf and the density follow: F(t) = sqrt(t), p(t) = 1 / (2 sqrt(t)).
//! assert!((Square.cdf(0.25) - 0.5).abs() < 1e-12);
//! assert!((Square.density(0.25) - 1.0).abs() < 1e-6);
//! let drawn = Times::of(Square).draw(Key::new(0, 0, Stream::Time), 1000, None)?;
//! assert!(drawn.times.iter().filter(|t| **t < 0.25).count().abs_diff(500) < 64);
//! # Ok::<(), fm_core::Error>(())
//! ```

use super::confined;
use crate::Error;

/// Step of the central difference of a density: the cube root of the spacing of f64 near 1.
const STEP: f64 = 6e-6;

/// A distribution of training times on [0, 1]. Shared between threads.
pub trait TimeDistribution: Send + Sync {
    /// The quantile function Q(u), increasing, for u in (0, 1). A draw is t = Q(u) with u uniform.
    fn quantile(&self, u: f64) -> f64;

    /// F(t), the probability of a time of at most t. The default bisects Q, to about 1e-16.
    fn cdf(&self, t: f64) -> f64 {
        invert(t, |u| self.quantile(u))
    }

    /// The density p(t), in 1 / time. The default computes 1 / Q'(F(t)) by a central difference,
    /// with a relative error of about 1e-9.
    fn density(&self, t: f64) -> f64 {
        if !(0.0..=1.0).contains(&t) {
            return if t.is_nan() { t } else { 0.0 };
        }
        let u = self.cdf(t);
        let (low, high) = ((u - STEP).max(0.0), (u + STEP).min(1.0));
        (high - low) / (self.quantile(high) - self.quantile(low))
    }

    /// Whether the distribution has point masses instead of a density.
    fn is_discrete(&self) -> bool {
        false
    }

    /// The name used in messages.
    fn name(&self) -> String {
        crate::message::type_name::<Self>()
    }

    /// Checks the parameters; the default checks at 1001 points that Q is increasing and within [0,
    /// 1].
    ///
    /// # Errors
    /// A parameter outside its domain, or a quantile function that leaves [0, 1] or decreases.
    fn check(&self) -> Result<(), Error> {
        let mut before = 0.0;
        for u in (0..=1000).map(|i| (f64::from(i) / 1000.0).clamp(f64::EPSILON, 1.0 - f64::EPSILON)) {
            let value = self.quantile(u);
            if !(value >= before && value <= 1.0) {
                return Err(Error::Quantile { distribution: self.name(), u, value });
            }
            before = value;
        }
        Ok(())
    }
}

/// Pointers to distributions implement `TimeDistribution`.
macro_rules! pointer {
    ($($pointer:ty),*) => {$(
        impl<T: TimeDistribution + ?Sized> TimeDistribution for $pointer {
            fn quantile(&self, u: f64) -> f64 {
                (**self).quantile(u)
            }

            fn cdf(&self, t: f64) -> f64 {
                (**self).cdf(t)
            }

            fn density(&self, t: f64) -> f64 {
                (**self).density(t)
            }

            fn is_discrete(&self) -> bool {
                (**self).is_discrete()
            }

            fn name(&self) -> String {
                (**self).name()
            }

            fn check(&self) -> Result<(), Error> {
                (**self).check()
            }
        }
    )*};
}

pointer!(&T, Box<T>, std::sync::Arc<T>);

/// The solution u of Q(u) = t for an increasing Q, by bisection.
pub(super) fn invert(t: f64, quantile: impl Fn(f64) -> f64) -> f64 {
    if !(t > 0.0 && t < 1.0) {
        return confined(t, 0.0, 1.0);
    }
    let (mut low, mut high) = (0.0, 1.0);
    // Halve the interval until the midpoint equals one of its ends.
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high || high - low < 1e-17 {
            return middle;
        }
        *(if quantile(middle) < t { &mut low } else { &mut high }) = middle;
    }
}
