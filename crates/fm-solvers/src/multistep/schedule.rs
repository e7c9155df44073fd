//! The path that the weights of a method in the log-SNR are computed from.

use crate::SolveError;
use fm_core::path::{Coefficients, ProbPath};

/// The path given to the solver, and the path that the field states.
pub(super) struct Schedule<'a> {
    pub(super) method: &'static str,
    pub(super) given: Option<&'a dyn ProbPath>,
    pub(super) stated: &'a dyn Fn(f64) -> Option<Coefficients>,
}

impl Schedule<'_> {
    /// # Errors
    /// An invalid path.
    pub(super) fn check(&self) -> Result<(), SolveError> {
        Ok(self.given.map_or(Ok(()), |path| path.check())?)
    }

    /// The coefficients at t.
    ///
    /// # Errors
    /// [`SolveError::NoPath`] without a path, [`SolveError::OtherPath`] for two that differ at t,
    /// and [`SolveError::Path`] for a time outside \[0, 1\] and coefficients that are not finite.
    pub(super) fn at(&self, t: f64) -> Result<Coefficients, SolveError> {
        let stated = (self.stated)(t);
        let Some(given) = self.given else {
            let c = stated.ok_or(SolveError::NoPath { method: self.method })?;
            if !(0.0..=1.0).contains(&t) {
                return Err(fm_core::Error::TimeOutside { t }.into());
            }
            let path = || "of the field".to_owned();
            return if c.is_finite() { Ok(c) } else { Err(fm_core::Error::PathNotFinite { path: path(), t }.into()) };
        };
        let c = given.at(t)?;
        match stated {
            Some(other) if !equal(&c, &other) => {
                Err(SolveError::OtherPath { method: self.method, path: given.name(), t })
            }
            _ => Ok(c),
        }
    }

    /// The coefficients at t, unchecked.
    pub(super) fn coefficients(&self, t: f64) -> Coefficients {
        let stated = || (self.stated)(t).unwrap_or_default();
        self.given.map_or_else(stated, |path| path.coefficients(t))
    }
}

/// Whether two paths agree at a time; rounding may differ between implementations of one path.
fn equal(a: &Coefficients, b: &Coefficients) -> bool {
    let values = |c: &Coefficients| [c.alpha, c.sigma, c.gamma, c.d_alpha, c.d_sigma, c.d_gamma];
    values(a).into_iter().zip(values(b)).all(|(a, b)| (a - b).abs() <= 1e-6 * (1.0 + a.abs()))
}
