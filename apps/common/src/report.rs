//! The command `report`: a run as one self-contained HTML page, with curves, samples over time and
//! configuration.

use crate::pictures::{Curves, svg};
use crate::progress::Timing;
use crate::training_run::{loss_curves, read_log, records};
use anyhow::ensure;
use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use fm_terminal::println;
use fm_train::TrainError;
use fm_train::checkpoint::Meta;
use fm_train::record::LogRecord;
use fm_train::run_dir::latest_checkpoint;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write a report of a run as one HTML page: curves, samples over time and configuration.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Run directory.
    run: PathBuf,
    /// Page to write (default: report.html in the run directory).
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Also write each curve as PNG and SVG into this directory.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
}

/// Maximum number of sample pictures on a page: the last one, and earlier ones at even intervals.
const PICTURES: usize = 8;

/// Runs the command.
///
/// # Errors
/// A directory without a run, and files that cannot be written.
pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let seen = Seen::read(&args.run)?;
    let curves = seen.curves();
    if let Some(directory) = &args.plots {
        fs::create_dir_all(directory).map_err(TrainError::io("create", directory))?;
        for (name, curve) in &curves {
            curve.save(&directory.join(format!("{name}.png")))?;
            curve.save(&directory.join(format!("{name}.svg")))?;
        }
        println!("wrote {} curves into {}", curves.len(), directory.display());
    }
    let path = args.out.clone().unwrap_or_else(|| args.run.join("report.html"));
    fm_train::files::output(&path, seen.page(&curves)?.into_string().as_bytes())?;
    println!("wrote {}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// The contents of a run directory.
struct Seen {
    name: String,
    records: Vec<LogRecord>,
    timings: Vec<Timing>,
    config: String,
    meta: Option<Meta>,
    samples: Vec<(u64, PathBuf)>,
    /// `reflow.json` of a run on pairs: straightness, and quality in few steps.
    reflow: Option<String>,
}

impl Seen {
    fn read(run: &Path) -> anyhow::Result<Self> {
        let records = records(&read_log(run));
        ensure!(
            !records.is_empty(),
            "cannot report on {}: it has no metrics.jsonl with a line; give the --out directory of a run",
            run.display()
        );
        let text = |name: &str| fs::read_to_string(run.join(name)).ok();
        let timings = text("timing.jsonl").unwrap_or_default();
        let step = |path: &Path| path.file_stem()?.to_str()?.strip_prefix("step-")?.parse::<u64>().ok();
        let entries = fs::read_dir(run.join("samples")).into_iter().flatten().flatten().map(|e| e.path());
        let mut samples: Vec<_> = entries.filter_map(|path| Some((step(&path)?, path))).collect();
        samples.sort();
        Ok(Self {
            name: run.file_name().map_or_else(|| "run".into(), |n| n.to_string_lossy().into_owned()),
            records,
            timings: timings.lines().filter_map(|l| serde_json::from_str(l).ok()).collect(),
            config: text("config.toml").unwrap_or_default(),
            meta: latest_checkpoint(run).ok().map(|(_, meta, _)| meta),
            samples,
            reflow: text("reflow.json"),
        })
    }

    /// The curves with at least one finite value, by name.
    fn curves(&self) -> Vec<(&'static str, Curves)> {
        let line = |of: &dyn Fn(&LogRecord) -> Option<f64>| -> Vec<(f64, f64)> {
            self.records.iter().filter_map(|r| Some((r.step as f64, of(r)?))).collect()
        };
        let timed = |of: &dyn Fn(&Timing) -> Option<f64>| -> Vec<(f64, f64)> {
            self.timings.iter().filter_map(|t| Some((t.step as f64, of(t)?))).collect()
        };
        let one = |title: &str, unit: &str, points| Curves::one(title, ("step", unit), points);
        let bins = (0..10).map(|k| {
            let name = format!("t in {:.1} to {:.1}", k as f64 / 10.0, (k + 1) as f64 / 10.0);
            (name, line(&|r| r.loss_by_time.get(k).copied().flatten()))
        });
        let by_time = Curves { lines: bins.collect(), ..one("Loss by time, before weighting", "loss", Vec::new()) };
        let gib = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
        let all = [
            ("loss", loss_curves(&self.records)),
            ("excess", one("Excess loss", "excess", line(&|r| r.excess))),
            ("loss-by-time", by_time),
            ("grad-norm", one("Gradient norm, before clipping", "norm", line(&|r| Some(r.grad_norm)))),
            (
                "update-ratio",
                one("Norm of the update over the norm of the weights", "ratio", line(&|r| Some(r.update_ratio))),
            ),
            ("lr", one("Learning rate", "rate", line(&|r| Some(r.lr)))),
            ("coupling-gain", one("Cost of the pairs over that of rows as drawn", "ratio", line(&|r| r.coupling_gain))),
            ("rows-per-second", one("Rows per second", "rows/s", timed(&|t| Some(t.rows_per_second)))),
            ("memory", one("Memory in use", "GiB", timed(&|t| t.resident_memory_bytes.map(gib)))),
            ("device-memory", one("Device memory in use", "GiB", timed(&|t| t.device_memory_bytes.map(gib)))),
        ];
        let drawable = |c: &Curves| c.lines.iter().any(|(_, line)| line.iter().any(|p| p.1.is_finite()));
        all.into_iter().filter(|(_, curve)| drawable(curve)).collect()
    }

    fn page(&self, curves: &[(&str, Curves)]) -> anyhow::Result<Markup> {
        let drawn = curves.iter().map(|(_, curve)| svg(curve)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.name) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { (self.name) }
                    (self.facts())
                    @if let Some(found) = self.reflow.as_deref().and_then(|text| serde_json::from_str(text).ok()) {
                        (few_steps(&found))
                    }
                    h2 { "Curves" }
                    div.curves { @for picture in &drawn { figure { (PreEscaped(picture)) } } }
                    @if !self.samples.is_empty() {
                        h2 { "Samples of the EMA weights" }
                        div.samples { @for (step, path) in self.shown() { (picture(step, &path)) } }
                    }
                    h2 { "Configuration" }
                    pre { (self.config) }
                }
            }
        })
    }

    /// Model, data and progress of the run, as a table.
    fn facts(&self) -> Markup {
        let last = self.records.last();
        let speed = self.timings.iter().map(|t| t.rows_per_second).sum::<f64>() / self.timings.len().max(1) as f64;
        let peak = self.timings.iter().filter_map(|t| t.peak_memory_bytes).max();
        let mut facts: Vec<(&str, String)> = Vec::new();
        if let Some(meta) = &self.meta {
            facts.push(("program", meta.program.clone()));
            facts.push(("predicts", format!("{} on the {} path, {}", meta.prediction, meta.path, meta.time_direction)));
            facts.push(("data", format!("rows of {:?}, {}", meta.data.shape, meta.data.normalisation)));
            facts.push(("parameters", meta.parameters.to_string()));
            facts.push(("checkpoint", format!("step {}", meta.step)));
            facts.push(("threads", meta.threads.to_string()));
        }
        if let Some(last) = last {
            facts.push((
                "last log line",
                format!("step {}, loss {:.5}, {} steps skipped", last.step, last.loss, last.skipped),
            ));
        }
        facts.push(("speed", format!("{speed:.1} rows/s, the mean of {} lines", self.timings.len())));
        facts.extend(peak.map(|b| ("peak memory", format!("{:.2} GiB", b as f64 / (1u64 << 30) as f64))));
        html! { table { @for (name, fact) in &facts { tr { th { (name) } td { (fact) } } } } }
    }

    /// At most [`PICTURES`] of the pictures, including the last.
    fn shown(&self) -> Vec<(u64, PathBuf)> {
        let (n, most) = (self.samples.len(), PICTURES.min(self.samples.len()));
        (1..=most).map(|k| self.samples[(k * n).div_ceil(most) - 1].clone()).collect()
    }
}

fn picture(step: u64, path: &Path) -> Markup {
    let data = BASE64_STANDARD.encode(fs::read(path).unwrap_or_default());
    html! {
        figure {
            img src=(format!("data:image/png;base64,{data}")) alt=(format!("samples after {step} steps"));
            figcaption { "step " (step) }
        }
    }
}

/// The table of `reflow compare`, from its JSON.
fn few_steps(found: &serde_json::Value) -> Markup {
    let number = |v: &serde_json::Value| v.as_f64().map_or_else(String::new, |x| format!("{x:.4}"));
    html! {
        h2 { "Straightness and quality in few Euler steps" }
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
            p { (model["num_samples"]) " samples, " (model["real_images"]) " images of " (model["data"].as_str().unwrap_or("")) ", seed " (model["seed"]) }
        }
    }
}

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1240px; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ddd; padding-bottom: .3rem }
table { border-collapse: collapse } th { text-align: left; font-weight: 600; padding: .15rem 1.2rem .15rem 0; color: #555 } td { padding: .15rem 1.2rem .15rem 0 }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 1rem }
.samples { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0 } svg, img { max-width: 100%; height: auto }
figcaption { color: #555 } pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 13px }
";
