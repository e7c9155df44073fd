//! The script beside an exported `.pt`: it builds the network in PyTorch, and converts rows between
//! the units of the table and those of the network.
//!
//! ```
//! use fm_data::Columns;
//! assert_eq!(fm_tables::loader::units(&Columns::unchanged(2)), "those of the table");
//! ```

use anyhow::Context;
use fm_data::Columns;
use fm_models::ModelConfig;
use fm_run::objective_args::FlowConfig;
use serde_json::json;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const HEAD: &str = include_str!("head.py");
const MLP: &str = include_str!("mlp.py");
const CONCAT_SQUASH: &str = include_str!("concat_squash.py");
const SEQUENCE: &str = include_str!("sequence.py");
const TAIL: &str = include_str!("tail.py");

/// What a trained network was trained for.
#[derive(Debug, Clone, Copy)]
pub struct Trained<'a> {
    /// Objective and source.
    pub flow: &'a FlowConfig,
    /// Whether the source was trained too.
    pub trained_source: bool,
    /// The treatment of the columns, and the classes.
    pub columns: &'a Columns,
}

/// The script and its path, for a network for tables. `file` is the exported file.
///
/// # Errors
/// A name that does not fit into a script.
pub fn script(file: &Path, model: &ModelConfig, trained: Trained<'_>) -> anyhow::Result<Option<(PathBuf, String)>> {
    let network = match model {
        ModelConfig::Mlp(_) => MLP,
        ModelConfig::ConcatSquash(_) => CONCAT_SQUASH,
        ModelConfig::Sequence(_) => SEQUENCE,
        ModelConfig::Unet(_) | ModelConfig::Dit(_) => return Ok(None),
    };
    let Trained { flow, columns, .. } = trained;
    let config = json!({
        "network": model, "columns": columns, "source": flow.source,
        "path": flow.objective.path.to_string(), "prediction": flow.objective.prediction.to_string(),
    });
    // Names of files come last: they may contain the words that are replaced.
    let text = [HEAD, network, TAIL].concat();
    let text = text
        .replace("DIMENSIONS", &columns.dim().to_string())
        .replace("SUMMARY", &summary(model, trained).join("\n"))
        .replace("CONFIG_JSON", &config.to_string())
        .replace("MODULE", name(file, file.file_stem())?)
        .replace("WEIGHTS", name(file, file.file_name())?);
    Ok(Some((file.with_extension("py"), text)))
}

fn name<'a>(file: &Path, part: Option<&'a OsStr>) -> anyhow::Result<&'a str> {
    let name = part.and_then(|name| name.to_str()).filter(|name| !name.contains(['"', '\\', '\n']));
    name.with_context(|| format!("the name of {} does not fit into a script; give another name", file.display()))
}

/// What the network predicts, its activation, units, source and labels.
pub fn summary(model: &ModelConfig, trained: Trained<'_>) -> Vec<String> {
    let Trained { flow, trained_source, columns } = trained;
    let objective = &flow.objective;
    let activation = activation(model).map_or(String::new(), |name| format!("; its activation is {name}"));
    let trained = if trained_source { ", moved and scaled by the source.* of the file" } else { "" };
    let scored = objective.prediction.score_weight().is_some();
    let second = if scored { " The second half of its output is the score times sigma^2 / 2." } else { "" };
    let mut lines = vec![
        format!("It predicts the {} of the {} path{activation}.{second}", objective.prediction, objective.path),
        format!("Source (t = 0): {}{trained}.", flow.source),
        format!("Units of the network: {}.", units(columns)),
    ];
    if !columns.names.is_empty() {
        lines.push(format!("Columns: {}.", columns.names.join(", ")));
    }
    if model.classes() > 0 {
        let names: Vec<&str> = columns.classes.iter().map(|(name, _)| name.as_str()).collect();
        let null = model.null_class().map_or(String::new(), |null| format!("; {null} is the null label"));
        lines.push(format!("Labels are 0 to {}: {}{null}.", model.classes() - 1, names.join(", ")));
    }
    lines.into_iter().map(|line| line.replace(['"', '\\', '\n'], "'")).collect()
}

/// The activation between layers that a network's tensors do not show.
pub fn activation(model: &ModelConfig) -> Option<String> {
    match model {
        ModelConfig::Mlp(mlp) => Some(mlp.activation.to_string()),
        ModelConfig::ConcatSquash(net) => Some(net.activation.to_string()),
        ModelConfig::Sequence(_) | ModelConfig::Unet(_) | ModelConfig::Dit(_) => None,
    }
}

/// The transformation of the columns.
pub fn units(columns: &Columns) -> String {
    match columns.describe().as_str() {
        "none" => "those of the table".into(),
        described => described.into(),
    }
}
