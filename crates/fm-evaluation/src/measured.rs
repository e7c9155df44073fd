//! A measured number.

use anyhow::bail;
use fm_metrics::estimate::Estimate;
use serde_json::Value;

/// A number with its name and protocol.
#[derive(Debug, Clone)]
pub struct Measured {
    /// `fd-resnet20`, `precision-resnet20`, ...
    pub key: String,
    /// Heading in tables.
    pub label: String,
    /// The number, or why it cannot be computed and what to do.
    pub value: Result<Estimate, String>,
    /// Extractor and settings.
    pub protocol: Value,
}

impl Measured {
    /// A metric that cannot be computed.
    pub fn left_out(key: String, reason: String) -> Self {
        Self { label: key.clone(), key, value: Err(reason), protocol: Value::Null }
    }
}

/// # Errors
/// None of the metrics can be computed; the reason is that of the first.
pub fn ensure_any(measured: &[Measured]) -> anyhow::Result<()> {
    match measured {
        [Measured { label, value: Err(reason), .. }, ..] if measured.iter().all(|m| m.value.is_err()) => {
            bail!("no metric can be computed; {label}: {reason}")
        }
        _ => Ok(()),
    }
}
