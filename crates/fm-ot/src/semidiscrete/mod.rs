//! Semidiscrete optimal transport: pairs noise rows with all data rows, by one potential per data
//! row.
//!
//! Minibatch plans depend on the batch. The semidiscrete problem is between the whole noise
//! distribution and all N data rows, and its solution is a vector g of N potentials that maximises
//!
//! E_x0 \[min_j c(x0, y_j) - g_j\] + (1/N) sum_j g_j.
//!
//! Noise row x0 is then paired with data row argmin_j c(x0, y_j) - g_j. Each data row should get
//! 1/N of the noise. The chi-squared error measures the deviation:
//! chi^2 = N sum_j h_j (h_j - 1) / (n (n - 1)) - 1 over n fresh noise rows of which h_j take row j,
//! an unbiased estimate of N sum_j p_j^2 - 1 for the probabilities p_j. Duplicate rows may divide
//! their mass unevenly, which raises chi^2 but does not affect training. For a class-conditional
//! model each class is a separate problem, so the noise of each class follows the whole noise
//! distribution.
//!
//! Costs and potentials are in the unit of the [`Cost`](crate::Cost). [`SemidiscreteFit`] fits the
//! potentials by Adam; the result is the same for any number of threads. A [`SemidiscreteFitting`]
//! of all classes can be stopped and continued, and can take choices that a device made. Memory:
//! the data, and blocks of 2^20 costs.
//!
//! Source: Mousavi-Hosseini, Zhang, Klein, Cuturi, "Flow Matching with Semidiscrete Couplings",
//! 2025; ott-jax's `SemidiscreteSolver`.
//!
//! ```
//! use fm_core::source::Source;
//! use fm_ot::{Metric, Semidiscrete, SemidiscreteOptions};
//! use ndarray::{Array2, array};
//! // Three data rows cut the normal distribution into thirds.
//! let data = array![[-1.0f32], [0.5], [3.0]];
//! let mut pairs = Semidiscrete::new(data, Metric::default())?;
//! pairs.fit_source(&Source::default(), 0, &SemidiscreteOptions::default())?;
//! let x0: Array2<f32> = array![[-0.6], [-0.2], [0.2], [0.6]];
//! assert_eq!(pairs.choose(x0.view(), None)?, [0, 1, 1, 2]);
//! let found = pairs.measure_source(&Source::default(), 0, 10_000)?;
//! assert!(found.chi_squared.abs() < 0.01);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

mod fit;
mod fitting;
mod nearest;
mod options;
mod parts;

pub use fit::{FitRow, FitStep, SemidiscreteFit};
pub use fitting::{FittingState, SemidiscreteFitting};
pub use options::{LearningRate, SemidiscreteOptions};
pub use parts::{NoiseRows, Semidiscrete, SemidiscreteReport, chi_squared};
