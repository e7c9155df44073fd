//! Options of a fit of potentials, with the learning rate of each iteration.
//!
//! ```
//! use fm_ot::semidiscrete::{LearningRate, SemidiscreteOptions};
//! let options = SemidiscreteOptions { learning_rate: LearningRate::Absolute(0.1), final_rate: 0.01, ..Default::default() };
//! let rates = [0, 5, 10].map(|k| options.rate(k, 11, 1.0));
//! assert!((rates[0] - 0.1).abs() < 1e-15 && (rates[1] - 0.01).abs() < 1e-15 && (rates[2] - 0.001).abs() < 1e-15);
//! assert_eq!((options.iterations(100), options.iterations(1_000_000)), (2000, 1_562_500));
//! ```

use crate::OtError;
use serde::{Deserialize, Serialize};

/// Number of iterations of a fit for few data rows.
const LEAST: usize = 2000;

/// The domain of a decay.
const DECAY: &str = "a number from 0 up to, but not including, 1";

/// The learning rate of a fit, in the unit of the cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearningRate {
    /// Relative to the standard deviation of a noise row's costs over the data rows, which scales
    /// with the potentials: shifting or scaling the points changes no pair.
    Relative(f64),
    /// In the unit of the cost, as in ott-jax.
    Absolute(f64),
}

/// Options of a fit. The defaults are Adam's, with a learning rate that decays exponentially.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SemidiscreteOptions {
    /// Noise rows per data row, over the whole fit; a fit has at least 2000 iterations.
    pub draws: usize,
    /// Noise rows per iteration.
    pub batch_size: usize,
    /// The learning rate of the first iteration.
    pub learning_rate: LearningRate,
    /// The learning rate of the last iteration, relative to that of the first.
    pub final_rate: f64,
    /// The decay of Adam's first moment.
    pub beta1: f64,
    /// The decay of Adam's second moment.
    pub beta2: f64,
    /// Added to the root of Adam's second moment.
    pub eps: f64,
    /// The decay of the moving average of the potentials (1 - ott-jax's `potential_ema`).
    #[doc(alias = "potential_ema")]
    pub ema_decay: f64,
}

impl Default for SemidiscreteOptions {
    fn default() -> Self {
        Self {
            draws: 400,
            batch_size: 256,
            learning_rate: LearningRate::Relative(0.05),
            final_rate: 0.001,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            ema_decay: 0.99,
        }
    }
}

impl SemidiscreteOptions {
    /// Iterations of a fit to this number of data rows.
    #[doc(alias = "num_iterations")]
    pub fn iterations(&self, rows: usize) -> usize {
        self.draws.saturating_mul(rows).div_ceil(self.batch_size.max(1)).max(LEAST)
    }

    /// The learning rate of iteration `k` of `iterations`, counted from 0; `unit` is the unit of a
    /// relative rate.
    pub fn rate(&self, k: usize, iterations: usize, unit: f64) -> f64 {
        let first = match self.learning_rate {
            LearningRate::Relative(rate) => rate * unit,
            LearningRate::Absolute(rate) => rate,
        };
        first * self.final_rate.powf(k as f64 / iterations.saturating_sub(1).max(1) as f64)
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`OtError::Fit`] for the first value outside its domain.
    pub fn validate(&self) -> Result<(), OtError> {
        let (LearningRate::Relative(rate) | LearningRate::Absolute(rate)) = self.learning_rate;
        let decay = |value: f64| (0.0..1.0).contains(&value);
        for (name, value, inside, domain) in [
            ("draws", self.draws as f64, self.draws > 0, "at least 1"),
            ("batch_size", self.batch_size as f64, self.batch_size > 0, "at least 1"),
            ("learning_rate", rate, rate > 0.0 && rate <= 1e100, "a number above 0 and at most 1e100"),
            (
                "final_rate",
                self.final_rate,
                self.final_rate > 0.0 && self.final_rate <= 1.0,
                "a number above 0 and at most 1",
            ),
            ("beta1", self.beta1, decay(self.beta1), DECAY),
            ("beta2", self.beta2, decay(self.beta2), DECAY),
            ("eps", self.eps, self.eps > 0.0 && self.eps <= 1.0, "a number above 0 and at most 1"),
            ("ema_decay", self.ema_decay, decay(self.ema_decay), DECAY),
        ] {
            if !inside {
                return Err(OtError::Fit { name, value, domain });
            }
        }
        Ok(())
    }
}
