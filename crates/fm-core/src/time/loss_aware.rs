//! Time distributions with more mass where the loss is large.
//!
//! The unit interval of u is divided into equal bins. Bin b is drawn with probability q_b = (1 - m)
//! r_b / sum r + m / bins, where r_b is the root of the mean squared loss observed in it, and m
//! keeps every probability above 0. A draw is weighted by 1 / (bins q_b), so the expected loss is
//! unchanged: only its variance falls.
//!
//! Source: Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), section
//! 3.3.
//!
//! ```
//! use fm_core::time::LossAware;
//! let mut law = LossAware::new(2);
//! law.update(&[1.0, 9.0], &[1.0, 1.0]); // mean squared losses 1 and 9: losses 1 and 3
//! let q = law.probabilities();
//! assert!((q[0] - (0.99 * 0.25 + 0.005)).abs() < 1e-12);
//! assert!((q[0] + q[1] - 1.0).abs() < 1e-12);
//! // A draw in bin 0 has the weight 0.5 / q_0.
//! let (u, weight) = law.quantile(0.1);
//! assert!(u < 0.5 && (weight - 0.5 / q[0]).abs() < 1e-12);
//! ```

use crate::Error;
use serde::{Deserialize, Serialize};

/// A piecewise constant density over u.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
#[doc(alias = "LossSecondMomentResampler")]
pub struct LossAware {
    /// Mean squared loss of each bin; `None` before its first update.
    mean_squares: Vec<Option<f64>>,
}

/// [`LossAware`] as read from a file.
#[derive(Deserialize)]
struct Unchecked {
    mean_squares: Vec<Option<f64>>,
}

impl TryFrom<Unchecked> for LossAware {
    type Error = Error;

    fn try_from(Unchecked { mean_squares }: Unchecked) -> Result<Self, Error> {
        let (name, bins) = ("the number of loss-aware bins", mean_squares.len());
        if !(1..=Self::MAX_BINS).contains(&bins) {
            return Err(Error::Value { name, domain: "from 1 to 1048576", value: bins as f64 });
        }
        if let Some(value) = mean_squares.iter().flatten().find(|mean| !(**mean >= 0.0 && mean.is_finite())) {
            return Err(Error::Value { name: "a mean squared loss", domain: "finite and at least 0", value: *value });
        }
        Ok(Self { mean_squares })
    }
}

impl LossAware {
    /// Share of the draws that are uniform.
    pub const MIXTURE: f64 = 0.01;
    /// The largest number of bins.
    pub const MAX_BINS: usize = 1 << 20;

    /// The uniform density with this many bins, at least 1.
    ///
    /// # Panics
    /// When `bins` is above [`MAX_BINS`](Self::MAX_BINS).
    pub fn new(bins: usize) -> Self {
        assert!(bins <= Self::MAX_BINS, "{bins} loss-aware bins: there may be at most {}", Self::MAX_BINS);
        Self { mean_squares: vec![None; bins.max(1)] }
    }

    /// The number of bins.
    pub fn bins(&self) -> usize {
        self.mean_squares.len()
    }

    /// The bin of a position u in (0, 1); the first bin for smaller values and NaN, the last for
    /// larger values.
    pub fn bin(&self, u: f64) -> usize {
        ((u * self.bins() as f64) as usize).min(self.bins() - 1)
    }

    /// Updates with the sum of squared losses and the number of rows in each bin since the last
    /// update. Each mean becomes the average of its old and its new value. Bins without rows, with
    /// a sum that is not finite, or beyond the end of either list keep their mean.
    pub fn update(&mut self, sums: &[f64], rows: &[f64]) {
        for (mean, (sum, n)) in self.mean_squares.iter_mut().zip(sums.iter().zip(rows)) {
            let seen = sum / n;
            if *n > 0.0 && seen.is_finite() && seen >= 0.0 {
                // Halve before adding: the sum of the two may overflow.
                *mean = Some(mean.map_or(seen, |old| 0.5 * old + 0.5 * seen));
            }
        }
    }

    /// The probability of each bin; uniform until every bin has a mean.
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

    /// Maps a uniform draw to this density: the position u and its weight 1 / density. The position
    /// is NaN if the draw is NaN.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_near_the_largest_number_stay_finite() {
        let mut law = LossAware::new(2);
        for _ in 0..3 {
            law.update(&[f64::MAX, 1.0], &[1.0, 1.0]);
        }
        let q = law.probabilities();
        assert!(q[0] > 0.99 && (q[0] + q[1] - 1.0).abs() < 1e-12, "{q:?}");
    }

    #[test]
    fn a_density_without_bins_is_refused_where_it_is_read() {
        let read =
            |mean_squares: &[Option<f64>]| LossAware::try_from(Unchecked { mean_squares: mean_squares.to_vec() });
        assert!(read(&[]).is_err() && read(&[Some(-1.0)]).is_err() && read(&[Some(f64::INFINITY), None]).is_err());
        assert_eq!(read(&[None, Some(2.0)]).map(|law| law.bins()), Ok(2));
    }

    #[test]
    #[should_panic(expected = "there may be at most 1048576")]
    fn more_bins_than_memory_holds_are_refused() {
        let _ = LossAware::new(usize::MAX);
    }
}
