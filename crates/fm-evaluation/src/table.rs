//! Results as a table and as JSON.

use crate::measured::Measured;
use serde_json::{Map, Value, json};

/// Results for one kind of images.
#[derive(Debug)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// The numbers, one per metric.
    pub measured: Vec<Measured>,
}

/// A table with one row per metric and one column per kind of images; each cell is a number and its
/// standard error. Metrics that cannot be computed follow with the reason.
pub fn show(columns: &[Column]) -> String {
    let Some(first) = columns.first() else { return String::new() };
    let width = |column: &Column| column.name.len().max(20) + 2;
    let label = first.measured.iter().map(|m| m.label.len()).max().unwrap_or(0).max(10) + 2;
    let head: String = columns.iter().map(|c| format!("{:>1$}", c.name, width(c))).collect();
    let mut lines = vec![format!("{:label$}{head}", "")];
    for measured in &first.measured {
        let cell = |c: &Column| match c.measured.iter().find(|m| m.key == measured.key) {
            Some(m) => format!("{:>1$}", number(m), width(c)),
            None => format!("{:>1$}", "", width(c)),
        };
        lines.push(format!("{:label$}{}", measured.label, columns.iter().map(cell).collect::<String>()));
    }
    lines.extend(reasons(&first.measured));
    lines.join("\n")
}

/// One line per metric that cannot be computed, with the reason.
pub fn reasons(measured: &[Measured]) -> impl Iterator<Item = String> + '_ {
    measured.iter().filter_map(|m| Some(format!("{} is left out: {}", m.label, m.value.as_ref().err()?)))
}

/// A number with as many digits as its error allows.
///
/// ```
/// use fm_evaluation::measured::Measured;
/// use fm_evaluation::table::number;
/// use fm_metrics::estimate::mean;
/// let protocol = serde_json::Value::Null;
/// let kid = Measured { key: "kid".into(), label: "KID".into(), value: Ok(mean(&[0.5, 1.0, 1.5])), protocol };
/// assert_eq!(number(&kid), "1.00 +- 0.29");
/// ```
pub fn number(measured: &Measured) -> String {
    let Ok(estimate) = &measured.value else { return "-".into() };
    let (value, error) = (estimate.value, estimate.error);
    let places = |x: f64| (1 - x.abs().max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
    if error.is_finite() && error > 0.0 {
        return format!("{value:.0$} +- {error:.0$}", places(error));
    }
    if value == 0.0 { "0".into() } else { format!("{value:.*}", places(value) + 2) }
}

/// All results with their protocols.
pub fn json(program: &str, columns: &[Column], samples: &Value, reference: &Value) -> Value {
    let metrics = |measured: &[Measured]| {
        let one = |m: &Measured| {
            let value = match &m.value {
                Ok(at) => json!({ "label": m.label, "value": at.value, "error": at.error, "protocol": m.protocol }),
                Err(reason) => json!({ "label": m.label, "value": null, "reason": reason }),
            };
            (m.key.clone(), value)
        };
        Value::Object(measured.iter().map(one).collect::<Map<_, _>>())
    };
    let (first, others) = columns.split_at(columns.len().min(1));
    let calibration: Map<_, _> = others.iter().map(|c| (c.name.clone(), metrics(&c.measured))).collect();
    json!({
        "program": program, "samples": samples, "reference": reference,
        "metrics": first.first().map(|c| metrics(&c.measured)), "calibration": calibration,
    })
}
