//! Errors of this crate: invalid requests, and solves that stopped before the end.
//!
//! ```
//! use fm_solvers::{SaveAt, StopReason, SolveError, fixed, tableau::RK4};
//! let still = |x: &f64, _: f64| *x;
//! let turned_back = fixed::solve(&still, 1.0, &[0.0, 1.0, 0.5], &RK4, SaveAt::End);
//! assert_eq!(turned_back.unwrap_err(), SolveError::Grid);
//! let broken = |_: &f64, _: f64| f64::NAN;
//! let stopped = fixed::solve(&broken, 1.0, &[0.0, 1.0], &RK4, SaveAt::End);
//! assert_eq!(stopped.unwrap_err(), SolveError::Stopped { row: None, reason: StopReason::NonFinite { t: 0.0 } });
//! ```

use crate::StopReason;
use fm_core::choice::ChoiceError;
use fm_core::message::{name, number, shape};

/// Why there is no solution.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// A solve that did not reach the end. `solve_partial` returns the state that it reached.
    #[error("cannot solve{} to the end: it {reason}", .row.map_or(String::new(), |row| format!(" row {row}")))]
    Stopped {
        /// The first row that did not reach the end, if each row has its own step size.
        row: Option<usize>,
        /// The reason.
        reason: StopReason,
    },
    /// A grid that does not define steps.
    #[error(
        "cannot step along this time grid: it needs at least two finite times that only rise or only fall; correct the times"
    )]
    Grid,
    /// Adaptive steps of a stochastic method without an error estimate.
    #[error(
        "cannot choose the steps of this stochastic method: only heun without churn has an error estimate; use that, or give a number of steps"
    )]
    StochasticAdaptive,
    /// A network that does not declare the shape of its rows.
    #[error(
        "cannot draw source rows: the network has no row shape; return it from VelocityModel::row_shape, or call Sampler::run with x0"
    )]
    NoRowShape,
    /// Guidance with a network that has no null class.
    #[error(
        "cannot guide the network: it has no null class; return it from VelocityModel::null_class, or use a scale of 1"
    )]
    NoNullClass,
    /// Jumps of a field that has velocities only.
    #[error(
        "cannot jump: the field has no mean velocity over intervals; use a flow map without a schedule or rules of guidance, or another solver"
    )]
    NoFlowMap,
    /// An invalid number of steps.
    #[error("cannot make a time grid of {steps} steps: there may be 1 to {most}; give another number")]
    Steps {
        /// The number given.
        steps: usize,
        /// The maximum number.
        most: usize,
    },
    /// A time grid that is not a map from \[0, 1\] to \[0, 1\].
    #[error("cannot change the time of a field by {grid}: it is a list of times; use uniform, warp or shift")]
    NotAMap {
        /// The grid.
        grid: String,
    },
    /// A span of time that cannot be divided into steps.
    #[error(
        "cannot solve from t = {} to t = {}: the times must be finite, different and a finite distance apart; give another span",
        number(.start), number(.end)
    )]
    Span {
        /// The start of the solve.
        start: f64,
        /// The end of the solve.
        end: f64,
    },
    /// Output times outside the solve.
    #[error(
        "cannot output these times: they must lie from {} to {}, in this order and each once; leave out the others",
        number(.start), number(.end)
    )]
    Times {
        /// The start of the solve.
        start: f64,
        /// The end of the solve.
        end: f64,
    },
    /// A time outside the span of a dense solution.
    #[error(
        "cannot evaluate the solution at t = {}: it covers the times from {} to {}; give one of these, or solve further",
        number(.t), number(.start), number(.end)
    )]
    Outside {
        /// The requested time.
        t: f64,
        /// The start of the solution.
        start: f64,
        /// The end of the solution.
        end: f64,
    },
    /// An event function that returned NaN.
    #[error("cannot locate event {index}: its function is NaN at t = {}; return a number for every state", number(.t))]
    Event {
        /// The index of the event.
        index: usize,
        /// The time.
        t: f64,
    },
    /// A velocity, or the noise of a stochastic step, with another shape than the state.
    #[error(
        "cannot solve: {what} at t = {} has shape {}, the state {}; return one value per value of the state",
        number(.t), shape(.got), shape(.expected)
    )]
    Shape {
        /// The velocity or the noise.
        what: &'static str,
        /// The time; for rows at different times, that of the first row.
        t: f64,
        /// Shape of the state.
        expected: Vec<usize>,
        /// Shape of the velocity or noise.
        got: Vec<usize>,
    },
    /// A single number where a batch is needed.
    #[error("cannot solve row by row: the state has no axes, so it has no rows; give a batch of shape (rows, ...)")]
    NoRows,
    /// A tolerance that no step can satisfy.
    #[error(
        "cannot step by error: tolerances must be finite, not negative and not both zero, and rtol is {}, atol {}; correct them",
        number(.rtol), number(.atol)
    )]
    Tolerance {
        /// Relative tolerance given.
        rtol: f64,
        /// Absolute tolerance given.
        atol: f64,
    },
    /// A number of per-dimension tolerances that does not match the number of dimensions.
    #[error("{given} tolerances were given for rows of {dimension} values; give one, or one per value")]
    ToleranceCount {
        /// The number given.
        given: usize,
        /// The number required.
        dimension: usize,
    },
    /// A step limit or controller setting with which no step is possible.
    #[error("{what} is {}, which leaves no step to take; {remedy}", number(.value))]
    Control {
        /// The setting.
        what: &'static str,
        /// The value given.
        value: f64,
        /// The remedy.
        remedy: &'static str,
    },
    /// Adaptive steps with a tableau that has no error estimate.
    #[error(
        "{method} has no embedded error estimate, so it cannot choose its steps; give a number of steps or use dopri5"
    )]
    NoErrorEstimate {
        /// Name of the method.
        method: &'static str,
    },
    /// A tableau that is not an explicit Runge-Kutta method.
    #[error("cannot step by the tableau {method}: {why}; correct its numbers")]
    Tableau {
        /// Name of the method.
        method: &'static str,
        /// The problem.
        why: &'static str,
    },
    /// A stochastic solve from the data to the source, of a field without a score.
    #[error(
        "stochastic sampling of a field without a score runs from the source to the data; give rising times, or a field with a score"
    )]
    Backwards,
    /// A solve from the data to the source with a method that has no such steps.
    #[error(
        "cannot solve backwards with {method}: its steps run from the source to the data; give rising times, or use ab2"
    )]
    Forwards {
        /// Name of the method.
        method: &'static str,
    },
    /// A method with steps in the log-SNR, without a path.
    #[error(
        "cannot solve with {method}: its steps depend on the path of the velocity, which neither the solver nor the field states; give Multistep::path, or use ab2"
    )]
    NoPath {
        /// Name of the method.
        method: &'static str,
    },
    /// A method with steps in the log-SNR, along another path than that of the velocity.
    #[error(
        "cannot solve with {method} along path {}: the velocity of the field belongs to another path, which differs at t = {}; give the path of the field, or none",
        name(.path), number(.t)
    )]
    OtherPath {
        /// Name of the method.
        method: &'static str,
        /// The path given to the solver.
        path: String,
        /// The first time of the grid at which the paths differ.
        t: f64,
    },
    /// Output at given times from a method that only has states at the ends of its steps.
    #[error("cannot output states at given times: this method has no interpolant; ask for the states after every step")]
    NoInterpolant,
    /// Points or probes for which the divergence is undefined.
    #[error(
        "a divergence needs points of shape (rows, ...) with values, and at least one probe of their shape; got points {} and {} probes{}",
        axes(.points), .probes.len(), .probes.first().map_or(String::new(), |probe| format!(", the first {}", axes(probe)))
    )]
    Divergence {
        /// Shape of the points.
        points: Vec<i64>,
        /// Shapes of the probes.
        probes: Vec<Vec<i64>>,
    },
    /// A choice with an invalid parameter.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// An error of a probability path or a field.
    #[error(transparent)]
    Path(#[from] fm_core::Error),
}

fn axes(sizes: &[i64]) -> String {
    shape(&sizes.iter().map(|size| *size as usize).collect::<Vec<_>>())
}
