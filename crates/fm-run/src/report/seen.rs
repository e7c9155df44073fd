//! The contents of a run directory that a report shows.

use crate::progress::Timing;
use crate::training_run::{read_log, records};
use anyhow::ensure;
use fm_core::budget::limits;
use fm_train::checkpoint::Meta;
use fm_train::files::{json, read_plain};
use fm_train::record::LogRecord;
use fm_train::run_dir::latest_checkpoint;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Maximum number of sample pictures of a run: the last one, and earlier ones at even intervals.
const PICTURES: usize = 8;

/// A run.
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) records: Vec<LogRecord>,
    pub(super) timings: Vec<Timing>,
    pub(super) config: String,
    meta: Option<Meta>,
    samples: Vec<(u64, PathBuf)>,
    /// `reflow.json` of a run on pairs: straightness, and quality in few steps.
    pub(super) reflow: Option<Value>,
    /// `evaluation.json`, written by `evaluate --json`.
    evaluation: Option<Value>,
}

impl Seen {
    /// Reads the runs; runs of one name are named by their paths.
    pub(super) fn read_all(runs: &[PathBuf]) -> anyhow::Result<Vec<Self>> {
        let mut all = runs.iter().map(|run| Self::read(run)).collect::<anyhow::Result<Vec<_>>>()?;
        let names: Vec<String> = all.iter().map(|seen| seen.name.clone()).collect();
        for ((seen, run), name) in all.iter_mut().zip(runs).zip(&names) {
            if names.iter().filter(|other| *other == name).count() > 1 {
                seen.name = run.display().to_string();
            }
        }
        Ok(all)
    }

    fn read(run: &Path) -> anyhow::Result<Self> {
        let records = records(&read_log(run));
        ensure!(
            !records.is_empty(),
            "cannot report on {}: it has no metrics.jsonl with a line; give the --out directory of a run",
            run.display()
        );
        let text = |name: &str, limits| String::from_utf8(read_plain(&run.join(name), limits).ok()?.0).ok();
        let table = |name: &str| {
            let (text, mut budget) = read_plain(&run.join(name), &limits::TABLE_OF_RESULTS).ok()?;
            json(&text, &mut budget).ok()
        };
        let timings = text("timing.jsonl", &limits::LOG).unwrap_or_default();
        let step = |path: &Path| path.file_stem()?.to_str()?.strip_prefix("step-")?.parse::<u64>().ok();
        let entries = fs::read_dir(run.join("samples")).into_iter().flatten().flatten().map(|e| e.path());
        let mut samples: Vec<_> = entries.filter_map(|path| Some((step(&path)?, path))).collect();
        samples.sort();
        Ok(Self {
            name: run.file_name().map_or_else(|| "run".into(), |n| n.to_string_lossy().into_owned()),
            records,
            timings: timings.lines().filter_map(|l| serde_json::from_str(l).ok()).collect(),
            config: text("config.toml", &limits::CONFIG).unwrap_or_default(),
            meta: latest_checkpoint(run).ok().map(|(_, meta, _)| meta),
            samples,
            reflow: table("reflow.json"),
            evaluation: table("evaluation.json"),
        })
    }

    /// Model, data and progress.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let speed = self.timings.iter().map(|t| t.rows_per_second).sum::<f64>() / self.timings.len().max(1) as f64;
        let peak = self.timings.iter().filter_map(|t| t.peak_memory_bytes).max();
        let mut facts: Vec<(&str, String)> = Vec::new();
        if let Some(meta) = &self.meta {
            facts.push(("program", meta.program.clone()));
            facts.push(("predicts", format!("{} on the {} path, {}", meta.prediction, meta.path, meta.time_direction)));
            facts.push(("data", format!("rows of {:?}, {}", meta.data.shape, meta.data.normalisation)));
            facts.push(("parameters", meta.parameters.to_string()));
            let epoch = meta.epoch.map_or(String::new(), |epoch| format!(", epoch {epoch:.2}"));
            facts.push(("checkpoint", format!("step {}{epoch}", meta.step)));
            facts.push(("threads", meta.threads.to_string()));
        }
        if let Some(last) = self.records.last() {
            let line = format!("step {}, loss {:.5}, {} steps skipped", last.step, last.loss, last.skipped);
            facts.push(("last log line", line));
        }
        let last = |of: fn(&LogRecord) -> Option<f64>| self.records.iter().rev().find_map(of);
        facts.extend(last(|r| r.val_loss).map(|loss| ("held-out loss", format!("{loss:.5}"))));
        facts.extend(last(|r| r.quality).map(|quality| ("quality of samples", format!("{quality:.5}"))));
        facts.push(("throughput", format!("{speed:.1} rows/s, the mean of {} lines", self.timings.len())));
        facts.extend(peak.map(|b| ("peak memory", format!("{:.2} GiB", b as f64 / (1u64 << 30) as f64))));
        facts
    }

    /// The values of `evaluation.json`, by the name of the metric.
    pub(super) fn evaluation(&self) -> Vec<(String, f64)> {
        let Some(found) = &self.evaluation else { return Vec::new() };
        let metrics = ["metrics", "found"].iter().find_map(|key| found.get(*key)?.as_object());
        let value = |v: &Value| v.as_f64().or_else(|| v.get("value")?.as_f64());
        let label = |key: &String, v: &Value| v.get("label").and_then(Value::as_str).unwrap_or(key).to_owned();
        metrics.into_iter().flatten().filter_map(|(key, v)| Some((label(key, v), value(v)?))).collect()
    }

    /// At most [`PICTURES`] of the pictures, including the last.
    pub(super) fn shown(&self) -> Vec<(u64, PathBuf)> {
        let (n, most) = (self.samples.len(), PICTURES.min(self.samples.len()));
        (1..=most).map(|k| self.samples[(k * n).div_ceil(most) - 1].clone()).collect()
    }
}

/// The bytes of a picture; none if it cannot be read.
pub(super) fn picture(path: &Path) -> Vec<u8> {
    read_plain(path, &limits::PICTURE).map(|(bytes, _)| bytes).unwrap_or_default()
}
