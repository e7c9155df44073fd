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
    /// The regularisation, above 0, and at least 1e-9 of the largest cost, because f64 does not
    /// resolve exponents of larger quotients.
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

/// The largest quotient of a cost and epsilon. Exponents of this size have an absolute rounding
/// error of about 1e-7, which is the relative error of a mass; it grows in proportion.
const RESOLVED: f64 = 1e9;

/// Magnitudes of costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Magnitudes {
    /// The sum of |C_ij|.
    pub(super) total: f64,
    /// The mean |C_ij|.
    pub(super) mean: f64,
    /// The largest |C_ij|.
    pub(super) largest: f64,
}

impl SinkhornOptions {
    /// The regularisation in the unit of the cost, for costs of these magnitudes.
    pub(super) fn epsilon(&self, costs: Magnitudes) -> Result<f64, OtError> {
        let Magnitudes { total, mean, largest } = costs;
        let tolerance = self.tolerance;
        if !(tolerance >= 0.0 && tolerance.is_finite()) {
            return Err(OtError::Tolerance { tolerance });
        }
        let (given, unit) = match self.epsilon {
            Epsilon::Absolute(epsilon) => (epsilon, 1.0),
            // If all costs are 0, any regularisation gives the same plan.
            Epsilon::Relative(share) => (share, if mean > 0.0 { mean } else { 1.0 }),
        };
        let epsilon = given * unit;
        if !(given > 0.0 && given.is_finite()) {
            return Err(OtError::Epsilon { epsilon: given });
        }
        if largest > RESOLVED * epsilon {
            // A tenth more, because a message rounds it.
            let least = 1.1 * largest / RESOLVED / unit;
            return Err(OtError::Resolution { epsilon: given, least, largest });
        }
        let legal = (1.0 / LARGEST..=LARGEST).contains(&epsilon) && total / epsilon <= LARGEST;
        if legal { Ok(epsilon) } else { Err(OtError::Epsilon { epsilon: given }) }
    }
}
