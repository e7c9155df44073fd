//! A complete flow in one value: objective, source, coupling and seed.
//!
//! Batches, losses, samplers and checkpoints read their settings from it. Each part is either
//! built in or your own:
//!
//! | part | built in | your own |
//! |---|---|---|
//! | path | [`PathKind`] | [`ProbPath`], [`Custom`](crate::path::Custom) |
//! | curve from x0 to x1 | that of the path | [`ConditionalFlow`] |
//! | times | [`TimeKind`](crate::time::TimeKind) | [`TimeDistribution`] |
//! | weighting | [`Weighting`](crate::weighting::Weighting) | a function w(t), [`TimeWeight`] |
//! | loss of a row | [`Loss`](crate::loss::Loss) | [`RowLoss`] |
//! | source | [`SourceKind`](crate::source::SourceKind), rows of a data set | [`SourceDistribution`](crate::source::SourceDistribution) |
//! | coupling | `fm_ot::OtCoupling` | [`Coupling`] |
//!
//! ```
//! use fm_core::{FlowMatching, path::PathKind, time::TimeKind};
//! use ndarray::array;
//! let flow = FlowMatching::new(PathKind::Trigonometric).times(TimeKind::Arcsine).seed(7);
//! flow.validate()?;
//! // x_t = sin(pi t / 2) x1 + cos(pi t / 2) x0, and its velocity.
//! let sample = flow.sample(&array![[0.0]], &array![[1.0]], &[0.5])?;
//! assert!((sample.x_t[(0, 0)] - 0.5f64.sqrt()).abs() < 1e-15);
//! assert!((sample.target[(0, 0)] - std::f64::consts::FRAC_PI_2 * 0.5f64.sqrt()).abs() < 1e-15);
//! # Ok::<(), fm_core::Error>(())
//! ```

use crate::Error;
use crate::conditional::ConditionalFlow;
use crate::coupling::Coupling;
use crate::interpolate::{PathSample, coefficients, interpolate};
use crate::loss::{Reduction, RowLoss};
use crate::objective::{DynObjective, Objective};
use crate::path::{PathKind, ProbPath};
use crate::prediction::Prediction;
use crate::source::Source;
use crate::state::RowCombination;
use crate::time::{Draw, TimeDistribution};
use crate::weighting::TimeWeight;
use std::sync::Arc;

/// A flow from a source to data. Clones share their parts.
#[derive(Clone)]
#[doc(alias = "ConditionalFlowMatcher")]
#[doc(alias = "CFM")]
#[doc(alias = "StochasticInterpolant")]
pub struct FlowMatching {
    /// Path, prediction, times, weighting and loss.
    pub objective: DynObjective,
    /// The curve from x0 to x1, if it is not the [path](crate::path) of the objective.
    pub conditional: Option<Arc<dyn ConditionalFlow>>,
    /// The distribution of x0.
    pub source: Source,
    /// The pairing of x0 and x1; `None` for independent draws.
    pub coupling: Option<Arc<dyn Coupling>>,
    /// Number of consecutive steps whose rows are coupled together, at least 1. A plan of more rows
    /// is closer to the coupling of the distributions.
    pub coupled_steps: usize,
    /// The random seed.
    pub seed: u64,
}

impl std::fmt::Debug for FlowMatching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { objective: o, conditional, source, coupling, coupled_steps, seed } = self;
        f.debug_struct("FlowMatching")
            .field("path", &conditional.as_ref().map_or_else(|| o.path.name(), |flow| flow.name()))
            .field("prediction", &o.prediction)
            .field("times", &o.times.distribution.name())
            .field("weighting", &o.weighting.name())
            .field("loss", &o.loss.name())
            .field("source", source)
            .field("coupled", &coupling.is_some())
            .field("coupled_steps", coupled_steps)
            .field("seed", seed)
            .finish()
    }
}

impl Default for FlowMatching {
    /// The linear path from a standard normal, uniform times, velocity prediction, the mean squared
    /// error, independent pairs, seed 0.
    fn default() -> Self {
        Self::new(PathKind::default())
    }
}

impl<P, T, W, L> From<Objective<P, T, W, L>> for FlowMatching
where
    P: ProbPath + 'static,
    T: TimeDistribution + 'static,
    W: TimeWeight + 'static,
    L: RowLoss + 'static,
{
    fn from(objective: Objective<P, T, W, L>) -> Self {
        let objective = objective.into_dyn();
        Self { objective, conditional: None, source: Source::default(), coupling: None, coupled_steps: 1, seed: 0 }
    }
}

impl FlowMatching {
    /// The default flow on another path.
    pub fn new(path: impl ProbPath + 'static) -> Self {
        Objective::on(path).into()
    }

    /// Trains on the velocities of a conditional flow, which takes the place of the path.
    /// Weightings that depend on the path keep the path of the objective, by default the linear
    /// one. Batches are computed on the host.
    pub fn along(mut self, flow: impl ConditionalFlow + 'static) -> Self {
        self.conditional = Some(Arc::new(flow));
        self
    }

    /// What the network predicts.
    pub fn prediction(mut self, prediction: Prediction) -> Self {
        self.objective.prediction = prediction;
        self
    }

    /// The distribution of training times.
    pub fn times(mut self, distribution: impl TimeDistribution + 'static) -> Self {
        self.objective.times.distribution = Arc::new(distribution);
        self
    }

    /// How the times of a batch's rows are drawn together.
    pub fn time_draw(mut self, draw: Draw) -> Self {
        self.objective.times.draw = draw;
        self
    }

    /// Restricts times to [eps, 1 - eps], which singular paths and weightings require.
    pub fn time_clip(mut self, eps: f64) -> Self {
        self.objective.times.clip = eps;
        self
    }

    /// The weight of each time in the loss: a [`Weighting`](crate::weighting::Weighting), a
    /// function of t, or a [`TimeWeight`].
    pub fn weighting(mut self, weighting: impl TimeWeight + 'static) -> Self {
        self.objective.weighting = Arc::new(weighting);
        self
    }

    /// The loss of a row as a function of its squared error.
    pub fn row_loss(mut self, loss: impl RowLoss + 'static) -> Self {
        self.objective.loss = Arc::new(loss);
        self
    }

    /// How the squared errors of a row's dimensions are combined.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.objective.reduction = reduction;
        self
    }

    /// The distribution of x0.
    pub fn source(mut self, source: impl Into<Source>) -> Self {
        self.source = source.into();
        self
    }

    /// The pairing of x0 and x1.
    pub fn coupling(mut self, coupling: impl Coupling + 'static) -> Self {
        self.coupling = Some(Arc::new(coupling));
        self
    }

    /// Couples the rows of this many consecutive steps together.
    pub fn coupled_steps(mut self, steps: usize) -> Self {
        self.coupled_steps = steps;
        self
    }

    /// The random seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks every part, and all parts together.
    ///
    /// # Errors
    /// The first problem, with its remedy.
    pub fn validate(&self) -> Result<(), Error> {
        if self.coupled_steps == 0 {
            return Err(Error::Value { name: "the number of coupled steps", domain: "at least 1", value: 0.0 });
        }
        if let Some(flow) = &self.conditional
            && self.objective.prediction != Prediction::Velocity
        {
            let with = format!("{} prediction", self.objective.prediction);
            return Err(Error::Combination {
                what: flow.name(),
                with,
                why: "a conditional flow has velocities only; predict the velocity",
            });
        }
        self.objective.validate(&self.source)
    }

    /// x_t and the training target for rows x0 and x1 of the same shape, with one time per row.
    ///
    /// # Errors
    /// A time outside [0, 1] or at a singular end; batches of different shapes or row counts; a
    /// path with extra noise, for which [`sample_with_noise`](Self::sample_with_noise) is needed.
    #[doc(alias = "sample_location_and_conditional_flow")]
    #[doc(alias = "PathSample")]
    pub fn sample<S: RowCombination>(&self, x0: &S, x1: &S, times: &[f64]) -> Result<PathSample<S>, Error> {
        self.interpolated(x0, x1, None, times)
    }

    /// [`sample`](Self::sample) with the extra noise of the path, standard normal and shaped as the
    /// data.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_with_noise<S: RowCombination>(
        &self,
        x0: &S,
        x1: &S,
        noise: &S,
        times: &[f64],
    ) -> Result<PathSample<S>, Error> {
        self.interpolated(x0, x1, Some(noise), times)
    }

    fn interpolated<S: RowCombination>(
        &self,
        x0: &S,
        x1: &S,
        noise: Option<&S>,
        times: &[f64],
    ) -> Result<PathSample<S>, Error> {
        if let Some(flow) = &self.conditional {
            return Err(Error::Combination {
                what: flow.name(),
                with: "this call".into(),
                why: "a conditional flow is computed row by row; call conditional::positions",
            });
        }
        let c = coefficients(&self.objective.path, times)?;
        interpolate(&c, self.objective.prediction, x0, x1, noise)
    }
}
