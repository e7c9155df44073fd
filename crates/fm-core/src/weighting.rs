//! Weights w(t) of the loss over time.
//!
//! The objective is E_t w(t) ||p - target||^2, where p is the trained prediction. With the noise
//! level s^2 = sigma^2 + gamma^2, the signal-to-noise ratio is SNR = alpha^2 / s^2.
//!
//! Two published weightings, min-SNR and EDM, are stated for the error of the *data* prediction. An
//! error e of the prediction is an error b e of the data, with b the coefficient of
//! [`Prediction::to`], so these weightings are multiplied by b^2. It is computed in the form (b /
//! s)^2 = 1 / D^2, which is finite wherever the weight is.
//!
//! ```
//! use fm_core::path::{PathKind, ProbPath};
//! use fm_core::prediction::Prediction;
//! use fm_core::weighting::Weighting;
//! let c = PathKind::Linear.at(0.75)?; // SNR = (0.75 / 0.25)^2 = 9
//! assert_eq!(Weighting::Snr.weight(Prediction::Velocity, &c)?, 9.0);
//! let min_snr = Weighting::MinSnr { gamma: 5.0 };
//! assert_eq!(min_snr.weight(Prediction::Data, &c)?, 5.0);
//! // A velocity error e is a data error (1 - t) e.
//! assert_eq!(min_snr.weight(Prediction::Velocity, &c)?, 5.0 * 0.25 * 0.25);
//! assert_eq!(Weighting::ClippedSnr { gamma: 5.0 }.weight(Prediction::Velocity, &c)?, 5.0);
//! # Ok::<(), fm_core::Error>(())
//! ```

use crate::Error;
use crate::choice;
use crate::choice::{Choice, Domain};
use crate::path::Coefficients;
use crate::prediction::Prediction;
use std::f64::consts::PI;

choice! {
    /// A built-in weighting.
    ///
    /// | name | w | multiplies the error of | source |
    /// |---|---|---|---|
    /// | `uniform` | 1 | the prediction | |
    /// | `snr` | alpha^2 / s^2 | the prediction | |
    /// | `inverse-snr` | s^2 / alpha^2 | the prediction | |
    /// | `min-snr` | min(SNR, gamma) | the data | Hang et al. 2023 |
    /// | `clipped-snr` | min(SNR, gamma) | the prediction | |
    /// | `data-end` | t^2 | the prediction | |
    /// | `noise-end` | (1 - t)^2 | the prediction | |
    /// | `sd3-sigma` | sigma^-2 | the prediction | Esser et al. 2024 |
    /// | `sd3-cosmap` | 2 / (pi (1 - 2 sigma + 2 sigma^2)) | the prediction | Esser et al. 2024 |
    /// | `edm` | (r^2 + d^2) / (r d)^2, r = s / alpha | the data | Karras et al. 2022 |
    #[derive(Default)]
    pub enum Weighting("weighting") {
        /// All times equally.
        #[default]
        Uniform = "uniform",
        /// The signal-to-noise ratio.
        Snr = "snr",
        /// The inverse signal-to-noise ratio.
        InverseSnr = "inverse-snr",
        /// The signal-to-noise ratio, at most a bound.
        MinSnr = "min-snr" {
            /// The bound.
            gamma = 5.0, Domain::above(0.0, 1e6)
        },
        /// The signal-to-noise ratio, at most a bound, for the error of the prediction itself.
        ClippedSnr = "clipped-snr" {
            /// The bound.
            gamma = 5.0, Domain::above(0.0, 1e6)
        },
        /// More weight toward the data.
        DataEnd = "data-end",
        /// More weight toward the noise.
        NoiseEnd = "noise-end",
        /// The first weighting of Stable Diffusion 3.
        Sd3Sigma = "sd3-sigma",
        /// The second weighting of Stable Diffusion 3.
        Sd3Cosmap = "sd3-cosmap",
        /// Equal effective size of the error at every noise level.
        Edm = "edm" {
            /// Standard deviation of the data.
            sigma_data = 0.5, Domain::above(0.0, 1e3)
        },
    }
}

impl Weighting {
    /// w at one time; infinite where the weighting is unbounded, NaN where a parameter is NaN.
    ///
    /// # Errors
    /// [`Error::ExtraNoise`] for a weighting of the data error on a path where the prediction does
    /// not determine the data.
    pub fn weight(&self, prediction: Prediction, c: &Coefficients) -> Result<f64, Error> {
        let (signal, noise) = (c.alpha * c.alpha, c.noise_variance());
        Ok(match *self {
            Weighting::Uniform => 1.0,
            Weighting::Snr => signal / noise,
            Weighting::InverseSnr => noise / signal,
            Weighting::MinSnr { gamma } => least(signal, gamma * noise) * data_error(prediction, c)?,
            // Finite where there is no noise.
            Weighting::ClippedSnr { gamma } if signal >= gamma * noise => gamma,
            Weighting::ClippedSnr { gamma } => least(signal / noise, gamma),
            Weighting::DataEnd => c.t * c.t,
            Weighting::NoiseEnd => (1.0 - c.t) * (1.0 - c.t),
            Weighting::Sd3Sigma => 1.0 / (c.sigma * c.sigma),
            Weighting::Sd3Cosmap => 2.0 / (PI * (1.0 - 2.0 * c.sigma + 2.0 * c.sigma * c.sigma)),
            Weighting::Edm { sigma_data } => {
                let d = sigma_data * sigma_data;
                (noise + d * signal) / d * data_error(prediction, c)?
            }
        })
    }
}

/// The lesser of two numbers; NaN if one is, unlike f64::min.
fn least(a: f64, b: f64) -> f64 {
    if a < b || a.is_nan() { a } else { b }
}

/// A weighting of the loss over time, built in or your own. Shared between threads.
///
/// A closure w(t) implements it:
///
/// ```
/// use fm_core::FlowMatching;
/// let flow = FlowMatching::default().weighting(|t| 1.0 + t);
/// assert_eq!(flow.validate(), Ok(()));
/// assert_eq!(flow.objective.weight(0.5), Ok(1.5));
/// // A weight that is unbounded at times that can be drawn is rejected.
/// assert!(FlowMatching::default().weighting(|t| 1.0 / (1.0 - t)).validate().is_err());
/// ```
pub trait TimeWeight: Send + Sync {
    /// w at the time of these coefficients, for the squared error of `prediction`.
    ///
    /// # Errors
    /// A prediction for which the weighting is undefined.
    fn weight(&self, prediction: Prediction, c: &Coefficients) -> Result<f64, Error>;

    /// The name used in messages.
    fn name(&self) -> String {
        crate::message::type_name::<Self>()
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// A parameter outside its domain.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl TimeWeight for Weighting {
    fn weight(&self, prediction: Prediction, c: &Coefficients) -> Result<f64, Error> {
        Weighting::weight(self, prediction, c)
    }

    fn name(&self) -> String {
        self.to_string()
    }

    fn check(&self) -> Result<(), Error> {
        Ok(self.validate()?)
    }
}

impl<F: Fn(f64) -> f64 + Send + Sync> TimeWeight for F {
    fn weight(&self, _: Prediction, c: &Coefficients) -> Result<f64, Error> {
        Ok(self(c.t))
    }

    fn name(&self) -> String {
        "of a function".into()
    }
}

impl<W: TimeWeight + ?Sized> TimeWeight for std::sync::Arc<W> {
    fn weight(&self, prediction: Prediction, c: &Coefficients) -> Result<f64, Error> {
        (**self).weight(prediction, c)
    }

    fn name(&self) -> String {
        (**self).name()
    }

    fn check(&self) -> Result<(), Error> {
        (**self).check()
    }
}

/// (b / s)^2, where an error e of the prediction is an error b e of the data.
fn data_error(prediction: Prediction, c: &Coefficients) -> Result<f64, Error> {
    // On a path with extra noise only the data prediction determines the data, and b is 1.
    if c.gamma != 0.0 || c.d_gamma != 0.0 {
        let same = prediction == Prediction::Data;
        let unknown = Error::ExtraNoise { from: prediction, to: Prediction::Data };
        return if same { Ok(1.0 / c.noise_variance()) } else { Err(unknown) };
    }
    Ok(prediction.determinant(c).powi(-2))
}
