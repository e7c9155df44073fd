//! Advice at the start of a run: settings that seldom train well, and the flags that change them.
//!
//! ```
//! use fm_app::advice::{Setting, advice};
//! use fm_app::optimizer_args::LearningConfig;
//! let learning = LearningConfig { ema_decay: vec![0.0], ..LearningConfig::default() };
//! let setting = Setting { batch_size: 128, learning: &learning, deviation: Some(1.0), rescale: None };
//! assert_eq!(advice(&setting).len(), 1); // no EMA
//! assert_eq!(advice(&Setting { batch_size: 8, ..setting }).len(), 2);
//! ```

use crate::optimizer_args::LearningConfig;

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
}

/// Rows per step below which gradients are noisy.
const FEW_ROWS: usize = 32;

/// Deviations of data that are like those of the noise, 1.
const LIKE_NOISE: std::ops::RangeInclusive<f64> = 0.2..=5.0;

/// A line for each setting that seldom trains well.
pub fn advice(setting: &Setting<'_>) -> Vec<String> {
    let Setting { batch_size, learning, deviation, rescale } = *setting;
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
    lines
}
