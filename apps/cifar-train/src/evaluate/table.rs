//! Results as a table and as JSON.

use super::features::Found;
use super::measured::Measured;
use crate::generate::Request;
use crate::model::Loaded;
use fm_terminal::println;
use serde_json::{Map, Value, json};

/// Results for one kind of images.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) measured: Vec<Measured>,
}

/// A table with one row per metric and one column per kind of images; each cell is a number and its
/// standard error. Metrics that cannot be computed follow with the reason.
pub(super) fn show(columns: &[Column]) -> String {
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
pub(super) fn reasons(measured: &[Measured]) -> impl Iterator<Item = String> + '_ {
    measured.iter().filter_map(|m| Some(format!("{} is left out: {}", m.label, m.value.as_ref().err()?)))
}

/// A number with as many digits as its error allows.
pub(super) fn number(measured: &Measured) -> String {
    let Ok(estimate) = &measured.value else { return "-".into() };
    let (value, error) = (estimate.value, estimate.error);
    let places = |x: f64| (1 - x.abs().max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
    if error.is_finite() && error > 0.0 {
        return format!("{value:.0$} +- {error:.0$}", places(error));
    }
    if value == 0.0 { "0".into() } else { format!("{value:.*}", places(value) + 2) }
}

/// Description of the samples.
pub(super) fn samples(loaded: &Loaded, weights: &str, request: &Request, found: &Found) -> Value {
    let nfe = found.nfe.iter().sum::<f64>() / found.nfe.len().max(1) as f64;
    println!("{} samples: NFE {nfe}; {}; {}; seed {}", found.count, request.sampler.describe(), weights, request.seed);
    json!({
        "checkpoint": loaded.path, "step": loaded.step, "weights": weights, "ema_decay": loaded.ema_decay,
        "count": found.count, "solver": request.sampler.describe(), "nfe": nfe, "seed": request.seed,
        "cfg_scale": request.guide.scale, "cfg_interval": [request.guide.interval.0, request.guide.interval.1],
        "guidance": request.guide.about(),
        "classes": if request.classes.is_empty() { "unconditional" } else { "in turn" },
        "quantised": format!("round((x + 1) {} / 2)", loaded.data.levels),
    })
}

/// All results with their protocols.
pub(super) fn json(columns: &[Column], samples: &Value, reference: &Value) -> Value {
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
        "program": format!("cifar-train {}", env!("CARGO_PKG_VERSION")), "samples": samples, "reference": reference,
        "metrics": first.first().map(|c| metrics(&c.measured)), "calibration": calibration,
    })
}
