//! A correlated normal distribution from a seed: the recipe of the table `gaussian4`.
//!
//! With the keys k0, k1 of `jax.random.split(jax.random.PRNGKey(seed), 3)`, the lower triangle of L
//! is `uniform(k0)`, row by row, and the mean is `uniform(k1)`. The covariance is L L^T. Everything
//! is uniform on [0, 1), so the columns are positively correlated.
//!
//! ```
//! use fm_data::points::recipe::Recipe;
//! use fm_data::table::GAUSSIAN4;
//! let recipe = Recipe::new(4, 41);
//! let (mean, covariance) = GAUSSIAN4;
//! assert!(recipe.mean.iter().zip(mean).all(|(a, b)| (a - b).abs() < 1e-6));
//! assert!((recipe.covariance()[[2, 3]] - covariance[2][3]).abs() < 1e-6);
//! ```

use super::threefry::{key, split, uniform};
use ndarray::{Array1, Array2};

/// A normal distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The mean.
    pub mean: Array1<f64>,
    /// The lower triangular factor L of the covariance L L^T.
    pub factor: Array2<f64>,
}

impl Recipe {
    /// The distribution of `dim` columns.
    pub fn new(dim: usize, seed: u64) -> Self {
        let keys = [0, 1].map(|i| split(key(seed), i));
        let mut lower = uniform(keys[0], dim * (dim + 1) / 2);
        let mut factor = Array2::zeros((dim, dim));
        for i in 0..dim {
            for j in 0..=i {
                factor[[i, j]] = lower.next().map_or(0.0, f64::from);
            }
        }
        Self { mean: uniform(keys[1], dim).map(f64::from).collect(), factor }
    }

    /// The covariance.
    pub fn covariance(&self) -> Array2<f64> {
        self.factor.dot(&self.factor.t())
    }

    /// Writes one draw, mean + L z.
    pub(super) fn draw(&self, z: &mut dyn FnMut() -> f64, out: &mut [f64]) {
        let normal: Vec<f64> = (0..self.mean.len()).map(|_| z()).collect();
        for ((to, mean), row) in out.iter_mut().zip(&self.mean).zip(self.factor.rows()) {
            *to = mean + row.iter().zip(&normal).map(|(l, z)| l * z).sum::<f64>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::GAUSSIAN4;

    #[test]
    fn seed_41_is_the_distribution_of_gaussian4() {
        let (mean, covariance) = GAUSSIAN4;
        let recipe = Recipe::new(4, 41);
        for i in 0..4 {
            assert!((recipe.mean[i] - mean[i]).abs() < 1e-6);
            assert!((0..4).all(|j| (recipe.covariance()[[i, j]] - covariance[i][j]).abs() < 1e-6));
        }
        assert!(Recipe::new(4, 42) != recipe && Recipe::new(1, 0).mean.len() == 1);
    }
}
