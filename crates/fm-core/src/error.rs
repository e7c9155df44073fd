//! Errors of this crate.

use crate::choice::ChoiceError;
use crate::message::{name, number, shape};
use crate::path::End;
use crate::prediction::Prediction;

/// Why an objective, a path, a source or a batch cannot be used, with the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An invalid name or parameter.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A time outside [0, 1].
    #[error("time {} is outside [0, 1], where 0 is the source and 1 the data; give times in it", number(.t))]
    TimeOutside {
        /// The time.
        t: f64,
    },
    /// A path at an end where its velocity is infinite.
    #[error(
        "path {} is singular at {end}: its derivative is infinite there; keep away from it by clipping the times (time_clip of 1e-3, say)",
        name(.path)
    )]
    SingularPath {
        /// The path.
        path: String,
        /// The singular end.
        end: End,
    },
    /// A path whose formulas give a value that is not finite.
    #[error("path {} is not finite at t = {}; correct its functions or parameters", name(.path), number(.t))]
    PathNotFinite {
        /// The path.
        path: String,
        /// The time.
        t: f64,
    },
    /// A custom path whose derivative does not match its function.
    #[error(
        "path {}: the derivative of {function} at t = {} is given as {}, but differences say {}; correct one of the two functions",
        name(.path), number(.t), number(.given), number(.measured)
    )]
    CustomPath {
        /// The path.
        path: String,
        /// alpha or sigma.
        function: &'static str,
        /// The time.
        t: f64,
        /// The derivative given.
        given: f64,
        /// The central difference.
        measured: f64,
    },
    /// A conversion or target that divides by zero.
    #[error(
        "{} is singular at t = {}: it divides by a weight that is zero there; clip the times (time_clip of 1e-3, say), or predict something else",
        name(.what), number(.t)
    )]
    SingularPrediction {
        /// The conversion or target.
        what: String,
        /// The time.
        t: f64,
    },
    /// A conversion on a path with extra noise.
    #[error(
        "{from} does not determine {to} on a path with noise of its own; train the {to} itself (a score by velocity+score prediction), or choose a path without extra noise"
    )]
    ExtraNoise {
        /// The given prediction.
        from: Prediction,
        /// The requested prediction.
        to: Prediction,
    },
    /// A score beside the velocity on a path that is not a Brownian bridge.
    #[error(
        "cannot predict velocity and score on path {}: the score's loss is defined on a Brownian bridge; choose path schroedinger-bridge, or predict the velocity",
        name(.path)
    )]
    NotABridge {
        /// The path.
        path: String,
    },
    /// A path with extra noise, but no noise given.
    #[error("path {} adds noise of its own; give it standard normal draws shaped as the data", name(.path))]
    MissingNoise {
        /// The path.
        path: String,
    },
    /// Different numbers of rows.
    #[error("{what}: expected {expected}, got {got}; give every argument the same rows")]
    Rows {
        /// The quantity that was counted.
        what: &'static str,
        /// The required number.
        expected: usize,
        /// The given number.
        got: usize,
    },
    /// Different shapes.
    #[error("{what}: expected shape {}, got {}; give arguments of one shape", shape(.expected), shape(.got))]
    Shape {
        /// The argument.
        what: &'static str,
        /// The shape that the argument must have.
        expected: Vec<usize>,
        /// The shape of the argument.
        got: Vec<usize>,
    },
    /// Rows of another width.
    #[error("{what} have {got} values, not {expected}; give rows of {expected} values")]
    Width {
        /// The rows.
        what: &'static str,
        /// Required values per row.
        expected: usize,
        /// Given values per row.
        got: usize,
    },
    /// More values than memory can hold.
    #[error("cannot hold {rows} rows of {dim} values in memory; ask for fewer")]
    Memory {
        /// The number of rows.
        rows: usize,
        /// Values per row.
        dim: usize,
    },
    /// A value that is not finite.
    #[error("{what} must be finite, and row {row} is not; remove the row")]
    NotFinite {
        /// The values that were checked.
        what: &'static str,
        /// The first bad row.
        row: usize,
    },
    /// An invalid quantile function.
    #[error(
        "the quantile of {} at u = {} is {}; it must rise from at least 0 to at most 1: correct its formula",
        name(.distribution), number(.u), number(.value)
    )]
    Quantile {
        /// The distribution of times.
        distribution: String,
        /// The position in (0, 1).
        u: f64,
        /// The quantile at `u`.
        value: f64,
    },
    /// A weight that grows without bound.
    #[error(
        "weighting {} is {} at t = {}; clip the times (time_clip of 1e-3, say), or choose a bounded weighting",
        name(.weighting), number(.value), number(.t)
    )]
    UnboundedWeight {
        /// The weighting, or another factor of the weight.
        weighting: String,
        /// The time.
        t: f64,
        /// The weight at `t`.
        value: f64,
    },
    /// Options that exclude each other.
    #[error("{} cannot be combined with {}: {why}", name(.what), name(.with))]
    Combination {
        /// One option.
        what: String,
        /// The other.
        with: String,
        /// The reason and the remedy.
        why: &'static str,
    },
    /// A parameter outside its domain.
    #[error("{name} is {}; it must be {domain}", number(.value))]
    Value {
        /// The parameter.
        name: &'static str,
        /// Its valid values.
        domain: &'static str,
        /// The value given.
        value: f64,
    },
    /// Conditions that a network does not take.
    #[error("cannot give the network {given}: it takes {takes}; give these")]
    Condition {
        /// The conditions given.
        given: String,
        /// The conditions that it takes.
        takes: String,
    },
    /// A signal-to-noise ratio that the trained path never reaches.
    #[error(
        "path {} never has the signal-to-noise ratio that path {} has at t = {}; sample from t = {} to t = {}",
        name(.path), name(.sampled), number(.t), number(.first), number(.last)
    )]
    UnreachableRatio {
        /// The path used in training.
        path: String,
        /// The path to sample along.
        sampled: String,
        /// The time.
        t: f64,
        /// The first time that has a counterpart.
        first: f64,
        /// The last time that has a counterpart.
        last: f64,
    },
}
