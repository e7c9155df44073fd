//! Sampling with a class and with rules of guidance, by one chain of calls.

use super::network::source_rows;
use super::{Sampler, Samples};
use crate::SolveError;
use crate::guidance::{Doubled, Guidance, GuidanceOptions, Guided, Guider, ZeroStar};
use fm_core::tensor::{TrainedModel, VelocityModel};
use fm_core::{Error, FlowMatching};
use tch::Tensor;

/// A sampler with a class and guidance.
///
/// ```
/// use fm_core::{FlowMatching, tensor::VelocityModel};
/// use fm_solvers::{Grid, Sampler, guidance::GuidanceOptions, sampler::SolverName};
/// use tch::{Kind, Tensor};
/// /// v = the class of each row; class 0 stands for none.
/// #[derive(Debug)]
/// struct Net;
/// impl VelocityModel for Net {
///     fn forward(&self, x: &Tensor, _t: &Tensor, condition: Option<&Tensor>) -> Tensor {
///         condition.map_or_else(|| x.zeros_like(), |class| class.to_kind(Kind::Float).view([-1, 1]).expand_as(x))
///     }
///     fn row_shape(&self) -> Option<Vec<i64>> {
///         Some(vec![2])
///     }
///     fn null_class(&self) -> Option<i64> {
///         Some(0)
///     }
/// }
/// let (flow, heun) = (FlowMatching::default(), Sampler::new(SolverName::Heun, 18));
/// let plain = heun.clone().class(7).sample(&Net, &flow, 64, 0)?;
/// let guided = heun.guidance(GuidanceOptions::scaled(3.0)).class(7).sample(&Net, &flow, 64, 0)?;
/// // 3 (7 - 0) instead of 7.
/// assert!((guided.x - plain.x - 14.0).abs().max().double_value(&[]) < 1e-5);
/// # Ok::<(), fm_solvers::SolveError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct ConditionalSampler {
    /// The method and its steps.
    pub sampler: Sampler,
    /// The rules of guidance.
    pub guidance: GuidanceOptions,
    /// The class of all samples; `None` for samples without condition.
    pub class: Option<i64>,
}

impl Sampler {
    /// This sampler with guidance; [`class`](ConditionalSampler::class) gives the condition.
    pub fn guidance(self, guidance: impl Into<GuidanceOptions>) -> ConditionalSampler {
        ConditionalSampler { sampler: self, guidance: guidance.into(), class: None }
    }

    /// This sampler for samples of one class.
    pub fn class(self, class: i64) -> ConditionalSampler {
        self.guidance(GuidanceOptions::default()).class(class)
    }

    /// [`sample`](Self::sample) of a trained model, which carries its flow.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_model(&self, model: &TrainedModel, rows: usize, seed: u64) -> Result<Samples<Tensor>, SolveError> {
        self.sample(model.network.as_ref(), &model.flow, rows, seed)
    }
}

impl ConditionalSampler {
    /// The rules of guidance.
    pub fn guidance(self, guidance: impl Into<GuidanceOptions>) -> Self {
        Self { guidance: guidance.into(), ..self }
    }

    /// The class of all samples.
    pub fn class(self, class: i64) -> Self {
        Self { class: Some(class), ..self }
    }

    /// Samples of a network trained on `flow`. The default of [`ZeroStar`] stands for the first 4 %
    /// of these steps, rounded up ([`Sampler::zero_star`]); other values are times.
    ///
    /// # Errors
    /// Guidance without a class; rules that exclude each other or do not suit the sampler
    /// ([`Sampler::check_guidance`]); as [`Sampler::sample_classes`].
    pub fn sample(
        &self,
        model: &dyn VelocityModel,
        flow: &FlowMatching,
        rows: usize,
        seed: u64,
    ) -> Result<Samples<Tensor>, SolveError> {
        let Self { sampler, guidance, class } = self;
        let prediction = flow.objective.prediction;
        guidance.check(prediction)?;
        sampler.check_guidance(guidance)?;
        let Some(class) = class else {
            if *guidance == GuidanceOptions::default() {
                return sampler.sample(model, flow, rows, seed);
            }
            let (what, with) = ("guidance".into(), "samples without a class".into());
            return Err(Error::Combination { what, with, why: "it amplifies the effect of the class; give one" }.into());
        };
        // First, because it checks the memory that `rows` classes need too.
        let x0 = source_rows(model, flow, rows, seed)?;
        let scale = Guidance { scale: guidance.scale, interval: guidance.interval };
        let guided = Guided::classes(model, &vec![*class; rows], scale)?;
        if GuidanceOptions::from(scale) == *guidance {
            return sampler.sample_from(&guided, flow, x0, seed);
        }
        let mut guidance = *guidance;
        if guidance.zero_star == Some(ZeroStar::default()) {
            let zero_star = sampler.zero_star(ZeroStar::default().zero_until, flow.objective.span()?)?;
            guidance.zero_star = Some(zero_star);
        }
        sampler.sample_from(&Guider::new(Doubled(guided), guidance, prediction)?, flow, x0, seed)
    }

    /// [`sample`](Self::sample) of a trained model, which carries its flow.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_model(&self, model: &TrainedModel, rows: usize, seed: u64) -> Result<Samples<Tensor>, SolveError> {
        self.sample(model.network.as_ref(), &model.flow, rows, seed)
    }
}
