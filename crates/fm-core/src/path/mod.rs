//! Probability paths: scalar functions of time that give the position and the velocity of a point.
//!
//! A path defines x_t = alpha(t) x1 + sigma(t) x0 + gamma(t) eps between a source point x0 (t = 0)
//! and a data point x1 (t = 1), with eps an independent standard normal, called the path's extra
//! noise. The velocity is u_t = alpha'(t) x1 + sigma'(t) x0 + gamma'(t) eps. gamma is zero except
//! for [constant noise](PathKind::ConstantNoise) and the [bridge](PathKind::Bridge); a path with
//! gamma = 0 is *affine*. Time is dimensionless; u has the unit of x. [`PathKind`] lists the
//! built-in paths; [`Custom`] makes one from four functions.
//!
//! Some derivatives are unbounded at one end. There [`ProbPath::at`] returns an error that names
//! the end and the remedy.
//!
//! Source: Lipman et al., "Flow Matching for Generative Modeling" (2023); Albergo et al.,
//! "Stochastic Interpolants" (2023).
//!
//! ```
//! use fm_core::path::{PathKind, ProbPath};
//! // Halfway along the straight path from x0 = 2 to x1 = 6 the point is at 4 and moves at 6 - 2 = 4 per unit time.
//! let c = PathKind::Linear.at(0.5)?;
//! assert_eq!(c.alpha * 6.0 + c.sigma * 2.0, 4.0);
//! assert_eq!(c.d_alpha * 6.0 + c.d_sigma * 2.0, 4.0);
//! let error = PathKind::LinearVp.at(1.0).unwrap_err();
//! assert!(error.to_string().contains("the data end (t = 1)"));
//! # Ok::<(), fm_core::Error>(())
//! ```

mod custom;
mod end;
mod kinds;

pub use custom::Custom;
pub use end::End;
pub use kinds::PathKind;

use crate::Error;

/// The values of a path and their time derivatives at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Coefficients {
    /// The time, from 0 (source) to 1 (data).
    pub t: f64,
    /// Weight of the data x1.
    pub alpha: f64,
    /// Weight of the source x0.
    pub sigma: f64,
    /// Standard deviation of the extra noise.
    pub gamma: f64,
    /// d alpha / dt.
    pub d_alpha: f64,
    /// d sigma / dt.
    pub d_sigma: f64,
    /// d gamma / dt.
    pub d_gamma: f64,
}

impl Coefficients {
    /// Variance of the noise in x_t when the source is a standard normal: sigma^2 + gamma^2.
    pub fn noise_variance(&self) -> f64 {
        self.sigma * self.sigma + self.gamma * self.gamma
    }

    /// Half the time derivative of [`noise_variance`](Self::noise_variance): sigma sigma' + gamma
    /// gamma'.
    pub fn noise_covariance(&self) -> f64 {
        self.sigma * self.d_sigma + self.gamma * self.d_gamma
    }

    /// lambda = 2 gamma / sigma^2 of a [bridge](crate::bridge) with this diffusion sigma: the factor
    /// of the scaled score in its loss.
    #[doc(alias = "compute_lambda")]
    pub fn score_weight(&self, sigma: f64) -> f64 {
        2.0 * self.gamma / (sigma * sigma)
    }

    /// Whether all six numbers are finite.
    pub fn is_finite(&self) -> bool {
        [self.alpha, self.sigma, self.gamma, self.d_alpha, self.d_sigma, self.d_gamma].iter().all(|v| v.is_finite())
    }
}

/// A path between source and data, evaluated on the host in f64. Shared between threads.
#[doc(alias = "Scheduler")]
#[doc(alias = "AffineProbPath")]
pub trait ProbPath: Send + Sync {
    /// The formulas at time t, unchecked: at a singular end a derivative is infinite or NaN.
    fn coefficients(&self, t: f64) -> Coefficients;

    /// The ends at which a derivative is not finite. [`at`](Self::at) rejects values that are not
    /// finite in any case, but its error names the end only if it is listed here.
    fn singular_ends(&self) -> &[End] {
        &[]
    }

    /// The name used in messages and checkpoints.
    fn name(&self) -> String {
        crate::message::type_name::<Self>()
    }

    /// Whether the path adds extra noise (gamma is not zero).
    fn has_extra_noise(&self) -> bool {
        false
    }

    /// The diffusion sigma of the Brownian motion whose [bridge](crate::bridge) the path is: x_t =
    /// t x1 + (1 - t) x0 + sigma sqrt(t (1 - t)) eps. `None` for any other path.
    fn bridge_diffusion(&self) -> Option<f64> {
        None
    }

    /// Checks parameters that were set in code rather than parsed.
    ///
    /// # Errors
    /// A parameter outside its domain.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The coefficients at time t.
    ///
    /// # Errors
    /// [`Error::TimeOutside`] unless 0 <= t <= 1, [`Error::SingularPath`] at a singular end,
    /// [`Error::PathNotFinite`] where the formulas of a custom path give a value that is not
    /// finite.
    fn at(&self, t: f64) -> Result<Coefficients, Error> {
        if !(0.0..=1.0).contains(&t) {
            return Err(Error::TimeOutside { t });
        }
        if let Some(end) = End::of(t).filter(|end| self.singular_ends().contains(end)) {
            return Err(Error::SingularPath { path: self.name(), end });
        }
        let c = self.coefficients(t);
        if c.is_finite() { Ok(c) } else { Err(Error::PathNotFinite { path: self.name(), t }) }
    }
}

/// Pointers to paths implement `ProbPath`.
macro_rules! pointer {
    ($($pointer:ty),*) => {$(
        impl<P: ProbPath + ?Sized> ProbPath for $pointer {
            fn coefficients(&self, t: f64) -> Coefficients {
                (**self).coefficients(t)
            }

            fn singular_ends(&self) -> &[End] {
                (**self).singular_ends()
            }

            fn name(&self) -> String {
                (**self).name()
            }

            fn has_extra_noise(&self) -> bool {
                (**self).has_extra_noise()
            }

            fn bridge_diffusion(&self) -> Option<f64> {
                (**self).bridge_diffusion()
            }

            fn check(&self) -> Result<(), Error> {
                (**self).check()
            }
        }
    )*};
}

pointer!(&P, Box<P>, std::sync::Arc<P>);
