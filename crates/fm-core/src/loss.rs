//! The loss of a row, from its squared error.
//!
//! Let e^2 be the squared error of a row, as the mean or the sum over its dimensions ([`Reduction`]). The row's loss is
//!
//! | name | loss | source |
//! |---|---|---|
//! | `mse` | e^2 | |
//! | `pseudo-huber` | sqrt(e^2 + c^2) - c | Charbonnier et al. 1997; Song and Dhariwal 2024 |
//!
//! and the loss of a batch is the mean over rows of w(t) times that. Units: those of the target, squared for `mse`.
//!
//! ```
//! use fm_core::loss::{Loss, Reduction};
//! let squared = Reduction::Mean.reduce(&[3.0, 5.0]); // (9 + 25) / 2
//! assert_eq!(squared, 17.0);
//! assert_eq!(Loss::Mse.value(squared), 17.0);
//! assert_eq!(Loss::PseudoHuber { c: 8.0 }.value(squared), 1.0); // sqrt(17 + 64) - 8
//! ```

use crate::choice;
use crate::choice::Domain;

choice! {
    /// A loss by its name.
    #[derive(Default)]
    pub enum Loss("loss") {
        /// The squared error.
        #[default]
        Mse = "mse",
        /// Squared for small errors, absolute for large ones.
        PseudoHuber = "pseudo-huber" {
            /// Where the one turns into the other, in the unit of the error.
            c = 0.00054, Domain::above(0.0, 1e6)
        },
    }
}

impl Loss {
    /// The loss of a row whose squared error is `squared`.
    pub fn value(&self, squared: f64) -> f64 {
        match *self {
            Loss::Mse => squared,
            // As squared / (root + c), which keeps its digits where the error is far below c.
            Loss::PseudoHuber { c } => squared / ((squared + c * c).sqrt() + c),
        }
    }
}

choice! {
    /// How a row's squared error sums up its dimensions.
    #[derive(Default, Eq)]
    pub enum Reduction("reduction") {
        /// The mean over dimensions, so that the loss does not grow with the image.
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

    /// What to multiply the sum of squares over `dim` dimensions by.
    pub fn scale(self, dim: usize) -> f64 {
        match self {
            Reduction::Mean => 1.0 / dim.max(1) as f64,
            Reduction::Sum => 1.0,
        }
    }
}
