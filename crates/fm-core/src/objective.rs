//! The training objective as one value: path, prediction, weighting, loss and times.
//!
//! L = E_{t, x0, x1} w(t) loss(||p(x_t, t) - target||^2), where each part is chosen independently.
//! [`Objective::validate`] rejects invalid combinations (a singular end that training times can
//! reach, an unbounded weight, score prediction from a source that is not standard normal), and the
//! error names the remedy. [`Objective::span`] is the time interval over which a trained network
//! can be sampled.
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
use crate::bridge;
use crate::choice::Choice;
use crate::loss::{Loss, Reduction, RowLoss};
use crate::path::{PathKind, ProbPath};
use crate::prediction::Prediction;
use crate::rng::{Key, Stream};
use crate::schedule::change;
use crate::source::Source;
use crate::time::{LossAware, SampledTimes, TimeDistribution, TimeKind, Times};
use crate::weighting::{TimeWeight, Weighting};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The distance in time from the ends at which another path is singular, for a network that was
/// trained without a clip.
pub const SCHEDULE_CLIP: f64 = 1e-3;

/// The training objective. Each part is built in by default, or your own;
/// [`FlowMatching`](crate::FlowMatching) accepts both.
///
/// With built-in parts the serde form is flat: `path`, `prediction`, `weighting`, `loss`,
/// `reduction`, `loss_aware`, and the fields of [`Times`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[doc(alias = "MixturePathLoss")]
pub struct Objective<P = PathKind, T = TimeKind, W = Weighting, L = Loss> {
    /// The path of x_t.
    pub path: P,
    /// What the network predicts.
    pub prediction: Prediction,
    /// The weight of each time.
    pub weighting: W,
    /// The loss of a row.
    pub loss: L,
    /// How the squared errors of a row's dimensions are combined.
    pub reduction: Reduction,
    /// Bins of the loss-aware density over times; 0 for none.
    #[serde(rename = "loss_aware")]
    pub loss_aware_bins: usize,
    /// The times.
    #[serde(flatten)]
    pub times: Times<T>,
}

/// An objective whose parts are trait objects.
pub type DynObjective = Objective<Arc<dyn ProbPath>, Arc<dyn TimeDistribution>, Arc<dyn TimeWeight>, Arc<dyn RowLoss>>;

impl Default for Objective {
    /// Velocity prediction on the linear path, uniform times, the mean squared error.
    fn default() -> Self {
        Self::on(PathKind::default())
    }
}

impl<P> Objective<P> {
    /// Velocity prediction on a built-in or custom path, with uniform times and the mean squared
    /// error.
    ///
    /// ```
    /// use fm_core::{objective::Objective, path::Custom, source::Source};
    /// let square = Custom::new("square", |t| t * t, |t| 2.0 * t, |t| 1.0 - t * t, |t| -2.0 * t)?;
    /// assert_eq!(Objective::on(square).validate(&Source::default()), Ok(()));
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn on(path: P) -> Self {
        Self {
            path,
            prediction: Prediction::default(),
            weighting: Weighting::default(),
            loss: Loss::default(),
            reduction: Reduction::default(),
            loss_aware_bins: 0,
            times: Times::default(),
        }
    }
}

impl<P: ProbPath, T: TimeDistribution, W: TimeWeight, L: RowLoss> Objective<P, T, W, L> {
    /// The same objective with its parts as trait objects.
    pub fn into_dyn(self) -> DynObjective
    where
        P: 'static,
        T: 'static,
        W: 'static,
        L: 'static,
    {
        let Self { path, prediction, weighting, loss, reduction, loss_aware_bins, times } = self;
        let Times { distribution, draw, clip, importance } = times;
        Objective {
            path: Arc::new(path),
            prediction,
            weighting: Arc::new(weighting),
            loss: Arc::new(loss),
            reduction,
            loss_aware_bins,
            times: Times { distribution: Arc::new(distribution), draw, clip, importance },
        }
    }

    /// Checks every part, and all parts together.
    ///
    /// # Errors
    /// The first problem, with its remedy.
    pub fn validate(&self, source: &Source) -> Result<(), Error> {
        self.path.check()?;
        self.weighting.check()?;
        self.loss.check()?;
        self.times.validate()?;
        source.check()?;
        if self.loss_aware_bins > LossAware::MAX_BINS {
            let value = self.loss_aware_bins as f64;
            return Err(Error::Value { name: "the number of loss-aware bins", domain: "at most 1048576", value });
        }
        if self.loss_aware_bins > 0 && self.times.distribution.is_discrete() {
            let (what, with) = ("loss-aware times".into(), self.times.distribution.name());
            return Err(Error::Combination {
                what,
                with,
                why: "a discrete distribution has no density to bend; use 0 bins",
            });
        }
        if self.prediction == Prediction::Score && !source.is_standard_normal() {
            let (what, with) = ("score prediction".into(), "this source".into());
            return Err(Error::Combination {
                what,
                with,
                why: "the score is known for the gaussian source only; choose that source, or another prediction",
            });
        }
        if self.prediction.score_weight().is_some() {
            self.prediction.validate()?;
            bridge::diffusion(&self.path)?;
        }
        let (first, last) = self.times.support();
        [first, last].into_iter().try_for_each(|t| self.weight(t).map(|_| ()))
    }

    /// w(t) times the importance weight of t.
    ///
    /// # Errors
    /// A singular path or target, or a weight that is not finite.
    pub fn weight(&self, t: f64) -> Result<f64, Error> {
        let c = self.path.at(t)?;
        self.prediction.target(&c)?;
        let parts = [
            (self.weighting.name(), self.weighting.weight(self.prediction, &c)?),
            (format!("1 / p(t) of {}", self.times.distribution.name()), self.times.weight(t)),
        ];
        for (weighting, value) in &parts {
            if !value.is_finite() {
                return Err(Error::UnboundedWeight { weighting: weighting.clone(), t, value: *value });
            }
        }
        Ok(parts[0].1 * parts[1].1)
    }

    /// The times and total weights of one step's rows, drawn as [`Times::draw`]: the product of
    /// weighting, importance and loss-aware weights.
    ///
    /// # Errors
    /// As [`validate`](Self::validate); also a weight that is not finite, and more rows than memory
    /// can hold.
    pub fn draw(&self, key: Key, rows: usize, adaptive: Option<&LossAware>) -> Result<SampledTimes, Error> {
        self.path.check()?;
        self.weighting.check()?;
        let mut drawn = self.times.draw(key, rows, adaptive)?;
        for (weight, t) in drawn.weights.iter_mut().zip(&drawn.times) {
            *weight *= self.weighting.weight(self.prediction, &self.path.at(*t)?)?;
            if !weight.is_finite() {
                return Err(Error::UnboundedWeight { weighting: self.weighting.name(), t: *t, value: *weight });
            }
        }
        Ok(drawn)
    }

    /// The times at which a trained network gives a velocity: [0, 1], shortened by the clip at
    /// singular ends.
    ///
    /// # Errors
    /// Invalid times, a singular end without a clip, and a path with extra noise unless the
    /// prediction is the velocity.
    pub fn span(&self) -> Result<(f64, f64), Error> {
        self.legal_span(self.times.clip, |t| self.has_velocity(t))
    }

    /// [`span`](Self::span) in the time of another path along which the network will be
    /// [sampled](crate::schedule). A network that was trained without a clip is sampled up to
    /// [`SCHEDULE_CLIP`] from the ends at which that path is singular.
    ///
    /// # Errors
    /// As [`span`](Self::span) and [`change`].
    pub fn span_along(&self, path: &impl ProbPath) -> Result<(f64, f64), Error> {
        let clip = if self.times.clip > 0.0 { self.times.clip } else { SCHEDULE_CLIP };
        self.legal_span(clip, |r| self.has_velocity(change(&self.path, path, r)?.t))
    }

    fn has_velocity(&self, t: f64) -> Result<(), Error> {
        self.prediction.to(Prediction::Velocity, &self.path.at(t)?).map(|_| ())
    }

    /// [0, 1], with each end moved by the clip where `legal` fails there.
    fn legal_span(&self, clip: f64, legal: impl Fn(f64) -> Result<(), Error>) -> Result<(f64, f64), Error> {
        let end = |t: f64, clipped: f64| match legal(t) {
            Ok(()) => Ok(t),
            Err(error) if t == clipped => Err(error),
            Err(_) => legal(clipped).map(|()| clipped),
        };
        self.times.validate()?;
        Ok((end(0.0, clip)?, end(1.0, 1.0 - clip)?))
    }

    /// The extra noise of the path for `rows` rows of a step from `key.first_row` on, drawn from
    /// [`Stream::PathNoise`] whatever the stream of the key; `None` for a path without it.
    ///
    /// # Panics
    /// When memory cannot hold `rows` x `dim` values.
    pub fn path_noise(&self, key: Key, rows: usize, dim: usize) -> Option<Vec<f32>> {
        let key = key.with_stream(Stream::PathNoise);
        self.path.has_extra_noise().then(|| crate::rng::normal_rows(key, rows, dim))
    }
}
