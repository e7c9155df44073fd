//! A path from a user's own functions.

use super::{Coefficients, End, ProbPath};
use crate::Error;
use std::sync::Arc;

type Function = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

/// An affine path from four functions of time.
///
/// ```
/// use fm_core::path::{Custom, ProbPath};
/// // alpha = t^2 (3 - 2 t), the smooth step.
/// let step = |t: f64| t * t * (3.0 - 2.0 * t);
/// let slope = |t: f64| 6.0 * t * (1.0 - t);
/// let path = Custom::new("smooth", step, slope, move |t| 1.0 - step(t), move |t| -slope(t))?;
/// assert_eq!(path.at(0.5)?.alpha, 0.5);
/// assert_eq!(path.at(0.5)?.d_alpha, 1.5);
/// // A derivative that does not match its function is rejected.
/// assert!(Custom::new("wrong", step, |_| 1.0, move |t| 1.0 - step(t), move |t| -slope(t)).is_err());
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "CustomScheduler")]
pub struct Custom {
    name: String,
    functions: [Function; 4],
    singular: Vec<End>,
}

impl Custom {
    /// A path from alpha, its derivative, sigma and its derivative. Ends at which a value is not
    /// finite are singular.
    ///
    /// # Errors
    /// [`Error::CustomPath`] where, at one of 99 times inside (0, 1), a value is not finite, or a
    /// derivative differs from a central difference of its function by more than 1e-4
    /// (1 + |value|).
    pub fn new(
        name: impl Into<String>,
        alpha: impl Fn(f64) -> f64 + Send + Sync + 'static,
        d_alpha: impl Fn(f64) -> f64 + Send + Sync + 'static,
        sigma: impl Fn(f64) -> f64 + Send + Sync + 'static,
        d_sigma: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let functions: [Function; 4] = [Arc::new(alpha), Arc::new(d_alpha), Arc::new(sigma), Arc::new(d_sigma)];
        let mut path = Self { name: name.into(), functions, singular: Vec::new() };
        for t in (1..100).map(|i| f64::from(i) / 100.0) {
            path.check(t)?;
        }
        path.singular =
            [End::Source, End::Data].into_iter().filter(|e| !path.coefficients(e.time()).is_finite()).collect();
        Ok(path)
    }

    fn check(&self, t: f64) -> Result<(), Error> {
        const STEP: f64 = 1e-6;
        let (before, here, after) = (self.coefficients(t - STEP), self.coefficients(t), self.coefficients(t + STEP));
        let slopes = [
            ("alpha", (after.alpha - before.alpha) / (2.0 * STEP), here.d_alpha),
            ("sigma", (after.sigma - before.sigma) / (2.0 * STEP), here.d_sigma),
        ];
        for (function, measured, given) in slopes {
            let off = (measured - given).abs();
            if !here.is_finite() || off.is_nan() || off > 1e-4 * (1.0 + given.abs()) {
                return Err(Error::CustomPath { path: self.name.clone(), function, t, given, measured });
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Custom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Custom").field("name", &self.name).field("singular", &self.singular).finish_non_exhaustive()
    }
}

impl ProbPath for Custom {
    fn coefficients(&self, t: f64) -> Coefficients {
        let [alpha, d_alpha, sigma, d_sigma] = self.functions.each_ref().map(|f| f(t));
        Coefficients { t, alpha, sigma, d_alpha, d_sigma, ..Coefficients::default() }
    }

    fn singular_ends(&self) -> &[End] {
        &self.singular
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
