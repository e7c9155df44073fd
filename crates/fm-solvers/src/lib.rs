//! Ordinary differential equations dx/dt = v(x, t), solved over any state with linear combinations.
//!
//! | module | idea |
//! |---|---|
//! | [`tableau`] | a Runge-Kutta method is a table of numbers |
//! | [`fixed`] | stepping along a given time grid |
//! | [`adaptive`] | step sizes chosen by an error estimate |
//! | [`solution`] | what came out, what it cost, and why it stopped |
//!
//! With the feature `tch`, `guidance` wraps a class-conditional network as a field over tensors.
//!
//! ```
//! use fm_solvers::{fixed, tableau::RK4, uniform_grid};
//! let decay = |x: &Vec<f64>, _t: f64| x.iter().map(|v| -v).collect::<Vec<_>>();
//! let solution = fixed::solve(&decay, vec![1.0], &uniform_grid(20), &RK4, |_, _| ())?;
//! assert!((solution.x[0] - (-1.0f64).exp()).abs() < 1e-7);
//! assert_eq!(solution.stats.evaluations, 80); // counted: four a step
//! # Ok::<(), fm_solvers::SolveError>(())
//! ```

pub mod adaptive;
pub mod fixed;
#[cfg(feature = "tch")]
pub mod guidance;
pub mod solution;
pub mod tableau;

pub use solution::{Reason, Solution, SolveError, Stats};

/// The grid of n equal steps from 0 to 1: n + 1 times.
pub fn uniform_grid(steps: usize) -> Vec<f64> {
    (0..=steps).map(|i| i as f64 / steps.max(1) as f64).collect()
}

#[cfg(test)]
mod tests;
