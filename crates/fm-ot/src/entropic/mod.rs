//! Entropic optimal transport: balanced (Sinkhorn), unbalanced and partial.
//!
//! With masses a and b, cost C and KL(P | Q) = sum P ln(P / Q) - P + Q, the plan P minimises
//!
//! | function | objective | constraints |
//! |---|---|---|
//! | [`sinkhorn`] | sum P C + epsilon KL(P \| a b^T) | P 1 = a, P^T 1 = b |
//! | [`unbalanced`] | the same + reg_m KL(P 1 \| a) + reg_m KL(P^T 1 \| b) | none |
//! | [`partial`] | sum P C + epsilon sum P ln P | P 1 <= a, P^T 1 <= b, sum P = mass |
//!
//! All three have the form P_ij = r_ij exp((f_i + g_j - C_ij) / epsilon), r = a b^T (1 for `partial`), and are found by fitting f and g in
//! turn. The iteration runs on scalings u, v of a kernel that has absorbed the potentials found so far, so that a pass is n^2
//! multiplications and no exponential. Scalings that grow large are absorbed; when a sum leaves the range of doubles, potentials are
//! fitted in the log domain. No epsilon that is accepted gives a NaN. Epsilon falls from an eighth of the mean cost in steps of 4, and the balanced
//! iteration is over-relaxed at the rate that its own convergence suggests: small values converge too.
//!
//! Cost, potentials, epsilon and reg_m share one unit, that of the cost. Sources: Cuturi (2013); Peyre and Cuturi, "Computational Optimal
//! Transport" (2019), chapter 4; Chizat et al., "Scaling algorithms for unbalanced optimal transport problems" (2018); Benamou et al.,
//! "Iterative Bregman projections" (2015), section 5; Lehmann et al., "A note on overrelaxation in the Sinkhorn algorithm" (2021).
//!
//! ```
//! use fm_ot::{entropic::{Epsilon, SinkhornOptions, sinkhorn}, marginals::Marginals};
//! // Two points each, epsilon 1: P is proportional to exp(-C) on this symmetric cost.
//! let cost = ndarray::array![[0.0, 1.0], [1.0, 0.0]];
//! let options = SinkhornOptions { epsilon: Epsilon::Absolute(1.0), ..SinkhornOptions::default() };
//! let found = sinkhorn(cost.view(), &Marginals::uniform(2, 2), &options)?;
//! let stay = 0.5 / (1.0 + (-1.0f64).exp());
//! assert!((found.plan[[0, 0]] - stay).abs() < 1e-9);
//! assert!(found.converged && found.error < 1e-3);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

mod exp;
mod kernel;
mod relaxation;
mod scaling;
mod solution;

pub use solution::EntropicPlan;

use crate::OtError;
use crate::marginals::Marginals;
use ndarray::ArrayView2;
use scaling::{Problem, Side};
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
    /// The error at which to stop, 0 or above; see [`EntropicPlan::error`].
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

/// The plan between fixed marginals.
///
/// # Errors
/// [`OtError::Empty`], [`OtError::Masses`], [`OtError::NotFinite`], [`OtError::TooLarge`] for costs above 1e278, [`OtError::Memory`],
/// [`OtError::Epsilon`], [`OtError::Tolerance`], and [`OtError::NotConverged`] if convergence is required.
#[doc(alias = "sinkhorn2")]
#[doc(alias = "sinkhorn_log")]
pub fn sinkhorn(
    cost: ArrayView2<'_, f64>,
    marginals: &Marginals,
    options: &SinkhornOptions,
) -> Result<EntropicPlan, OtError> {
    scaling::solve(cost, &Problem { marginals, side: Side::Exact, mass: None }, options)
}

/// The plan whose marginals may deviate, at `reg_m` for each unit of Kullback-Leibler divergence.
///
/// # Errors
/// As [`sinkhorn`], and [`OtError::Strength`] for a `reg_m` that is not above 0 and at most 1e290.
#[doc(alias = "sinkhorn_unbalanced")]
pub fn unbalanced(
    cost: ArrayView2<'_, f64>,
    marginals: &Marginals,
    reg_m: f64,
    options: &SinkhornOptions,
) -> Result<EntropicPlan, OtError> {
    if !(reg_m > 0.0 && reg_m <= LARGEST) {
        return Err(OtError::Strength { reg_m });
    }
    scaling::solve(cost, &Problem { marginals, side: Side::Soft { reg_m }, mass: None }, options)
}

/// The plan of this mass, in (0, 1], that takes at most its mass from each point.
///
/// # Errors
/// As [`sinkhorn`], and [`OtError::Mass`].
#[doc(alias = "entropic_partial_wasserstein")]
pub fn partial(
    cost: ArrayView2<'_, f64>,
    marginals: &Marginals,
    mass: f64,
    options: &SinkhornOptions,
) -> Result<EntropicPlan, OtError> {
    crate::check_mass(mass)?;
    scaling::solve(cost, &Problem { marginals, side: Side::AtMost, mass: Some(mass) }, options)
}

/// Epsilon, reg_m and costs in units of epsilon are at most this, and epsilon at least its reciprocal: products with logarithms stay finite.
const LARGEST: f64 = 1e290;

impl SinkhornOptions {
    /// The regularisation in the unit of costs whose sizes add up to `total`.
    fn epsilon(&self, total: f64, mean: f64) -> Result<f64, OtError> {
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
