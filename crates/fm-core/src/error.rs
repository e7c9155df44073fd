//! What can be asked of this crate that cannot be.

use crate::choice::ChoiceError;
use crate::path::End;
use crate::prediction::Prediction;

/// A request that has no answer, with the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A name or a parameter.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A time that no path has.
    #[error("time {t} is outside [0, 1], where 0 is the source and 1 the data")]
    TimeOutside {
        /// The time.
        t: f64,
    },
    /// A path at an end where it moves infinitely fast.
    #[error(
        "path {path} is singular at {end}: its derivative is infinite there; keep away from it by clipping the times (time_clip of 1e-3, say)"
    )]
    SingularPath {
        /// The path.
        path: String,
        /// Where.
        end: End,
    },
    /// A path whose formulas fail.
    #[error("path {path} is not finite at t = {t}; correct its functions")]
    PathNotFinite {
        /// The path.
        path: String,
        /// Where.
        t: f64,
    },
    /// A custom path whose derivative is not one.
    #[error(
        "path {path}: the derivative of {function} at t = {t} is given as {given}, but differences say {measured}; correct one of the two functions"
    )]
    CustomPath {
        /// The path.
        path: String,
        /// alpha or sigma.
        function: &'static str,
        /// Where.
        t: f64,
        /// The derivative given.
        given: f64,
        /// The central difference.
        measured: f64,
    },
    /// A conversion or target that divides by zero.
    #[error(
        "{what} is singular at t = {t}: it divides by a weight that is zero there; clip the times (time_clip of 1e-3, say), or predict something else"
    )]
    SingularPrediction {
        /// What was asked for.
        what: String,
        /// Where.
        t: f64,
    },
    /// A conversion on a path with extra noise.
    #[error(
        "{from} does not determine {to} on a path with noise of its own; train the {to} itself, or choose a path without extra noise"
    )]
    ExtraNoise {
        /// What is known.
        from: Prediction,
        /// What was asked for.
        to: Prediction,
    },
    /// A path with extra noise, but no noise.
    #[error("path {path} adds noise of its own; give it standard normal draws shaped as the data")]
    MissingNoise {
        /// The path.
        path: String,
    },
    /// Rows that do not fit together.
    #[error("{what}: expected {expected}, got {got}; give every argument the same rows")]
    Rows {
        /// What was counted.
        what: &'static str,
        /// How many were needed.
        expected: usize,
        /// How many there were.
        got: usize,
    },
    /// A weight that grows without bound.
    #[error(
        "weighting {weighting} is {value} at t = {t}; clip the times (time_clip of 1e-3, say), or choose a bounded weighting"
    )]
    UnboundedWeight {
        /// The weighting, or what else makes the weight.
        weighting: String,
        /// Where.
        t: f64,
        /// The weight there.
        value: f64,
    },
    /// Options that exclude each other.
    #[error("{what} cannot be combined with {with}: {why}")]
    Combination {
        /// One option.
        what: String,
        /// The other.
        with: String,
        /// The reason and the remedy.
        why: &'static str,
    },
    /// A parameter outside a choice.
    #[error("{name} must be {domain}, got {value}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// Its legal values.
        domain: &'static str,
        /// The value given.
        value: f64,
    },
    /// A signal-to-noise ratio that the other path never has.
    #[error(
        "path {path} never has the signal-to-noise ratio that path {sampled} has at t = {t}; sample from t = {first} to t = {last}"
    )]
    UnreachableRatio {
        /// The path that was trained on.
        path: String,
        /// The path to sample along.
        sampled: String,
        /// Where.
        t: f64,
        /// The first time with a counterpart.
        first: f64,
        /// The last one.
        last: f64,
    },
}
