//! A measured number.

use fm_metrics::estimate::Estimate;
use serde_json::Value;

/// A number with its name and what it rests on.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// `fd-resnet20`, `precision-resnet20`, ...
    pub(crate) key: String,
    /// As a table heads it.
    pub(crate) label: String,
    pub(crate) value: Estimate,
    /// Extractor and settings.
    pub(crate) protocol: Value,
}
