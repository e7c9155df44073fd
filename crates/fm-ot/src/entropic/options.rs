//! Options of the entropic solvers: regularisation and stopping.

use crate::OtError;
use serde::{Deserialize, Serialize};

/// The regularisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Epsilon {
    /// In the unit of the cost.
    Absolute(f64),
    /// As a fraction of the mean cost (the mean |C_ij| if costs have signs), which suits data of
    /// any scale and dimension.
    Relative(f64),
}

/// Options of the iteration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SinkhornOptions {
    /// The regularisation, above 0.
    pub epsilon: Epsilon,
    /// The error at which the iteration stops, 0 or above; see
    /// [`EntropicPlan::error`](super::EntropicPlan::error).
    pub tolerance: f64,
    /// Maximum number of iterations over all levels of epsilon. The plan reached so far is then
    /// returned (with one more iteration if the last level has not started).
    pub max_iterations: usize,
    /// Whether a plan whose error exceeds the tolerance is an error.
    pub require_convergence: bool,
}

impl Default for SinkhornOptions {
    /// Epsilon 0.05 of the mean cost, an L1 error of 1e-3, at most 2,000 iterations, and no error
    /// if the iteration does not converge.
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

/// Upper limit of epsilon, reg_m and costs in units of epsilon; epsilon is at least its reciprocal,
/// so that products with logarithms stay finite.
pub(super) const LARGEST: f64 = 1e290;

impl SinkhornOptions {
    /// The regularisation in the unit of the cost, for costs whose absolute values sum to `total`.
    pub(super) fn epsilon(&self, total: f64, mean: f64) -> Result<f64, OtError> {
        let tolerance = self.tolerance;
        if !(tolerance >= 0.0 && tolerance.is_finite()) {
            return Err(OtError::Tolerance { tolerance });
        }
        let (given, epsilon) = match self.epsilon {
            Epsilon::Absolute(epsilon) => (epsilon, epsilon),
            // If all costs are 0, any regularisation gives the same plan.
            Epsilon::Relative(share) => (share, if mean > 0.0 { share * mean } else { share }),
        };
        let legal = given > 0.0 && (1.0 / LARGEST..=LARGEST).contains(&epsilon) && total / epsilon <= LARGEST;
        if legal { Ok(epsilon) } else { Err(OtError::Epsilon { epsilon: given }) }
    }
}
