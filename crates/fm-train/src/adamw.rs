//! AdamW over flat vectors.
//!
//! p <- p (1 - lr decay); m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2; p <- p - lr (m / (1 - b1^n)) / (sqrt(v / (1 - b2^n)) + eps).
//! With decay 0 this is Adam. Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019); compared with
//! `torch.optim.AdamW` in the tests.
//!
//! ```
//! use fm_train::adamw::{AdamW, AdamWConfig};
//! use tch::Tensor;
//! let mut p = Tensor::from_slice(&[1f32]);
//! let mut adam = AdamW::new(&p, AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() });
//! adam.step(&mut p, &Tensor::from_slice(&[0.3f32]), 0.1);
//! assert!((p.double_value(&[0]) - 0.9).abs() < 1e-6); // the first step of Adam has length lr
//! ```

use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

/// Constants of AdamW; the defaults are PyTorch's but for the decay, which flow-matching recipes leave at 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, per unit of learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// The optimizer and its state.
#[derive(Debug)]
pub struct AdamW {
    /// Its constants.
    pub config: AdamWConfig,
    /// First moment m.
    pub mean: Tensor,
    /// Second moment v.
    pub square: Tensor,
    /// Updates made.
    pub updates: u64,
}

impl AdamW {
    /// A fresh optimizer for a flat vector of parameters.
    pub fn new(parameters: &Tensor, config: AdamWConfig) -> Self {
        Self { config, mean: parameters.zeros_like(), square: parameters.zeros_like(), updates: 0 }
    }

    /// One update of `parameters` by `gradient` at learning rate `lr`.
    pub fn step(&mut self, parameters: &mut Tensor, gradient: &Tensor, lr: f64) {
        self.updates += 1;
        let AdamWConfig { beta1, beta2, eps, weight_decay } = self.config;
        let n = self.updates as f64;
        let (correction1, correction2) = (1.0 - beta1.powf(n), 1.0 - beta2.powf(n));
        no_grad(|| {
            if weight_decay > 0.0 {
                let _ = parameters.g_mul_scalar_(1.0 - lr * weight_decay);
            }
            let _ = self.mean.lerp_(gradient, 1.0 - beta1);
            let _ = self.square.lerp_(&gradient.square(), 1.0 - beta2);
            // Not `sqrt`: libtorch splits that among threads from 2,048 values on, who then spin while they wait for the next.
            let tiny = &self.square + 1e-38;
            let mut root = tiny.rsqrt() * tiny;
            let _ = root.g_mul_scalar_(1.0 / correction2.sqrt()).g_add_scalar_(eps);
            let mut step = &self.mean / root;
            let _ = step.g_mul_scalar_(lr / correction1);
            let _ = parameters.g_sub_(&step);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference: 100 steps of torch.optim.AdamW, by `python3 crates/fm-train/tests/adamw.py`.
    #[test]
    fn equals_pytorch_over_100_steps() {
        let reference: serde_json::Value = serde_json::from_str(include_str!("../tests/adamw.json")).unwrap();
        for case in reference.as_array().unwrap() {
            let number = |key: &str| case[key].as_f64().unwrap();
            let vector = |key: &str| -> Vec<f32> {
                case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
            };
            let config = AdamWConfig {
                weight_decay: number("weight_decay"),
                beta1: number("beta1"),
                beta2: number("beta2"),
                eps: 1e-8,
            };
            let start = vector("start");
            let mut p = Tensor::from_slice(&start);
            let centre = Tensor::from_slice(&vector("centre"));
            let mut optimizer = AdamW::new(&p, config);
            for step in 0..100 {
                // The gradient of a bowl whose steepness varies with the step.
                let gradient = (&p - &centre) * (1.0 + (step % 7) as f64);
                optimizer.step(&mut p, &gradient, number("lr"));
            }
            let got = Vec::<f32>::try_from(&p).unwrap();
            for (a, b) in got.iter().zip(vector("end")) {
                assert!((a - b).abs() <= 1e-6 * (1.0 + b.abs()), "{a} against {b}");
            }
        }
    }
}
