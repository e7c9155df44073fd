//! Exponential moving averages of the weights: e <- d e + (1 - d) p after every step, for one or
//! more decays d.
//!
//! Without warm-up, an average contains the random initial weights for about 1/(1 - d) steps. With
//! warm-up, the decay at update n is min(d, (1 + n) / (10 + n)).
//!
//! Beside them there can be averages from which those of other lengths are computed afterwards
//! ([`power_average`]).
//!
//! ```
//! use fm_train::ema::{Ema, EmaConfig};
//! use tch::Tensor;
//! let config = EmaConfig { decays: vec![0.9999, 0.1], warmup: true, sigma_rel: vec![0.05] };
//! let mut ema = Ema::new(&Tensor::from_slice(&[0f32]), &config);
//! ema.update(&Tensor::from_slice(&[1f32])); // decays 2 / 11 and 0.1
//! assert!((ema.weights().double_value(&[0]) - 9.0 / 11.0).abs() < 1e-6);
//! assert!((ema.averages[1].double_value(&[0]) - 0.9).abs() < 1e-6);
//! assert_eq!(ema.power[0].double_value(&[0]), 1.0);
//! ```

use crate::TrainError;
use crate::power_average::{self, exponent};
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

/// Options of the moving averages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmaConfig {
    /// One decay in [0, 1) per average. Sampling uses the first average by default.
    pub decays: Vec<f64>,
    /// Whether to use smaller decays at first (see the module).
    pub warmup: bool,
    /// Relative widths of further averages ([`power_average`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sigma_rel: Vec<f64>,
}

impl EmaConfig {
    /// One average with warm-up.
    pub fn of(decay: f64) -> Self {
        Self { decays: vec![decay], warmup: true, sigma_rel: Vec::new() }
    }

    /// Checks the decays and the relative widths.
    ///
    /// # Errors
    /// [`TrainError::Setting`]: a decay outside [0, 1), or a repeated one; [`TrainError::Average`]:
    /// a width outside its domain, or a repeated one.
    pub fn validate(&self) -> Result<(), TrainError> {
        for (i, decay) in self.decays.iter().enumerate() {
            if !(0.0..1.0).contains(decay) {
                return Err(TrainError::setting("EMA decay", decay, "give at least 0 and less than 1"));
            }
            if self.decays[..i].contains(decay) {
                return Err(TrainError::setting("EMA decay", decay, "give each decay once"));
            }
        }
        for (i, width) in self.sigma_rel.iter().enumerate() {
            exponent(*width)?;
            if self.sigma_rel[..i].contains(width) {
                return Err(TrainError::average("a repeated relative width", width, "give each width once"));
            }
        }
        Ok(())
    }
}

/// The averages and their number of updates.
#[derive(Debug)]
#[doc(alias = "AveragedModel")]
#[doc(alias = "EMAModel")]
#[doc(alias = "ExponentialMovingAverage")]
pub struct Ema {
    /// The averaged weights, one flat vector per decay.
    pub averages: Vec<Tensor>,
    /// The averages of the relative widths, one flat vector each.
    pub power: Vec<Tensor>,
    /// Their options.
    pub config: EmaConfig,
    /// Number of updates.
    pub updates: u64,
}

impl Ema {
    /// Starts from the given weights. Without any decay there is one average of decay 0: the
    /// weights themselves.
    pub fn new(weights: &Tensor, config: &EmaConfig) -> Self {
        let mut config = config.clone();
        if config.decays.is_empty() {
            config.decays.push(0.0);
        }
        let averages = config.decays.iter().map(|_| weights.copy()).collect();
        let power = config.sigma_rel.iter().map(|_| weights.copy()).collect();
        Self { averages, power, config, updates: 0 }
    }

    /// The first average.
    pub fn weights(&self) -> &Tensor {
        &self.averages[0]
    }

    /// Updates the averages with new weights.
    pub fn update(&mut self, weights: &Tensor) {
        self.updates += 1;
        let n = self.updates as f64;
        let most = if self.config.warmup { (1.0 + n) / (10.0 + n) } else { 1.0 };
        no_grad(|| {
            for (average, decay) in self.averages.iter_mut().zip(&self.config.decays) {
                let _ = average.lerp_(weights, 1.0 - decay.min(most));
            }
            for (average, width) in self.power.iter_mut().zip(&self.config.sigma_rel) {
                // Invalid widths are refused before the first step.
                let exponent = exponent(*width).unwrap_or(f64::NAN);
                let _ = average.lerp_(weights, 1.0 - power_average::decay(exponent, self.updates));
            }
        });
    }
}
