//! How a plan is regularised, and when its iteration stops.

use crate::OtError;
use serde::{Deserialize, Serialize};

/// The regularisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Epsilon {
    /// In the unit of the cost.
    Absolute(f64),
    /// As a share of the mean cost (of the mean |C_ij|, where costs have signs), which fits data of any scale and dimension.
    Relative(f64),
}

/// How to iterate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkhornOptions {
    /// The regularisation, above 0.
    pub epsilon: Epsilon,
    /// The error at which to stop, 0 or above; see [`EntropicPlan::error`](super::EntropicPlan::error).
    pub tolerance: f64,
    /// Iterations, over all levels of epsilon, after which the plan reached is returned (with one more where the last level was not yet
    /// begun).
    pub max_iterations: usize,
    /// Whether a plan that has not come down to the tolerance is an error.
    pub require_convergence: bool,
}

impl Default for SinkhornOptions {
    /// Epsilon 0.05 of the mean cost, an L1 error of 1e-3, 2,000 iterations, the plan reached in any case.
    fn default() -> Self {
        Self { epsilon: Epsilon::Relative(0.05), tolerance: 1e-3, max_iterations: 2000, require_convergence: false }
    }
}

impl From<Epsilon> for SinkhornOptions {
    /// The default options with this regularisation.
    fn from(epsilon: Epsilon) -> Self {
        Self { epsilon, ..Self::default() }
    }
}

/// Epsilon, reg_m and costs in units of epsilon are at most this, and epsilon at least its reciprocal: products with logarithms stay finite.
pub(super) const LARGEST: f64 = 1e290;

impl SinkhornOptions {
    /// The regularisation in the unit of costs whose sizes add up to `total`.
    pub(super) fn epsilon(&self, total: f64, mean: f64) -> Result<f64, OtError> {
        let tolerance = self.tolerance;
        if !(tolerance >= 0.0 && tolerance.is_finite()) {
            return Err(OtError::Tolerance { tolerance });
        }
        let (given, epsilon) = match self.epsilon {
            Epsilon::Absolute(epsilon) => (epsilon, epsilon),
            // Where nothing costs anything, any regularisation gives the same plan.
            Epsilon::Relative(share) => (share, if mean > 0.0 { share * mean } else { share }),
        };
        let legal = given > 0.0 && (1.0 / LARGEST..=LARGEST).contains(&epsilon) && total / epsilon <= LARGEST;
        if legal { Ok(epsilon) } else { Err(OtError::Epsilon { epsilon: given }) }
    }
}
