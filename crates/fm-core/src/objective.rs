//! The training objective as one value: path, prediction, weighting, loss and times.
//!
//! L = E_{t, x0, x1} w(t) loss(||p(x_t, t) - target||^2), every part a choice of its own. [`Objective::validate`] refuses what has no
//! meaning (a singular end that times can reach, an unbounded weight, the score of a source that is no standard normal), and says what to
//! change. [`Objective::span`] is the time interval over which a network so trained can be sampled.
//!
//! ```
//! use fm_core::objective::Objective;
//! use fm_core::path::PathKind;
//! use fm_core::prediction::Prediction;
//! use fm_core::source::Source;
//! let mut objective: Objective = Objective { path: PathKind::LinearVp, ..Objective::default() };
//! // sigma' is infinite at the data.
//! assert!(objective.validate(&Source::default()).is_err());
//! objective.times.clip = 1e-3;
//! assert_eq!(objective.validate(&Source::default()), Ok(()));
//! assert_eq!(objective.span(), Ok((0.0, 0.999)));
//! ```

use crate::Error;
use crate::choice::Choice;
use crate::loss::{Loss, Reduction};
use crate::path::{PathKind, ProbPath};
use crate::prediction::Prediction;
use crate::rng::Stream;
use crate::schedule::change;
use crate::source::Source;
use crate::time::{LossAware, SampledTimes, Times};
use crate::weighting::Weighting;
use serde::{Deserialize, Serialize};

/// What a network is trained to do.
///
/// Its serde form is flat: `path`, `prediction`, `weighting`, `loss`, `reduction`, `loss_aware` and those of [`Times`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Objective<P = PathKind> {
    /// Where x_t is.
    pub path: P,
    /// What the network says about it.
    pub prediction: Prediction,
    /// How much each time counts.
    pub weighting: Weighting,
    /// The loss of a row.
    pub loss: Loss,
    /// How dimensions add up.
    pub reduction: Reduction,
    /// Bins of the loss-aware density over times; 0 for none.
    #[serde(rename = "loss_aware")]
    pub loss_aware_bins: usize,
    /// Which times.
    #[serde(flatten)]
    pub times: Times,
}

impl<P: ProbPath> Objective<P> {
    /// Velocity prediction on a path, a user's own perhaps, with uniform times and the mean squared error.
    ///
    /// ```
    /// use fm_core::{objective::Objective, path::Custom, source::Source};
    /// let square = Custom::new("square", |t| t * t, |t| 2.0 * t, |t| 1.0 - t * t, |t| -2.0 * t)?;
    /// assert_eq!(Objective::on(square).validate(&Source::default()), Ok(()));
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn on(path: P) -> Self {
        let Objective { prediction, weighting, loss, reduction, loss_aware_bins, times, .. } =
            Objective::<PathKind>::default();
        Self { path, prediction, weighting, loss, reduction, loss_aware_bins, times }
    }

    /// Checks every part, and all parts together.
    ///
    /// # Errors
    /// The first problem, with its remedy.
    pub fn validate(&self, source: &Source) -> Result<(), Error> {
        self.path.check()?;
        self.weighting.validate()?;
        self.loss.validate()?;
        self.times.validate()?;
        source.check()?;
        if self.loss_aware_bins > LossAware::MAX_BINS {
            let value = self.loss_aware_bins as f64;
            return Err(Error::Value { name: "the number of loss-aware bins", domain: "at most 1048576", value });
        }
        if self.loss_aware_bins > 0 && self.times.distribution.is_discrete() {
            let (what, with) = ("loss-aware times".into(), self.times.distribution.to_string());
            return Err(Error::Combination { what, with, why: "a discrete law has no density to bend; use 0 bins" });
        }
        if self.prediction == Prediction::Score && !source.is_standard_normal() {
            let (what, with) = ("score prediction".into(), "this source".into());
            return Err(Error::Combination { what, with, why: "the score is known for the gaussian source only" });
        }
        let (first, last) = self.times.support();
        [first, last].into_iter().try_for_each(|t| self.weight(t).map(|_| ()))
    }

    /// w(t) with the importance weight of t.
    ///
    /// # Errors
    /// A singular path or target, and a weight that is not finite.
    pub fn weight(&self, t: f64) -> Result<f64, Error> {
        let c = self.path.at(t)?;
        self.prediction.target(&c)?;
        let parts = [
            (self.weighting.to_string(), self.weighting.weight(self.prediction, &c)?),
            (format!("1 / p(t) of {}", self.times.distribution), self.times.weight(t)),
        ];
        for (weighting, value) in &parts {
            if !value.is_finite() {
                return Err(Error::UnboundedWeight { weighting: weighting.clone(), t, value: *value });
            }
        }
        Ok(parts[0].1 * parts[1].1)
    }

    /// The times and complete weights of one step's rows: weighting, importance and loss-awareness together.
    ///
    /// # Errors
    /// See [`validate`](Self::validate), a weight that is not finite, and more rows than memory can hold.
    pub fn draw(&self, seed: u64, step: u64, rows: usize, adaptive: Option<&LossAware>) -> Result<SampledTimes, Error> {
        self.path.check()?;
        self.weighting.validate()?;
        let mut drawn = self.times.draw(seed, step, rows, adaptive)?;
        for (weight, t) in drawn.weights.iter_mut().zip(&drawn.times) {
            *weight *= self.weighting.weight(self.prediction, &self.path.at(*t)?)?;
            if !weight.is_finite() {
                return Err(Error::UnboundedWeight { weighting: self.weighting.to_string(), t: *t, value: *weight });
            }
        }
        Ok(drawn)
    }

    /// The times over which a network so trained gives a velocity: [0, 1], but for the clip at an end that is singular.
    ///
    /// # Errors
    /// Illegal times, a singular end without a clip, and a path with noise of its own for anything but velocity prediction.
    pub fn span(&self) -> Result<(f64, f64), Error> {
        self.legal_span(|t| self.has_velocity(t))
    }

    /// The same over the time of another path, along which the network is to be [sampled](crate::schedule).
    ///
    /// # Errors
    /// As [`span`](Self::span), and those of [`change`].
    pub fn span_along(&self, path: &impl ProbPath) -> Result<(f64, f64), Error> {
        self.legal_span(|r| self.has_velocity(change(&self.path, path, r)?.t))
    }

    fn has_velocity(&self, t: f64) -> Result<(), Error> {
        self.prediction.to(Prediction::Velocity, &self.path.at(t)?).map(|_| ())
    }

    /// [0, 1], each end moved to the clip where it is not legal.
    fn legal_span(&self, legal: impl Fn(f64) -> Result<(), Error>) -> Result<(f64, f64), Error> {
        let end = |t: f64, clipped: f64| match legal(t) {
            Ok(()) => Ok(t),
            Err(error) if t == clipped => Err(error),
            Err(_) => legal(clipped).map(|()| clipped),
        };
        self.times.validate()?;
        let (low, high) = self.times.range();
        Ok((end(0.0, low)?, end(1.0, high)?))
    }

    /// The path's own noise for rows `first..first + rows` of a step, where the path has any; row r is drawn from [`Stream::PathNoise`].
    ///
    /// # Panics
    /// When memory cannot hold `rows` x `dim` values.
    pub fn path_noise(&self, seed: u64, step: u64, first: u64, rows: usize, dim: usize) -> Option<Vec<f32>> {
        let draw = || crate::rng::normal_rows(seed, step, Stream::PathNoise, first, rows, dim);
        self.path.has_extra_noise().then(draw)
    }
}
