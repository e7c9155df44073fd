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
//! All three plans have the form P_ij = r_ij exp((f_i + g_j - C_ij) / epsilon), r = a b^T (1 for
//! `partial`), and are computed by fitting f and g in turn. The iteration uses scalings u, v of a
//! kernel that has absorbed the potentials so far, so that a pass is n^2 multiplications without
//! exponentials. Scalings that grow large are absorbed; if a sum leaves the range of f64,
//! potentials are fitted in the log domain. Every plan is checked before it is returned, and an
//! epsilon below 1e-9 of the largest cost is an error, because f64 does not resolve it. Epsilon
//! decreases from an eighth of the mean cost by factors of 4, and the balanced iteration is
//! over-relaxed at a rate derived from its own convergence, so that small values of epsilon
//! converge too.
//!
//! Cost, potentials, epsilon and reg_m share one unit, that of the cost. Sources: Cuturi (2013);
//! Peyre and Cuturi, "Computational Optimal Transport" (2019), chapter 4; Chizat et al., "Scaling
//! algorithms for unbalanced optimal transport problems" (2018); Benamou et al., "Iterative Bregman
//! projections" (2015), section 5; Lehmann et al., "A note on overrelaxation in the Sinkhorn
//! algorithm" (2021).
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
mod options;
mod relaxation;
mod scaling;
mod solution;
mod state;

pub use options::{Epsilon, SinkhornOptions};
pub use solution::EntropicPlan;

use crate::OtError;
use crate::marginals::Marginals;
use ndarray::ArrayView2;
use options::LARGEST;
use state::{Problem, Side};

/// The plan with fixed marginals.
///
/// # Errors
/// [`OtError::Empty`], [`OtError::Masses`], [`OtError::NotFinite`], [`OtError::TooLarge`] for costs
/// above 1e278, [`OtError::Memory`], [`OtError::Epsilon`], [`OtError::Tolerance`],
/// [`OtError::Resolution`] for an epsilon below 1e-9 of the largest cost, [`OtError::Marginals`]
/// for a plan that is not what the last iteration promises, and [`OtError::NotConverged`] if
/// convergence is required.
#[doc(alias = "sinkhorn2")]
#[doc(alias = "sinkhorn_log")]
pub fn sinkhorn(
    cost: ArrayView2<'_, f64>,
    marginals: &Marginals,
    options: &SinkhornOptions,
) -> Result<EntropicPlan, OtError> {
    scaling::solve(cost, &Problem { marginals, side: Side::Exact, mass: None }, options)
}

/// The plan with relaxed marginals, at a penalty of `reg_m` per unit of Kullback-Leibler
/// divergence.
///
/// # Errors
/// As [`sinkhorn`], and [`OtError::Strength`] for a `reg_m` that is not above 0 and at most 1e290.
#[doc(alias = "sinkhorn_knopp_unbalanced")]
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

/// The plan that transports this mass, in (0, 1], and takes at most its mass from each point.
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
