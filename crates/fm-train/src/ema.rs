//! Exponential moving average of the weights: e <- d e + (1 - d) p after every update.
//!
//! While young the average would remember the random start for 1/(1 - d) steps, so the decay is warmed: at update n it is
//! min(d, (1 + n) / (10 + n)).
//!
//! ```
//! use fm_train::ema::Ema;
//! use tch::Tensor;
//! let mut ema = Ema::new(&Tensor::from_slice(&[0f32]), 0.9999);
//! ema.update(&Tensor::from_slice(&[1f32])); // decay 2 / 11
//! assert!((ema.weights.double_value(&[0]) - 9.0 / 11.0).abs() < 1e-6);
//! ```

use tch::{Tensor, no_grad};

/// The average and its age.
#[derive(Debug)]
pub struct Ema {
    /// The averaged weights, flat.
    pub weights: Tensor,
    /// The decay that it settles to.
    pub decay: f64,
    /// Updates made.
    pub updates: u64,
}

impl Ema {
    /// Starts at the given weights.
    pub fn new(weights: &Tensor, decay: f64) -> Self {
        Self { weights: weights.copy(), decay, updates: 0 }
    }

    /// Takes in new weights.
    pub fn update(&mut self, weights: &Tensor) {
        self.updates += 1;
        let n = self.updates as f64;
        let decay = self.decay.min((1.0 + n) / (10.0 + n));
        no_grad(|| {
            let _ = self.weights.lerp_(weights, 1.0 - decay);
        });
    }
}
