//! What cannot be solved, said before anything is evaluated.
//!
//! ```
//! use fm_solvers::{Output, SolveError, fixed, tableau::RK4};
//! let still = |x: &f64, _: f64| *x;
//! let turned_back = fixed::solve(&still, 1.0, &[0.0, 1.0, 0.5], &RK4, Output::Final);
//! assert_eq!(turned_back.unwrap_err(), SolveError::Grid);
//! ```

/// A request that no solver can carry out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SolveError {
    /// The grid does not describe steps.
    #[error("a time grid needs at least two finite times that only rise or only fall; give at least one step")]
    Grid,
    /// Times of output that the solve does not pass.
    #[error("output can be had at times from {start} to {end}, in this order and each once; leave out the others")]
    Times {
        /// Where the solve begins.
        start: f64,
        /// Where it ends.
        end: f64,
    },
    /// A tolerance that no step can meet.
    #[error("tolerances must be finite, not negative and not both zero; got rtol {rtol} and atol {atol}")]
    Tolerance {
        /// Relative tolerance given.
        rtol: f64,
        /// Absolute tolerance given.
        atol: f64,
    },
    /// Per-dimension tolerances for another number of dimensions.
    #[error("{given} tolerances were given for rows of {dimension} values; give one, or one a value")]
    ToleranceCount {
        /// How many were given.
        given: usize,
        /// How many there should be.
        dimension: usize,
    },
    /// A bound on steps, or a controller, that leaves no step to take.
    #[error("{what} is {value}, which leaves no step to take; {remedy}")]
    Control {
        /// The setting.
        what: &'static str,
        /// What it was set to.
        value: f64,
        /// What would do.
        remedy: &'static str,
    },
    /// A tableau without an error estimate was asked to choose its own steps.
    #[error(
        "{method} has no embedded error estimate, so it cannot choose its steps; give a number of steps or use dopri5"
    )]
    NoErrorEstimate {
        /// Name of the method.
        method: &'static str,
    },
    /// Numbers that are not an explicit Runge-Kutta method.
    #[error("the tableau {method} is malformed: {why}")]
    Tableau {
        /// Name of the method.
        method: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A stochastic solve from the data to the source.
    #[error("stochastic sampling runs from the source to the data; give rising times")]
    Backwards,
    /// Output at given times of a stochastic solve.
    #[error("a stochastic path has no interpolant; ask for the states after every step")]
    NoInterpolant,
    /// Points or probes that have no divergence.
    #[error(
        "a divergence needs points of shape (rows, ...) with values, and at least one probe of their shape; got points {points:?} and probes {probes:?}"
    )]
    Divergence {
        /// Shape of the points.
        points: Vec<i64>,
        /// Shapes of the probes.
        probes: Vec<Vec<i64>>,
    },
    /// An answer that a probability path cannot give.
    #[error(transparent)]
    Path(#[from] fm_core::Error),
}
