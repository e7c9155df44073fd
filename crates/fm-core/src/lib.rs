//! The heart of flow matching, without libtorch.
//!
//! Flow matching learns a velocity field v(x, t) that carries a source distribution at **t = 0** to the data at **t = 1**.
//! This crate holds what every part of such a system agrees on:
//!
//! | module | idea |
//! |---|---|
//! | [`path`] | where x is at time t and how fast it moves: x_t = alpha(t) x1 + sigma(t) x0 |
//! | [`time`] | which times to train on: a distribution is its quantile function |
//! | [`coupling`] | which source point goes with which data point |
//! | [`field`] | what a solver integrates: a velocity as a function of state and time |
//! | [`state`] | the two operations a solver needs of a state |
//! | [`rng`] | randomness as a pure function of (seed, step, stream, row) |
//!
//! With the feature `tch`, `tensor` adds the same over libtorch tensors.
//!
//! ```
//! use fm_core::path::{Linear, ProbPath};
//! // Halfway along the straight path from x0 = 2 to x1 = 6 the point is at 4 and moves at 6 - 2 = 4 per unit time.
//! let c = Linear.coefficients(0.5);
//! assert_eq!(c.alpha * 6.0 + c.sigma * 2.0, 4.0);
//! assert_eq!(c.d_alpha * 6.0 + c.d_sigma * 2.0, 4.0);
//! ```

pub mod coupling;
pub mod field;
pub mod path;
pub mod rng;
pub mod state;
#[cfg(feature = "tch")]
pub mod tensor;
pub mod time;
