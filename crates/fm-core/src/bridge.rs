//! Velocity and score on a Brownian bridge: score and flow matching.
//!
//! The bridge x_t = t x1 + (1 - t) x0 + gamma eps, gamma = sigma sqrt(t (1 - t)), has the velocity
//! u_t = x1 - x0 + gamma' eps and, given its ends, the score -eps / gamma. Their means given x_t
//! are the velocity v and the score s = grad log p_t of the marginals. For a source that is not
//! Gaussian, s does not follow from v, so a network learns both
//! ([`Prediction::VelocityScore`](crate::Prediction::VelocityScore)). The SDEs
//!
//! dx = (v + g^2 / 2 s) dt + g dW from t = 0 to 1, dx = (v - g^2 / 2 s) dt + g dW from 1 to 0
//!
//! then have the marginals p_t for any g(t). With g = sigma, and pairs from an entropic coupling
//! with regularisation 2 sigma^2, the first one is the Schrödinger bridge.
//!
//! The second output of the network is the scaled score h = sigma^2 / 2 s: the score's part of the
//! drift for g = sigma. It has the unit of the velocity, and it stays finite where gamma is 0 if
//! the source and the data have densities; the drift for any g is v + (g / sigma)^2 h, without a
//! division by gamma. Its loss is |lambda h + eps|^2 with the
//! [weight](crate::path::Coefficients::score_weight) lambda = 2 gamma / sigma^2. The target -eps has
//! unit variance at each t, and lambda h = gamma s is its mean.
//!
//! Source: Tong et al., "Simulation-free Schrödinger Bridges via Score and Flow Matching" (2024);
//! torchcfm's `SchrodingerBridgeConditionalFlowMatcher`, whose score network gives h.
//!
//! ```
//! use fm_core::bridge::{diffusion, score_scale};
//! use fm_core::path::{PathKind, ProbPath};
//! let path = PathKind::Bridge { sigma: 2.0 };
//! let c = path.at(0.5)?; // gamma = 2 sqrt(1/4) = 1
//! let lambda = c.score_weight(diffusion(&path)?);
//! assert_eq!(lambda, 0.5);
//! // For noise eps = 3, h = -6 has loss 0, and it means the score -eps / gamma = -3.
//! assert_eq!((lambda * -6.0 + 3.0, score_scale(&path)? * -6.0), (0.0, -3.0));
//! assert!(diffusion(&PathKind::Linear).is_err());
//! # Ok::<(), fm_core::Error>(())
//! ```

use crate::Error;
use crate::path::ProbPath;

/// The diffusion sigma of the Brownian motion of a path.
///
/// # Errors
/// [`Error::NotABridge`] for a path that is not a Brownian bridge.
pub fn diffusion(path: &(impl ProbPath + ?Sized)) -> Result<f64, Error> {
    path.bridge_diffusion().ok_or_else(|| Error::NotABridge { path: path.name() })
}

/// The factor from the scaled score h to the score s, 2 / sigma^2.
///
/// # Errors
/// As [`diffusion`].
pub fn score_scale(path: &(impl ProbPath + ?Sized)) -> Result<f64, Error> {
    diffusion(path).map(|sigma| 2.0 / (sigma * sigma))
}

/// The loss of the scaled score h of each row, (B): [`row_losses`](crate::tensor::row_losses) of
/// lambda h against -eps. h and eps are (B, ...), and `weights` is lambda, (B, 1, ..., 1).
///
/// # Errors
/// As [`row_losses`](crate::tensor::row_losses).
#[cfg(feature = "tch")]
pub fn score_losses(
    h: &tch::Tensor,
    weights: &tch::Tensor,
    eps: &tch::Tensor,
    loss: &(impl crate::loss::RowLoss + ?Sized),
    reduction: crate::loss::Reduction,
) -> Result<tch::Tensor, Error> {
    // A score of another shape could broadcast to the right one.
    let scaled = if h.size() == eps.size() { h.to_kind(eps.kind()) * weights } else { h.shallow_clone() };
    crate::tensor::row_losses(&scaled, &-eps, loss, reduction)
}
