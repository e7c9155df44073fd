//! Ground truth: the field that a perfect network would learn, and the loss that would remain.
//!
//! Let x1 come from a mixture of Gaussians with weights w_k, means mu_k and covariances S_k, and x0
//! from N(0, I), independently. Then x_t given component k is N(alpha mu_k, V_k) with V_k = alpha^2
//! S_k + s^2 I and s^2 = sigma^2 + gamma^2. Given x_t and k, a target T = a x1 + b x0 + c eps has
//! mean
//!
//! m_k = a mu_k + (a alpha S_k + kappa I) V_k^-1 (x_t - alpha mu_k), kappa = b sigma + c gamma,
//!
//! and covariance a^2 S_k + (b^2 + c^2) I - (a alpha S_k + kappa I)^2 V_k^-1. With r_k the
//! posterior probability of component k, the mean of T is sum r_k m_k: the marginal velocity, data,
//! noise or score. The variance of T given x_t cannot be predicted by any network: its average over
//! x_t and t is the irreducible loss. A finite data set is the mixture of its points with S = 0.
//!
//! Source: Lipman et al. (2023), theorem 1; Bishop, "Pattern Recognition and Machine Learning"
//! (2006), section 2.3.3.
//!
//! ```
//! use fm_core::exact::Mixture;
//! use fm_core::path::{PathKind, ProbPath};
//! use fm_core::prediction::Prediction::Velocity;
//! // From N(0, I) to N(2, 0.25) at t = 1/2: V = 0.25 * 0.25 + 0.25. x_t = 1 is the mean, so v is the mean of x1 - x0.
//! let mixture = Mixture::isotropic(&[1.0], ndarray::array![[2.0]].view(), &[0.25])?;
//! let c = PathKind::Linear.at(0.5)?;
//! let posterior = mixture.posterior(&[1.0], &c, &Velocity.target(&c)?)?;
//! assert_eq!(posterior.mean, [2.0]);
//! // Var(x1 - x0 | x_t) = 1.25 - (0.5 * 0.25 - 0.5)^2 / 0.3125
//! assert!((posterior.variance - 0.8).abs() < 1e-12);
//! # Ok::<(), fm_core::exact::MixtureError>(())
//! ```

mod eigen;
mod field;
mod irreducible;
mod mixture;

pub use field::ExactField;
pub use irreducible::{Estimate, estimate, irreducible_at};
pub use mixture::{Mixture, MixtureError, Posterior};
