//! Guidance: fields that combine the predictions of two fields over the same batch.
//!
//! Guidance moves samples away from a worse prediction: one without the condition, or of a weaker
//! network. With v_c the prediction to guide, v_u the one to guide away from, and w the scale, the
//! guided velocity is v = v_c + (w - 1) d:
//!
//! | rule | d |
//! |---|---|
//! | classifier-free guidance, and autoguidance with a weaker network as v_u | v_c - v_u |
//! | CFG-Zero* ([`ZeroStar`]) | v_c - s v_u, s = <v_c, v_u> / \|v_u\|^2; and v = 0 in the first 4 % of the time |
//! | adaptive projected guidance ([`Projection`]) | e + (eta - 1) p, p the part of e parallel to v_c; e is v_c - v_u, with momentum, at most of norm r |
//! | rectified-CFG++ (`look_ahead`) | v_c(y, t + h) - v_u(y, t + h), y = x + h v_c(x, t) |
//!
//! For every rule, w = 1 is v_c without guidance. A `rescale` of phi multiplies v by
//! phi std(v_c) / std(v) + (1 - phi). Outside the interval of times, v = v_c. Products, norms and
//! deviations are those of the values of each row, computed in f64; shapes are (rows, ...), and all
//! fields return the shape of x.
//!
//! [`Guider`] is the guided field, [`GuidanceOptions`] holds the rules, and a [`Pair`] the two
//! fields. A [`GuidanceRule`] names a rule, such as `apg:eta=0,norm=5`; a sampler turns it into
//! options. With the feature `tch`, `Doubled` is a pair too: a network with and without its
//! conditions, by one pass over a doubled batch. `Guided` is classifier-free guidance alone.
//!
//! In diffusers, `guidance_scale` is w, or w - 1 with `use_original_formulation`. Its
//! `AdaptiveProjectedGuidance` in the original formulation, and the paper, have the formula of this
//! module. The lambda of rectified-CFG++ is w - 1.
//!
//! Errors: [`Error::Value`] for a value outside its domain, [`Error::Combination`] for rules that
//! exclude each other, a rule of velocities for another prediction, and a rescale of rows of one
//! value; a solver returns the errors of the fields' own checks.
//!
//! Sources: Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022); Karras et al., "Guiding a
//! Diffusion Model with a Bad Version of Itself" (2024); Fan et al., "CFG-Zero*" (2025); Sadat et
//! al., "Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion Models"
//! (2024); Saini et al., "Rectified-CFG++ for Flow Based Models" (2025); Lin et al., "Common
//! Diffusion Noise Schedules and Sample Steps are Flawed" (2023), section 3.4; Kynkäänniemi et al.,
//! "Applying Guidance in a Limited Interval" (2024).
//!
//! ```
//! use fm_core::field::RowField;
//! use fm_core::prediction::Prediction;
//! use fm_solvers::guidance::{GuidanceOptions, Guider, Pair, ZeroStar};
//! use ndarray::{Array2, array};
//! let main = |_: &Array2<f64>, _: &[f64], _: &[usize]| array![[3.0, 1.0]];
//! let weak = |_: &Array2<f64>, _: &[f64], _: &[usize]| array![[1.0, 0.0]];
//! let (x, scaled) = (array![[0.0, 0.0]], GuidanceOptions { scale: 2.0, ..GuidanceOptions::default() });
//! let guider = Guider::new(Pair { main, weak }, scaled, Prediction::Velocity)?;
//! assert_eq!(guider.velocities(&x, &[0.5], &[0]), array![[5.0, 2.0]]); // v_c + (v_c - v_u)
//! let options = GuidanceOptions { zero_star: Some(ZeroStar::default()), ..scaled };
//! let guider = Guider::new(Pair { main, weak }, options, Prediction::Velocity)?;
//! // s = 3, so d = (3, 1) - 3 (1, 0).
//! assert!((guider.velocities(&x, &[0.5], &[0]) - array![[3.0, 2.0]]).iter().all(|off| off.abs() < 1e-7));
//! assert_eq!(guider.velocities(&x, &[0.02], &[0]), array![[0.0, 0.0]]);
//! # Ok::<(), fm_core::Error>(())
//! ```
//!
//! [`Error::Value`]: fm_core::Error::Value
//! [`Error::Combination`]: fm_core::Error::Combination

#[cfg(feature = "tch")]
mod either;
mod guider;
mod momentum;
mod named;
#[cfg(feature = "tch")]
mod network;
mod options;
mod pair;
mod rules;
#[cfg(feature = "tch")]
mod scores;

#[cfg(feature = "tch")]
pub use either::Field;
pub use guider::Guider;
pub use named::GuidanceRule;
#[cfg(feature = "tch")]
pub use network::{Doubled, Guidance, Guided, Unconditional};
pub use options::{GuidanceOptions, Projection, ZeroStar};
pub use pair::{FieldPair, Pair};
