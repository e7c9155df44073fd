//! The HTML page of a report.

use super::seen::{Seen, picture};
use base64::{Engine, prelude::BASE64_STANDARD};
use fm_cli::settings;
use fm_pictures::{Curves, svg};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use toml::Table;

/// The page of these runs and their curves.
pub(super) fn page(runs: &[Seen], curves: &[(&str, Curves)]) -> anyhow::Result<Markup> {
    let drawn = curves.iter().map(|(_, curve)| svg(curve)).collect::<anyhow::Result<Vec<_>>>()?;
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let title = names.join(", ");
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                (side_by_side(&names, &facts(runs)))
                @let differing = differences(runs);
                @if runs.len() > 1 {
                    h2 { "Differences of the configurations" }
                    @if differing.is_empty() { p { "none" } } @else { (side_by_side(&names, &differing)) }
                }
                @let results = evaluations(runs);
                @if !results.is_empty() {
                    h2 { "Evaluation" }
                    (side_by_side(&names, &results))
                }
                @for run in runs {
                    @if let Some(found) = &run.reflow { (few_steps(&run.name, found)) }
                }
                h2 { "Curves" }
                div.curves { @for picture in &drawn { figure { (PreEscaped(picture)) } } }
                (samples(runs))
                @for run in runs {
                    h2 { "Configuration" @if runs.len() > 1 { " of " (run.name) } }
                    pre { (run.config) }
                }
            }
        }
    })
}

/// A row of a table: its name, and the value of each run.
type Row = (String, Vec<String>);

fn side_by_side(names: &[&str], rows: &[Row]) -> Markup {
    html! {
        table {
            @if names.len() > 1 { tr { th {} @for name in names { th { (name) } } } }
            @for (name, values) in rows { tr { th { (name) } @for value in values { td { (value) } } } }
        }
    }
}

/// Rows of named values of each run, in the order in which they come first.
fn rows<K: AsRef<str>>(of_runs: &[Vec<(K, String)>]) -> Vec<Row> {
    let mut known = HashSet::new();
    let names = of_runs.iter().flatten().map(|(name, _)| name.as_ref()).filter(|name| known.insert(*name));
    // The first value of a name counts, so later ones go in before it.
    let values: Vec<HashMap<&str, &String>> =
        of_runs.iter().map(|of| of.iter().rev().map(|(name, value)| (name.as_ref(), value)).collect()).collect();
    let of =
        |name: &str| values.iter().map(|of| of.get(name).map_or_else(String::new, |value| (*value).clone())).collect();
    names.map(|name| (name.to_owned(), of(name))).collect()
}

fn facts(runs: &[Seen]) -> Vec<Row> {
    rows(&runs.iter().map(Seen::facts).collect::<Vec<_>>())
}

fn evaluations(runs: &[Seen]) -> Vec<Row> {
    let of = |run: &Seen| run.evaluation().into_iter().map(|(name, value)| (name, format!("{value:.5}"))).collect();
    rows(&runs.iter().map(of).collect::<Vec<Vec<_>>>())
}

/// The keys whose values are not the same in all configurations.
fn differences(runs: &[Seen]) -> Vec<Row> {
    let tables: Vec<Table> = runs.iter().map(|run| run.config.parse().unwrap_or_default()).collect();
    let Some(first) = tables.first() else { return Vec::new() };
    let mut keys: Vec<String> = tables.iter().flat_map(|table| settings::differences(first, table, "")).collect();
    keys.sort();
    keys.dedup();
    let value = |table: &Table, key: &str| {
        let (outer, last) = key.rsplit_once('.').map_or((None, key), |(outer, last)| (Some(outer), last));
        let mut inner = outer.iter().flat_map(|outer| outer.split('.'));
        let table = inner.try_fold(table, |table, part| table.get(part)?.as_table());
        table.and_then(|table| table.get(last)).map_or_else(String::new, ToString::to_string)
    };
    let row = |key: String| (key.clone(), tables.iter().map(|table| value(table, &key)).collect());
    keys.into_iter().map(row).collect()
}

/// The samples of one run over its steps, or the last samples of several runs.
fn samples(runs: &[Seen]) -> Markup {
    let figures: Vec<_> = runs
        .iter()
        .flat_map(|run| {
            let shown = run.shown();
            let first = if runs.len() > 1 { shown.len().saturating_sub(1) } else { 0 };
            shown.into_iter().skip(first).map(|(step, path)| (run.name.as_str(), step, path))
        })
        .collect();
    html! {
        @if !figures.is_empty() {
            h2 { "Samples of the EMA weights" }
            div.samples {
                @for (name, step, path) in &figures {
                    (figure(&if runs.len() > 1 { format!("{name}, step {step}") } else { format!("step {step}") }, path))
                }
            }
        }
    }
}

fn figure(caption: &str, path: &Path) -> Markup {
    let data = BASE64_STANDARD.encode(picture(path));
    html! {
        figure {
            img src=(format!("data:image/png;base64,{data}")) alt=(format!("samples: {caption}"));
            figcaption { (caption) }
        }
    }
}

/// The table of `reflow compare`, from its JSON.
fn few_steps(name: &str, found: &Value) -> Markup {
    let number = |v: &Value| v.as_f64().map_or_else(String::new, |x| format!("{x:.4}"));
    html! {
        h2 { "Straightness and quality in few steps: " (name) }
        @for model in found.as_array().into_iter().flatten() {
            p { "straightness " (number(&model["straightness"])) " ± " (number(&model["straightness_error"])) }
            table {
                tr { th { "NFE" } th { "energy distance" } th { "class agreement" } }
                @for few in model["euler"].as_array().into_iter().flatten() {
                    tr {
                        td { (few["nfe"]) }
                        td { (number(&few["energy_distance"])) }
                        td { (number(&few["class_agreement"])) }
                    }
                }
            }
            p { (model["num_samples"]) " samples by " (model["solver"].as_str().unwrap_or("euler")) ", " (model["real_images"]) " images of " (model["data"].as_str().unwrap_or("")) ", seed " (model["seed"]) }
        }
    }
}

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1240px; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #ddd; padding-bottom: .3rem }
table { border-collapse: collapse } th, td { text-align: left; vertical-align: top; padding: .15rem 1.2rem .15rem 0 } th { font-weight: 600; color: #555 }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 560px), 1fr)); gap: 1rem }
.samples { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0 } svg, img { max-width: 100%; height: auto }
figcaption { color: #555 } pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 14px }
";
