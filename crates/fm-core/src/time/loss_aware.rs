//! Times where the loss is large.
//!
//! The unit interval of u is cut into equal bins; bin b is drawn with probability q_b = (1 - m) r_b / sum r + m / bins, where r_b is the
//! root of the mean squared loss seen in it and m keeps every bin alive. A draw is weighed by 1 / (bins q_b), so the expected loss is
//! what it was: only its variance falls.
//!
//! Source: Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), section 3.3.
//!
//! ```
//! use fm_core::time::LossAware;
//! let mut law = LossAware::new(2);
//! law.update(&[1.0, 9.0], &[1.0, 1.0]); // mean squared losses 1 and 9: losses 1 and 3
//! let q = law.probabilities();
//! assert!((q[0] - (0.99 * 0.25 + 0.005)).abs() < 1e-12);
//! assert!((q[0] + q[1] - 1.0).abs() < 1e-12);
//! // A draw in bin 0 counts 0.5 / q_0.
//! let (u, weight) = law.quantile(0.1);
//! assert!(u < 0.5 && (weight - 0.5 / q[0]).abs() < 1e-12);
//! ```

use serde::{Deserialize, Serialize};

/// A density over u, constant on bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LossAware {
    /// Mean squared loss of each bin; none before the first update.
    mean_squares: Vec<Option<f64>>,
}

impl LossAware {
    /// Share of the draws that are uniform.
    pub const MIXTURE: f64 = 0.01;

    /// The uniform density over this many bins, at least 1.
    pub fn new(bins: usize) -> Self {
        Self { mean_squares: vec![None; bins.max(1)] }
    }

    /// The number of bins.
    pub fn bins(&self) -> usize {
        self.mean_squares.len()
    }

    /// The bin of a position u in (0, 1).
    pub fn bin(&self, u: f64) -> usize {
        ((u * self.bins() as f64) as usize).min(self.bins() - 1)
    }

    /// Takes in what was seen since the last update: the sum of squared losses and the number of rows in each bin. A mean moves halfway
    /// to the new one; bins without rows and sums that are not finite keep theirs.
    pub fn update(&mut self, sums: &[f64], rows: &[f64]) {
        for (mean, (sum, n)) in self.mean_squares.iter_mut().zip(sums.iter().zip(rows)) {
            let seen = sum / n;
            if *n > 0.0 && seen.is_finite() && seen >= 0.0 {
                *mean = Some(mean.map_or(seen, |old| 0.5 * (old + seen)));
            }
        }
    }

    /// The probability of each bin; uniform until every bin has been seen.
    pub fn probabilities(&self) -> Vec<f64> {
        let uniform = 1.0 / self.bins() as f64;
        let roots: Option<Vec<f64>> = self.mean_squares.iter().map(|m| m.map(f64::sqrt)).collect();
        let Some(roots) = roots else { return vec![uniform; self.bins()] };
        let total: f64 = roots.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            return vec![uniform; self.bins()];
        }
        roots.iter().map(|r| (1.0 - Self::MIXTURE) * r / total + Self::MIXTURE * uniform).collect()
    }

    /// Bends a uniform draw to this density: the position u and its weight 1 / density.
    pub fn quantile(&self, uniform: f64) -> (f64, f64) {
        let (q, bins) = (self.probabilities(), self.bins() as f64);
        let mut before = 0.0;
        for (b, q) in q.iter().enumerate() {
            if uniform < before + q || b + 1 == self.bins() {
                let within = ((uniform - before) / q).clamp(0.0, 1.0);
                return ((b as f64 + within) / bins, 1.0 / (bins * q));
            }
            before += q;
        }
        (uniform, 1.0)
    }
}
