//! Reports: the numbers and errors of an evaluation, in the order of its metrics.
//!
//! As text, an aligned table, in which a metric that failed is left out with its reason; as data, a
//! map from names to `{"value", "standard_error"}` (the error only if known) or `{"error"}`.
//!
//! ```
//! use fm_metrics::evaluation::{Evaluation, energy_distance, kid};
//! let x = ndarray::array![[0.0f32], [2.0]];
//! let report = Evaluation::new([energy_distance(), kid()]).run(&x, &(&x + 10.0));
//! assert!(report.to_string().starts_with("energy_distance  16\nkid              "));
//! ```

use super::metric::Quantity;
use crate::MetricError;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// The result of one metric.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub metric: String,
    /// Its numbers, or its error.
    pub outcome: Result<Vec<Quantity>, MetricError>,
}

/// The results of every metric of an evaluation.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The results, in the order of the metrics.
    pub entries: Vec<Entry>,
}

impl Report {
    /// All numbers that were computed.
    pub fn quantities(&self) -> impl Iterator<Item = &Quantity> {
        self.entries.iter().filter_map(|entry| entry.outcome.as_ref().ok()).flatten()
    }

    /// The first number with this name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.quantities().find(|quantity| quantity.name == name).map(|quantity| quantity.estimate.value)
    }

    /// The metrics that were left out, with the reasons.
    pub fn errors(&self) -> impl Iterator<Item = (&str, &MetricError)> {
        self.entries.iter().filter_map(|entry| Some((entry.metric.as_str(), entry.outcome.as_ref().err()?)))
    }

    /// The names and texts of the table's rows.
    fn lines(&self) -> impl Iterator<Item = (&str, String)> {
        self.entries.iter().flat_map(|entry| match &entry.outcome {
            Ok(quantities) => quantities.iter().map(|q| (q.name.as_str(), number(q))).collect(),
            Err(error) => vec![(entry.metric.as_str(), format!("left out: {error}"))],
        })
    }
}

/// Six digits, with the standard error if known.
fn number(quantity: &Quantity) -> String {
    let value = quantity.estimate.value;
    let digits = |v: f64| {
        let rounded = format!("{v:.5e}").parse().unwrap_or(v);
        if rounded != 0.0 && !(1e-4..1e7).contains(&rounded.abs()) {
            format!("{rounded:e}")
        } else {
            format!("{rounded}")
        }
    };
    match quantity.estimate.standard_error() {
        Some(error) => format!("{} +- {}", digits(value), digits(error)),
        None => digits(value),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (i, (name, text)) in self.lines().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{name:width$}  {text}")?;
        }
        Ok(())
    }
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Shown {
    Value {
        value: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        standard_error: Option<f64>,
    },
    Error {
        error: String,
    },
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for entry in &self.entries {
            match &entry.outcome {
                Ok(quantities) => {
                    for Quantity { name, estimate } in quantities {
                        let standard_error = estimate.standard_error();
                        map.serialize_entry(name, &Shown::Value { value: estimate.value, standard_error })?;
                    }
                }
                Err(error) => map.serialize_entry(&entry.metric, &Shown::Error { error: error.to_string() })?,
            }
        }
        map.end()
    }
}
