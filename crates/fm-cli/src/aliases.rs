//! Configuration keys and flags of other trainers, translated to ours.
//!
//! | key | means here |
//! |---|---|
//! | `flow_type = "cfm"` | path `linear-sigma-min` with `sigma_min` (0.001) |
//! | `flow_type = "ot_cfm"` | the same, and `use_ot = true` |
//! | `flow_type = "rectified_flow"` | path `linear`, which reflow also uses |
//! | `use_ot` | coupling `sinkhorn-absolute` with `ot_regularization` (0.01) as its epsilon, or `independent` |
//! | `time_sampling` | time `uniform`, `logit-normal` (`logit_normal`) or `arcsine` (`u_shaped`) |
//! | `logit_normal_loc`, `logit_normal_scale` | parameters `loc` (0) and `scale` (1) of `logit-normal` |

use anyhow::{bail, ensure};
use clap::Args;
use fm_terminal::eprintln;
use serde::Serialize;
use toml::{Table, Value};

/// The flags, which have the names of the keys.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[group(skip)]
pub struct AliasArgs {
    /// Type of flow: cfm, ot_cfm or rectified_flow (see --path and --coupling).
    #[arg(long, value_name = "TYPE", help_heading = HEADING, hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_type: Option<String>,
    /// Noise at the data end of cfm and ot_cfm (see --path linear-sigma-min).
    #[arg(long, value_name = "SIGMA", help_heading = HEADING, hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    sigma_min: Option<f64>,
    /// Couple rows by Sinkhorn's plan (see --coupling sinkhorn-absolute).
    #[arg(long, value_name = "BOOL", help_heading = HEADING, hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    use_ot: Option<bool>,
    /// Entropic regularization of that plan, its epsilon.
    #[arg(long, value_name = "EPSILON", help_heading = HEADING, hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ot_regularization: Option<f64>,
    /// Distribution of times: uniform, logit_normal or u_shaped (see --time).
    #[arg(long, value_name = "NAME", help_heading = HEADING, hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    time_sampling: Option<String>,
    /// Mean of the logit of logit_normal times.
    #[arg(long, value_name = "MEAN", allow_negative_numbers = true, help_heading = HEADING, hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    logit_normal_loc: Option<f64>,
    /// Deviation of the logit of logit_normal times.
    #[arg(long, value_name = "DEVIATION", help_heading = HEADING, hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    logit_normal_scale: Option<f64>,
}

const HEADING: &str = "Names of other trainers";

const KEYS: [&str; 7] = [
    "flow_type",
    "sigma_min",
    "use_ot",
    "ot_regularization",
    "time_sampling",
    "logit_normal_loc",
    "logit_normal_scale",
];

/// Replaces the other trainers' keys at the top level of a configuration by ours.
///
/// # Errors
/// Unknown values, contradictory keys, and an option that is set under both names.
pub fn translate(mut file: Table) -> anyhow::Result<Table> {
    let given: Table = KEYS.iter().filter_map(|k| Some(((*k).to_owned(), file.remove(*k)?))).collect();
    if given.is_empty() {
        return Ok(file);
    }
    let number = |key: &str, default: f64| match given.get(key) {
        None => Ok(default),
        Some(Value::Float(v)) => Ok(*v),
        Some(Value::Integer(v)) => Ok(*v as f64),
        Some(other) => bail!("{key} is {other}; give a number"),
    };
    let has = |keys: &[&str]| keys.iter().any(|k| given.contains_key(*k));
    let text = |key: &str| given.get(key).map(|v| v.as_str().unwrap_or("").to_owned());
    let flow = text("flow_type");
    if has(&["flow_type", "sigma_min"]) {
        let path = match flow.as_deref() {
            None | Some("cfm" | "ot_cfm") => {
                format!("linear-sigma-min:sigma_min={}", number("sigma_min", 0.001)?)
            }
            Some("rectified_flow") => "linear".into(),
            Some(other) => bail!("flow_type '{other}' is unknown; choose cfm, ot_cfm or rectified_flow"),
        };
        if flow.as_deref() == Some("rectified_flow") && has(&["sigma_min"]) {
            eprintln!(
                "warning: sigma_min is ignored, because the paths of flow_type = \"rectified_flow\" end at the data; drop it"
            );
        }
        put(&mut file, "path", path)?;
    }
    let asked = given.get("use_ot").map(|v| v.as_bool());
    ensure!(asked != Some(None), "use_ot is neither true nor false; give one of them");
    let implied = flow.as_deref() == Some("ot_cfm");
    ensure!(
        !(implied && asked == Some(Some(false))),
        "flow_type = \"ot_cfm\" and use_ot = false contradict each other; drop one"
    );
    let transport = implied || asked == Some(Some(true));
    warn_of_idle(&given, transport, text("time_sampling").as_deref());
    if transport {
        put(&mut file, "coupling", format!("sinkhorn-absolute:epsilon={}", number("ot_regularization", 0.01)?))?;
    } else if asked.is_some() || flow.is_some() {
        put(&mut file, "coupling", "independent".into())?;
    }
    if let Some(sampling) = text("time_sampling") {
        let law = match sampling.as_str() {
            "uniform" => "uniform".into(),
            "logit_normal" => {
                let (loc, scale) = (number("logit_normal_loc", 0.0)?, number("logit_normal_scale", 1.0)?);
                format!("logit-normal:loc={loc},scale={scale}")
            }
            "u_shaped" => "arcsine".into(),
            other => bail!("time_sampling '{other}' is unknown; choose uniform, logit_normal or u_shaped"),
        };
        put(&mut file, "time", law)?;
    }
    Ok(file)
}

/// Warns of parameters of a coupling or a time distribution that is not chosen.
fn warn_of_idle(given: &Table, transport: bool, sampling: Option<&str>) {
    let times = sampling == Some("logit_normal");
    let parameters = [
        ("ot_regularization", transport, "use_ot = true"),
        ("logit_normal_loc", times, "time_sampling = \"logit_normal\""),
        ("logit_normal_scale", times, "time_sampling = \"logit_normal\""),
    ];
    for (key, effective, owner) in parameters {
        if given.contains_key(key) && !effective {
            eprintln!("warning: {key} has no effect without {owner}; add that, or drop {key}");
        }
    }
}

/// Inserts a key that must not be present yet.
fn put(table: &mut Table, key: &str, value: String) -> anyhow::Result<()> {
    ensure!(
        table.insert(key.to_owned(), Value::String(value)).is_none(),
        "{key} is set twice, under its own name and under another trainer's (flow_type, use_ot, time_sampling, ...); \
         drop one"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(text: &str) -> anyhow::Result<String> {
        Ok(toml::to_string(&translate(text.parse()?)?)?.trim().replace('\n', " "))
    }

    #[test]
    fn other_trainers_names_become_ours() {
        for (theirs, want) in [
            ("flow_type = 'cfm'", "coupling = \"independent\" path = \"linear-sigma-min:sigma_min=0.001\""),
            (
                "flow_type = 'ot_cfm'\nsigma_min = 0.1\not_regularization = 0.5",
                "coupling = \"sinkhorn-absolute:epsilon=0.5\" path = \"linear-sigma-min:sigma_min=0.1\"",
            ),
            ("flow_type = 'rectified_flow'", "coupling = \"independent\" path = \"linear\""),
            ("use_ot = true", "coupling = \"sinkhorn-absolute:epsilon=0.01\""),
            ("steps = 3\nuse_ot = false", "coupling = \"independent\" steps = 3"),
            ("time_sampling = 'u_shaped'", "time = \"arcsine\""),
            (
                "time_sampling = 'logit_normal'\nlogit_normal_loc = 1\nlogit_normal_scale = 0.5",
                "time = \"logit-normal:loc=1,scale=0.5\"",
            ),
        ] {
            assert_eq!(ours(theirs).unwrap(), want, "{theirs}");
        }
    }

    #[test]
    fn mistakes_and_contradictions_are_told() {
        for (theirs, says) in [
            ("flow_type = 'reflow'", "choose cfm, ot_cfm or rectified_flow"),
            ("time_sampling = 'normal'", "choose uniform, logit_normal or u_shaped"),
            ("sigma_min = 'small'", "give a number"),
            ("use_ot = 1", "true nor false"),
            ("flow_type = 'ot_cfm'\nuse_ot = false", "contradict"),
            ("flow_type = 'cfm'\npath = 'linear'", "path is set twice"),
        ] {
            let error = ours(theirs).unwrap_err().to_string();
            assert!(error.contains(says), "{theirs}: {error}");
        }
    }
}
