//! A measured number.

use fm_metrics::estimate::Estimate;
use serde_json::Value;

/// A number with its name and protocol.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// `fd-resnet20`, `precision-resnet20`, ...
    pub(crate) key: String,
    /// Heading in tables.
    pub(crate) label: String,
    pub(crate) value: Estimate,
    /// Extractor and settings.
    pub(crate) protocol: Value,
}
