//! A line of the log.

use serde::{Deserialize, Deserializer, Serialize};

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Steps done.
    pub step: u64,
    /// Passes over the data that are done, if the data have a fixed number of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<f64>,
    /// Mean loss since the previous line; NaN (null) if no step was finite.
    #[serde(deserialize_with = "or_nan")]
    pub loss: f64,
    /// Mean loss of the epoch that ended last, if one ended since the previous line.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_is_nan")]
    pub epoch_loss: Option<f64>,
    /// Loss minus the irreducible loss, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_is_nan")]
    pub excess: Option<f64>,
    /// Mean unweighted loss of the rows in each tenth of the time interval; null for a tenth
    /// without rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loss_by_time: Vec<Option<f64>>,
    /// Gradient norm of this step, before clipping.
    #[serde(deserialize_with = "or_nan")]
    pub grad_norm: f64,
    /// |change of the weights| / |weights| of this step.
    #[serde(default, deserialize_with = "or_nan")]
    pub update_ratio: f64,
    /// Learning rate of this step.
    pub lr: f64,
    /// Mean cost of the training pairs relative to independent pairs, since the previous line, if
    /// rows are coupled.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_is_nan")]
    pub coupling_gain: Option<f64>,
    /// Loss of the first EMA of the weights on held-out rows, if it is measured
    /// ([`held_out`](crate::held_out)).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_is_nan")]
    pub val_loss: Option<f64>,
    /// The same loss of the weights themselves.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_is_nan")]
    pub val_loss_raw: Option<f64>,
    /// Mean unweighted loss of the first EMA on the held-out rows in each tenth of the time
    /// interval; null for a tenth without rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub val_loss_by_time: Vec<Option<f64>>,
    /// Energy distance between samples of the first EMA and rows of the data, if it is measured;
    /// lower is better.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_is_nan")]
    pub quality: Option<f64>,
    /// Steps of the run that were skipped because loss or gradient was not finite.
    #[serde(default, skip_serializing_if = "none")]
    pub skipped: u64,
}

impl LogRecord {
    /// A value by its name, for monitoring.
    pub fn value(&self, name: &str) -> Option<f64> {
        match name {
            "loss" => Some(self.loss),
            "epoch_loss" => self.epoch_loss,
            "excess" => self.excess,
            "val_loss" => self.val_loss,
            "val_loss_raw" => self.val_loss_raw,
            "quality" => self.quality,
            "grad_norm" => Some(self.grad_norm),
            "update_ratio" => Some(self.update_ratio),
            "lr" => Some(self.lr),
            "coupling_gain" => self.coupling_gain,
            _ => None,
        }
    }

    /// The names that can be monitored.
    pub const NAMES: [&str; 10] = [
        "loss",
        "epoch_loss",
        "excess",
        "val_loss",
        "val_loss_raw",
        "quality",
        "grad_norm",
        "update_ratio",
        "lr",
        "coupling_gain",
    ];
}

fn or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Reads a value that is in the line. NaN is null in JSON: a value that was not finite is one after
/// a resume too, rather than absent.
fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    or_nan(deserializer).map(Some)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn none(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A callback must decide the same on a line and on the same line read from the log.
    #[test]
    fn values_that_are_not_finite_are_read_as_they_were_written() {
        let text = r#"{"step":1,"loss":null,"grad_norm":1.0,"lr":1.0,"val_loss":null,"quality":null}"#;
        let line: LogRecord = serde_json::from_str(text).unwrap();
        let again: LogRecord = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
        for name in LogRecord::NAMES {
            let bits = |line: &LogRecord| line.value(name).map(f64::to_bits);
            assert_eq!(bits(&line), bits(&again), "{name}");
        }
        assert!(again.val_loss.unwrap().is_nan() && again.quality.unwrap().is_nan());
        assert_eq!((again.val_loss_raw, again.excess), (None, None));
    }
}
