//! Advice at the start of a run: settings that seldom train well, and the flags that change them.
//!
//! ```
//! use fm_run::advice::{Setting, advice};
//! use fm_run::optimizer_args::LearningConfig;
//! let learning = LearningConfig { ema_decay: vec![0.0], ..LearningConfig::default() };
//! let setting = Setting { batch_size: 128, learning: &learning, deviation: Some(1.0), rescale: None, derived: None };
//! assert_eq!(advice(&setting).len(), 1); // no EMA
//! assert_eq!(advice(&Setting { batch_size: 8, ..setting }).len(), 2);
//! ```

use crate::objective_args::FlowConfig;
use crate::optimizer_args::LearningConfig;
use fm_cli::every::Every;
use fm_cli::given::Effect;
use fm_core::time::TimeKind;
use fm_ot::CouplingKind;

/// What advice depends on.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Rows per step.
    pub batch_size: usize,
    /// The optimization.
    pub learning: &'a LearningConfig,
    /// The standard deviation of all values of the data, in the units of the network.
    pub deviation: Option<f64>,
    /// The flag that scales the data.
    pub rescale: Option<&'a str>,
    /// The factor of t in the time embedding, if the task takes the derivative of the network in t,
    /// and what to do if it is large.
    pub derived: Option<(f64, &'a str)>,
}

/// Rows per step below which gradients are noisy.
const FEW_ROWS: usize = 32;

/// Factors of t in a time embedding above which derivatives in t are too large to learn from.
const STEEP: f64 = 100.0;

/// Deviations of data that are like those of the noise, 1.
const LIKE_NOISE: std::ops::RangeInclusive<f64> = 0.2..=5.0;

/// The options of the optimization and the coupling that both programs have.
pub fn common_effects(learning: &LearningConfig, flow: &FlowConfig, processes: usize) -> Vec<Effect> {
    let decides = learning.early_stopping > 0 || learning.keep_best > 0;
    let coupled = flow.coupling != CouplingKind::Independent;
    let batches = coupled && flow.coupling.semidiscrete().is_none();
    let optimizer = &learning.optimizer;
    let decays = optimizer.weight_decay != 0.0 || !optimizer.groups.is_empty();
    let quality = learning.quality_every != Every::Steps(0);
    vec![
        ("monitor", decides, "--early-stopping or --keep-best"),
        ("min_delta", learning.early_stopping > 0, "--early-stopping"),
        ("quality_samples", quality, "--quality-every"),
        ("cost", coupled, "--coupling"),
        ("pairing", batches, "a --coupling of batches"),
        ("ot_batch", batches, "a --coupling of batches"),
        ("decay_on", decays, "--weight-decay"),
        ("ema_warmup", learning.ema_decay.iter().any(|decay| *decay > 0.0), "--ema-decay"),
        ("importance", flow.objective.times.distribution != TimeKind::Uniform, "a --time that is not uniform"),
        ("reduce_in", processes > 1, "several processes"),
    ]
}

/// A line for each setting that seldom trains well.
pub fn advice(setting: &Setting<'_>) -> Vec<String> {
    let Setting { batch_size, learning, deviation, rescale, derived } = *setting;
    let mut lines = Vec::new();
    if batch_size < FEW_ROWS {
        lines.push(format!(
            "gradients of {batch_size} rows are noisy: {FEW_ROWS} or more per step train better (--batch-size)"
        ));
    }
    if learning.ema_decay.first() == Some(&0.0) {
        lines.push(
            "the EMA is off: its samples are usually better than those of the last weights (--ema-decay 0.999)".into(),
        );
    }
    if learning.clip.is_infinite() {
        lines.push("gradients are not clipped: a single outlier can undo the training (--clip 1)".into());
    }
    if let Some(deviation) = deviation.filter(|deviation| !LIKE_NOISE.contains(deviation)) {
        let remedy = rescale.map_or(String::new(), |flag| format!(" ({flag})"));
        lines.push(format!(
            "the data have a standard deviation of {deviation:.3}, the noise of 1: bring both to one scale{remedy}"
        ));
    }
    if let Some((scale, remedy)) = derived.filter(|(scale, _)| *scale > STEEP) {
        lines.push(format!(
            "the target has the derivative of the network in t, which an embedding of {scale} t makes large: {remedy}"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steep_embeddings_are_for_tasks_without_derivatives() {
        let learning = LearningConfig::default();
        let setting = Setting { batch_size: 128, learning: &learning, deviation: None, rescale: None, derived: None };
        let of = |scale: f64| advice(&Setting { derived: Some((scale, "choose another")), ..setting });
        assert!(advice(&setting).is_empty() && of(10.0).is_empty());
        assert!(of(1000.0)[0].ends_with("an embedding of 1000 t makes large: choose another"), "{:?}", of(1000.0));
    }

    #[test]
    fn options_have_an_effect_with_what_they_belong_to() {
        let (learning, flow) = (LearningConfig::default(), FlowConfig::default());
        let idle = |learning: &LearningConfig| {
            let effects = common_effects(learning, &flow, 1);
            effects.into_iter().filter(|(_, effective, _)| !effective).map(|(name, ..)| name).collect::<Vec<_>>()
        };
        assert!(["min_delta", "monitor", "cost", "reduce_in"].iter().all(|name| idle(&learning).contains(name)));
        let learning = LearningConfig { early_stopping: 3, ..learning };
        assert!(!idle(&learning).contains(&"min_delta") && !idle(&learning).contains(&"monitor"));
    }
}
