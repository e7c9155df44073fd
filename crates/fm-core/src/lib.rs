//! The objective of flow matching, without libtorch.
//!
//! Flow matching learns a velocity field v(x, t) that transports a source distribution at **t = 0**
//! to the data at **t = 1**. This crate has its parts as small values: path, prediction, times,
//! weighting, loss, source and coupling. [`FlowMatching`] holds all of them and checks them
//! together; start there. The modules, in a suggested reading order:
//!
//! | module | idea |
//! |---|---|
//! | [`path`] | the position and the velocity of x at time t: x_t = alpha(t) x1 + sigma(t) x0 |
//! | [`conditional`] | the same for any curve from x0 to x1, such as a geodesic |
//! | [`prediction`] | velocity, data, noise and score: what a network may predict, and how to convert between them |
//! | [`bridge`] | velocity and score together, on a Brownian bridge |
//! | [`time`] | distributions of training times, given by their quantile functions |
//! | [`weighting`], [`loss`] | the weight of each time, and the loss of an error |
//! | [`source`], [`coupling`] | what x0 is drawn from, and which x0 is paired with which x1 |
//! | [`objective`] | path, prediction, times, weighting and loss as one value, with a check for invalid combinations |
//! | [`interpolate`] | the same formulas on batches, one linear combination per result |
//! | [`exact`] | the field that a perfect network would learn, and its remaining loss |
//! | [`field`], [`schedule`] | what a solver integrates, and how to sample along another path |
//! | [`state`] | the operations that solvers and paths need of arrays and tensors |
//! | [`data`] | the interface of a data set, and the order of its rows in training |
//! | [`rng`] | randomness as a pure function of (seed, step, stream, row) |
//! | [`budget`] | limits on the memory and work that reading a file may cost |
//! | [`named_flow`] | a flow of built-in parts, as files store it |
//! | [`choice`](mod@choice) | options with a name: their text form and their parameters |
//! | [`normal`] | the standard normal distribution: density, probability, quantile |
//! | [`message`] | numbers, names and shapes in error messages |
//!
//! With the feature `product`, the module `product` multiplies matrices; `faer` makes it faster.
//! With the feature `tch`, `tensor` implements states and losses for libtorch tensors, and `tape`
//! adds activation checkpointing.
//!
//! A training step by hand, with a prediction that is off by 0.5 in place of a network:
//!
//! ```
//! use fm_core::interpolate::{coefficients, interpolate};
//! use fm_core::objective::Objective;
//! use fm_core::rng::{Key, Stream};
//! use fm_core::source::Source;
//! use ndarray::Array2;
//!
//! let objective: Objective = Objective::default(); // linear path, velocity, uniform times, mean squared error
//! objective.validate(&Source::default())?;
//! let x1 = Array2::from_elem((4, 2), 1.0);
//! let x0 = Source::default().sample(Key::new(0, 0, Stream::Noise), 4, 2)?;
//! let x0 = Array2::from_shape_fn((4, 2), |(i, j)| f64::from(x0[2 * i + j]));
//! let drawn = objective.draw(Key::new(0, 0, Stream::Time), 4, None)?;
//! let sample = interpolate(&coefficients(&objective.path, &drawn.times)?, objective.prediction, &x0, &x1, None)?;
//! let predicted = &sample.target + 0.5;
//! let errors = (predicted - &sample.target).into_raw_vec_and_offset().0;
//! assert!((objective.loss.value(objective.reduction.reduce(&errors)) - 0.25).abs() < 1e-12);
//! # Ok::<(), fm_core::Error>(())
//! ```

pub mod bridge;
pub mod budget;
pub mod choice;
pub mod conditional;
pub mod coupling;
pub mod data;
pub mod error;
pub mod exact;
pub mod field;
pub mod flow;
pub mod interpolate;
pub mod loss;
pub mod message;
pub mod named_flow;
pub mod normal;
pub mod objective;
pub mod path;
pub mod prediction;
#[cfg(feature = "product")]
pub mod product;
pub mod rng;
pub mod schedule;
pub mod source;
pub mod state;
#[cfg(feature = "tch")]
pub mod tape;
#[cfg(feature = "tch")]
pub mod tensor;
pub mod time;
pub mod weighting;

pub use coupling::{Coupling, CouplingInput, Independent};
pub use data::Dataset;
pub use error::Error;
pub use field::{RowField, SharedTime, VelocityField};
pub use flow::FlowMatching;
pub use loss::{Loss, RowLoss};
pub use named_flow::NamedFlow;
pub use objective::Objective;
pub use path::{PathKind, ProbPath};
pub use prediction::Prediction;
pub use rng::{Key, Stream};
pub use source::{Source, SourceDistribution, SourceKind};
#[cfg(feature = "tch")]
pub use tensor::{BuildModel, TrainedModel, VelocityModel};
pub use time::{TimeDistribution, TimeKind, Times};
pub use weighting::{TimeWeight, Weighting};

pub use ndarray;
pub use rand;
#[cfg(feature = "tch")]
pub use tch;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
