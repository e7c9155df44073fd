//! The loss of a row, as a function of its squared error.
//!
//! Let e^2 be the squared error of a row, as the mean or the sum over its dimensions
//! ([`Reduction`]). The row's loss is
//!
//! | name | loss | source |
//! |---|---|---|
//! | `mse` | e^2 | |
//! | `pseudo-huber` | sqrt(e^2 + c^2) - c | Charbonnier et al. 1997; Song and Dhariwal 2024 |
//!
//! and the loss of a batch is the mean over rows of w(t) times the row's loss. Unit: that of the
//! target, squared for `mse`.
//!
//! ```
//! use fm_core::loss::{Loss, Reduction};
//! let squared = Reduction::Mean.reduce(&[3.0, 5.0]); // (9 + 25) / 2
//! assert_eq!(squared, 17.0);
//! assert_eq!(Loss::Mse.value(squared), 17.0);
//! assert_eq!(Loss::PseudoHuber { c: 8.0 }.value(squared), 1.0); // sqrt(17 + 64) - 8
//! ```

use crate::Error;
use crate::choice;
use crate::choice::{Choice, Domain};

choice! {
    /// A built-in loss.
    #[derive(Default)]
    pub enum Loss("loss") {
        /// The squared error.
        #[doc(alias = "MSELoss")]
        #[default]
        Mse = "mse",
        /// Squared for small errors, absolute for large ones.
        #[doc(alias = "HuberLoss")]
        PseudoHuber = "pseudo-huber" {
            /// The error at which the loss changes from squared to absolute, in the unit of the
            /// target.
            c = 0.00054, Domain::above(0.0, 1e6)
        },
    }
}

impl Loss {
    /// The loss of a row whose squared error is `squared`.
    pub fn value(&self, squared: f64) -> f64 {
        match *self {
            Loss::Mse => squared,
            // The form squared / (root + c) is accurate where the error is far below c.
            Loss::PseudoHuber { c } => squared / ((squared + c * c).sqrt() + c),
        }
    }
}

/// A loss of a row, built in or your own, as a function of its squared error. Shared between
/// threads.
///
/// ```
/// use fm_core::loss::RowLoss;
/// /// log(1 + e^2), which is robust to outliers.
/// struct Cauchy;
/// impl RowLoss for Cauchy {
///     fn value(&self, squared: f64) -> f64 {
///         squared.ln_1p()
///     }
/// }
/// // Its slope is computed from it: 1 / (1 + e^2).
/// assert!((Cauchy.slope(3.0) - 0.25).abs() < 1e-9);
/// ```
#[doc(alias = "criterion")]
pub trait RowLoss: Send + Sync {
    /// The loss of a row whose squared error is `squared`.
    fn value(&self, squared: f64) -> f64;

    /// The derivative of the loss with respect to the squared error. The default is a central
    /// difference, with a relative error of about 1e-9.
    fn slope(&self, squared: f64) -> f64 {
        let step = 6e-6 * squared.max(1e-6);
        (self.value(squared + step) - self.value(squared - step)) / (2.0 * step)
    }

    /// The differentiable loss of each row, f32, from their squared errors (B). The default reads
    /// the squared errors from the device and computes [`value`](Self::value) and
    /// [`slope`](Self::slope) on the host; on a GPU an implementation with tensor operations is
    /// faster.
    #[cfg(feature = "tch")]
    fn on_tensor(&self, squared: &tch::Tensor) -> tch::Tensor {
        on_host(squared, |x| self.value(x), |x| self.slope(x))
    }

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

impl RowLoss for Loss {
    fn value(&self, squared: f64) -> f64 {
        Loss::value(self, squared)
    }

    #[cfg(feature = "tch")]
    fn on_tensor(&self, squared: &tch::Tensor) -> tch::Tensor {
        match *self {
            Loss::Mse => squared.shallow_clone(),
            Loss::PseudoHuber { c } => squared / ((squared + c * c).sqrt() + c),
        }
    }

    fn name(&self) -> String {
        self.to_string()
    }

    fn check(&self) -> Result<(), Error> {
        Ok(self.validate()?)
    }
}

impl<L: RowLoss + ?Sized> RowLoss for std::sync::Arc<L> {
    fn value(&self, squared: f64) -> f64 {
        (**self).value(squared)
    }

    fn slope(&self, squared: f64) -> f64 {
        (**self).slope(squared)
    }

    #[cfg(feature = "tch")]
    fn on_tensor(&self, squared: &tch::Tensor) -> tch::Tensor {
        (**self).on_tensor(squared)
    }

    fn name(&self) -> String {
        (**self).name()
    }

    fn check(&self) -> Result<(), Error> {
        (**self).check()
    }
}

/// f of each value, computed on the host, with `slope` as its gradient.
#[cfg(feature = "tch")]
fn on_host(x: &tch::Tensor, f: impl Fn(f64) -> f64, slope: impl Fn(f64) -> f64) -> tch::Tensor {
    use tch::{Device, Kind, Tensor};
    let detached = x.detach();
    let host = Vec::<f64>::try_from(detached.to_device(Device::Cpu).to_kind(Kind::Double).view(-1)).unwrap_or_default();
    let [value, slope] = [host.iter().map(|x| f(*x)).collect(), host.iter().map(|x| slope(*x)).collect::<Vec<f64>>()]
        .map(|values: Vec<f64>| Tensor::from_slice(&values).to_kind(x.kind()).to_device(x.device()).view_as(x));
    // The second term is 0; its derivative is the slope.
    value + slope * (x - detached)
}

choice! {
    /// How the squared errors of a row's dimensions are combined.
    #[derive(Default, Eq)]
    pub enum Reduction("reduction") {
        /// The mean over dimensions, so that the loss does not grow with the image size.
        #[default]
        Mean = "mean",
        /// The sum over dimensions: the squared Euclidean norm.
        Sum = "sum",
    }
}

impl Reduction {
    /// The squared error of a row of errors.
    pub fn reduce(self, errors: &[f64]) -> f64 {
        errors.iter().map(|e| e * e).sum::<f64>() * self.scale(errors.len())
    }

    /// The factor by which to multiply a sum of squares over `dim` dimensions.
    pub fn scale(self, dim: usize) -> f64 {
        match self {
            Reduction::Mean => 1.0 / dim.max(1) as f64,
            Reduction::Sum => 1.0,
        }
    }
}
