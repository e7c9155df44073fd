//! `tabular-train inspect`: shows the content of a checkpoint.

use crate::saved::Saved;
use fm_run::inspect::{self, InspectArgs, Line};
use fm_tables::loader::{activation, units};
use serde_json::Value;
use std::process::ExitCode;

pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    inspect::run(args, |shape, config| if shape.len() == 1 { lines(config) } else { Vec::new() })
}

/// Source, columns and units of a described network.
fn lines(config: &Value) -> Vec<Line> {
    let Ok(Saved { run, columns }) = Saved::read(config.clone()) else {
        let source = "source = gaussian: the file does not name one (sample takes --source NAME)";
        return vec![("assumed", source.into()), ("assumed", "units = those of the table: the file has none".into())];
    };
    let trained = if run.trainable_source { ", trained" } else { "" };
    let activation = run.model(&columns).ok().and_then(|model| activation(&model));
    let mut lines = vec![("source", run.flow.source + trained), ("units", units(&columns))];
    lines.extend(activation.map(|name| ("activation", name)));
    if !columns.names.is_empty() {
        lines.push(("columns", columns.names.join(", ")));
    }
    lines
}
