//! What a network predicts, and how to convert between predictions.
//!
//! On an affine path x_t = alpha x1 + sigma x0 a network may predict the velocity v = alpha' x1 +
//! sigma' x0, the data x1, the noise x0 or, for a standard normal source, the score -x0 / sigma.
//! Each is a linear combination of x1 and x0, so any one of them together with x_t determines the
//! others: with x_t = (alpha, sigma), p = (p1, p0) and q = (q1, q0) in the basis (x1, x0),
//!
//! q = (q1 p0 - q0 p1) / D x_t + (alpha q0 - sigma q1) / D p, D = alpha p0 - sigma p1.
//!
//! The same holds for conditional means given x_t, which are what a network learns. A prediction
//! is *singular* where D = 0: at t = 1 the data does not determine the noise, and at t = 0 the
//! noise does not determine the data.
//!
//! On a Brownian bridge a network can predict two quantities, the velocity and the score; as one of
//! the above this prediction is its velocity. See [`bridge`](crate::bridge).
//!
//! Source: Lipman et al., "Flow Matching Guide and Code" (2024), section 4.8; Salimans and Ho,
//! "Progressive Distillation" (2022).
//!
//! ```
//! use fm_core::path::{PathKind, ProbPath};
//! use fm_core::prediction::Prediction;
//! // At t = 1/4 on the straight path, x_t = 3 and a predicted data point of 6 mean noise 2 and velocity 6 - 2 = 4.
//! let c = PathKind::Linear.at(0.25)?;
//! let (x_t, x1) = (3.0, 6.0);
//! assert_eq!(Prediction::Data.to(Prediction::Noise, &c)?.apply(x_t, x1), 2.0);
//! assert_eq!(Prediction::Data.to(Prediction::Velocity, &c)?.apply(x_t, x1), 4.0);
//! # Ok::<(), fm_core::Error>(())
//! ```

mod kind;

pub use kind::{PREDICTIONS, Prediction};

use crate::Error;
use crate::path::Coefficients;

/// A regression target as a combination of data, source and extra noise: x1 X1 + x0 X0 + eps E.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Target {
    /// Weight of the data.
    pub x1: f64,
    /// Weight of the source.
    pub x0: f64,
    /// Weight of the extra noise.
    pub eps: f64,
}

/// The conversion of one prediction to another: x x_t + prediction p.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    /// Weight of the point x_t.
    pub x: f64,
    /// Weight of the given prediction.
    pub prediction: f64,
}

impl Conversion {
    /// Converts one value.
    pub fn apply(self, x_t: f64, prediction: f64) -> f64 {
        self.x * x_t + self.prediction * prediction
    }
}

impl Prediction {
    /// The training target of this prediction, that of the velocity for a velocity and a score.
    /// With extra noise the score is that of x_t given both x0 and x1, -eps / gamma.
    ///
    /// # Errors
    /// [`Error::SingularPrediction`] for the score where the noise is zero.
    pub fn target(self, c: &Coefficients) -> Result<Target, Error> {
        let target = match self {
            Prediction::Velocity | Prediction::VelocityScore { .. } => {
                Target { x1: c.d_alpha, x0: c.d_sigma, eps: c.d_gamma }
            }
            Prediction::Data => Target { x1: 1.0, ..Target::default() },
            Prediction::Noise => Target { x0: 1.0, ..Target::default() },
            Prediction::Score if c.gamma > 0.0 => Target { eps: -1.0 / c.gamma, ..Target::default() },
            Prediction::Score => Target { x0: -1.0 / c.sigma, ..Target::default() },
        };
        let finite = [target.x1, target.x0, target.eps].iter().all(|v| v.is_finite());
        let singular = || Error::SingularPrediction { what: format!("the target of {self} prediction"), t: c.t };
        if finite { Ok(target) } else { Err(singular()) }
    }

    /// The determinant D of the module's formula: how well this prediction and x_t together
    /// separate data from noise.
    pub fn determinant(self, c: &Coefficients) -> f64 {
        match self {
            Prediction::Velocity | Prediction::VelocityScore { .. } => c.alpha * c.d_sigma - c.sigma * c.d_alpha,
            Prediction::Data => -c.sigma,
            Prediction::Noise => c.alpha,
            Prediction::Score => -c.alpha / c.sigma,
        }
    }

    /// The conversion from this prediction, or its velocity, and x_t to the prediction `to`.
    ///
    /// # Errors
    /// [`Error::ExtraNoise`] on a path with extra noise, [`Error::SingularPrediction`] where D = 0,
    /// [`Error::Combination`] to a velocity and a score, which are two quantities.
    #[doc(alias = "velocity_to_epsilon")]
    #[doc(alias = "epsilon_to_velocity")]
    #[doc(alias = "target_to_velocity")]
    pub fn to(self, to: Prediction, c: &Coefficients) -> Result<Conversion, Error> {
        if self == to || (self.is_velocity() && to == Prediction::Velocity) {
            return Ok(Conversion { x: 0.0, prediction: 1.0 });
        }
        if to.score_weight().is_some() {
            let why = "one quantity does not determine two; train the velocity and the score themselves";
            return Err(Error::Combination {
                what: format!("{self} prediction"),
                with: format!("{to} as its result"),
                why,
            });
        }
        if c.gamma != 0.0 || c.d_gamma != 0.0 {
            return Err(Error::ExtraNoise { from: self, to });
        }
        let (p1, p0) = self.in_basis(c);
        let (q1, q0) = to.in_basis(c);
        let d = c.alpha * p0 - c.sigma * p1;
        let conversion = Conversion { x: (q1 * p0 - q0 * p1) / d, prediction: (c.alpha * q0 - c.sigma * q1) / d };
        let singular = || Error::SingularPrediction { what: format!("{to} from {self}"), t: c.t };
        if conversion.x.is_finite() && conversion.prediction.is_finite() { Ok(conversion) } else { Err(singular()) }
    }

    /// This prediction in the basis (x1, x0).
    fn in_basis(self, c: &Coefficients) -> (f64, f64) {
        match self {
            Prediction::Velocity | Prediction::VelocityScore { .. } => (c.d_alpha, c.d_sigma),
            Prediction::Data => (1.0, 0.0),
            Prediction::Noise => (0.0, 1.0),
            Prediction::Score => (0.0, -1.0 / c.sigma),
        }
    }
}
