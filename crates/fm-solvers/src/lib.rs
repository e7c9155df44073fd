//! Solvers for ordinary differential equations dx/dt = v(x, t) and for sampling, over any state
//! with linear combinations: `Vec<f64>`, arrays, tensors, or your own type.
//!
//! [`solve`] integrates any field with any solver. [`Sampler`] draws samples from a network.
//!
//! | module | idea |
//! |---|---|
//! | [`solver`] | solvers as values: [`Fixed`], [`Adaptive`], and custom ones through the trait [`Solver`] |
//! | [`tableau`] | Runge-Kutta methods as tables of coefficients |
//! | [`grid`], [`fixed`] | time grids, and fixed-step solves along them |
//! | [`learned_grid`] | time grids learned from a field |
//! | [`controller`] | step-size controllers (I, PI, PID) |
//! | [`adaptive`] | adaptive steps, with one size for the whole state |
//! | [`dense`], [`events`] | the solution as a function of time; zeros of functions along it |
//! | [`guidance`] | classifier-free guidance, autoguidance, CFG-Zero*, APG, rectified-CFG++ |
//! | [`multistep`] | methods that reuse values of earlier steps |
//! | [`flow_map`] | jumps of a flow map |
//! | [`per_sample`] | adaptive steps per row of a batch |
//! | [`solution`], [`error`] | the result and its cost; errors |
//! | [`sde`] | stochastic sampling with the same marginals: fixed and adaptive steps, churn |
//! | [`sampler`] | sampling: a solver with its steps, from the source to the data |
//! | [`straightness`] | straightness of trajectories |
//!
//! With the feature `tch`, [`guidance`] turns networks into fields, and `likelihood` computes
//! log-densities.
//!
//! ```
//! use fm_solvers::{Adaptive, Fixed, solve};
//! let decay = |x: &Vec<f64>, _t: f64| x.iter().map(|v| -v).collect::<Vec<_>>();
//! let solution = solve(&decay, vec![1.0], 0.0..1.0, &Fixed::rk4(20))?;
//! assert!((solution.x[0] - (-1.0f64).exp()).abs() < 1e-7);
//! assert_eq!(solution.stats.evaluations, 80); // counted: four per step
//! let solution = solve(&decay, vec![1.0], 0.0..1.0, &Adaptive::default())?; // Dopri5 at 1e-5
//! assert!((solution.x[0] - (-1.0f64).exp()).abs() < 1e-5);
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

pub mod adaptive;
pub mod controller;
pub mod dense;
pub mod error;
pub mod events;
pub mod fixed;
pub mod flow_map;
pub mod grid;
pub mod guidance;
pub mod learned_grid;
#[cfg(feature = "tch")]
pub mod likelihood;
pub mod multistep;
mod pace;
pub mod per_sample;
mod piece;
mod record;
pub mod sampler;
mod save;
pub mod sde;
pub mod solution;
pub mod solver;
mod step;
mod step_state;
mod stop;
pub mod straightness;
pub mod tableau;

pub use controller::{AdaptiveOptions, PidController};
pub use dense::DenseSolution;
pub use error::SolveError;
pub use events::{Direction, Event, EventSolution};
pub use fm_core::ndarray;
pub use grid::Grid;
pub use multistep::Multistep;
pub use per_sample::BatchSolution;
pub use sampler::{Sampler, Samples};
pub use solution::{SaveAt, Solution, Stats, StepRecord, StopReason};
pub use solver::{Adaptive, Fixed, RungeKutta, Solver, solve};
pub use tableau::Tableau;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
