//! What a solver returns. Running out of evaluations or meeting a NaN is a value, not a panic: the state reached comes back
//! with the reason.
//!
//! ```
//! use fm_solvers::{Reason, Stats};
//! let fresh = Stats::default();
//! assert_eq!((fresh.evaluations, fresh.accepted, fresh.reason), (0, 0, Reason::ReachedEnd));
//! ```

/// Why a solver stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Reason {
    /// The end of the time span was reached.
    #[default]
    ReachedEnd,
    /// The allowance of evaluations was used up at this time.
    MaxEvaluations {
        /// The time reached.
        t: f64,
    },
    /// The step became smaller than allowed, or too small to change t: the problem is stiff or the tolerance beyond the arithmetic.
    StepUnderflow {
        /// The time reached.
        t: f64,
    },
    /// The velocity or the state was not finite.
    NonFinite {
        /// The last time at which the state was good.
        t: f64,
    },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::ReachedEnd => write!(f, "reached the end"),
            Reason::MaxEvaluations { t } => {
                write!(f, "used up the allowed evaluations at t = {t:.6}; allow more, or loosen the tolerance")
            }
            Reason::StepUnderflow { t } => write!(f, "step size underflow at t = {t:.6}; loosen the tolerance"),
            Reason::NonFinite { t } => {
                write!(f, "velocity not finite after t = {t:.6}; the model or its input is broken")
            }
        }
    }
}

/// What a solve cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Evaluations, counted as they are made: the NFE.
    pub evaluations: usize,
    /// Steps taken.
    pub accepted: usize,
    /// Steps tried and thrown away.
    pub rejected: usize,
    /// The smallest step taken; infinite when there was none.
    pub smallest_step: f64,
    /// Why the solver stopped.
    pub reason: Reason,
}

/// Which states to keep on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Output<'a> {
    /// None: only the final one.
    #[default]
    Final,
    /// Those at these times, in the direction of the solve, by the method's own interpolant.
    At(&'a [f64]),
    /// Those at the start and after every step.
    Steps,
}

impl Output<'_> {
    pub(crate) fn check(&self, (start, end): (f64, f64)) -> Result<(), SolveError> {
        let Output::At(times) = self else { return Ok(()) };
        let direction = (end - start).signum();
        let inside = |t: &f64| (t - start) * direction >= 0.0 && (end - t) * direction >= 0.0;
        let good = times.iter().all(inside) && times.windows(2).all(|p| (p[1] - p[0]) * direction > 0.0);
        if good { Ok(()) } else { Err(SolveError::Times { start, end }) }
    }
}

/// The state reached, states on the way, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution<S> {
    /// The final state.
    pub x: S,
    /// Times of the states that were asked for, as far as the solve came.
    pub times: Vec<f64>,
    /// The states at these times.
    pub states: Vec<S>,
    /// The cost and the reason.
    pub stats: Stats,
}

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
    /// An answer that a probability path cannot give.
    #[error(transparent)]
    Path(#[from] fm_core::Error),
}
