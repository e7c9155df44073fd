//! The program that the experiments run, its results, and statistics over seeds.

use anyhow::Context;
use serde_json::Value;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use xtask_shell::{execute, ours, output, root, target};

/// `tabular-train`, working in a directory of an experiment.
pub(super) struct Tool {
    home: PathBuf,
    started: Instant,
    /// Pictures for the page: their paths, and their names on the page.
    pictures: RefCell<Vec<(PathBuf, String)>>,
}

impl Tool {
    /// Creates an empty directory below `target/experiments` to work in.
    pub(super) fn new(name: String) -> anyhow::Result<Self> {
        let home = target().join("experiments").join(name);
        ours::empty(&home)?;
        Ok(Self { home, started: Instant::now(), pictures: RefCell::default() })
    }

    /// A path in the directory, as text.
    pub(super) fn at(&self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }

    fn command(words: &str) -> Command {
        let mut command = Command::new(target().join("debug/tabular-train"));
        command.args(words.split_whitespace());
        command
    }

    /// Runs a command of the program and passes its output through; returns the seconds that it
    /// took.
    pub(super) fn run(&self, words: &str) -> anyhow::Result<f64> {
        let started = Instant::now();
        execute(&mut Self::command(words))?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Runs `evaluate` on a run.
    pub(super) fn evaluate(&self, run: &str, flags: &str) -> anyhow::Result<Value> {
        let json = self.at("evaluation.json");
        output(&mut Self::command(&format!("evaluate --checkpoint {} {flags} --json {json}", self.at(run))))?;
        read(Path::new(&json))
    }

    /// The lines of one of a run's logs.
    pub(super) fn log(&self, run: &str, name: &str) -> anyhow::Result<Vec<Value>> {
        let path = self.home.join(run).join(name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Writes a file in the directory.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.home.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Registers a picture for the page, and returns the link to it.
    pub(super) fn picture(&self, file: &str, name: &str) -> String {
        self.pictures.borrow_mut().push((self.home.join(file), name.to_owned()));
        format!("images/{name}")
    }

    /// Copies the registered pictures to the page's image directory.
    pub(super) fn keep_pictures(&self) -> anyhow::Result<()> {
        for (from, name) in self.pictures.borrow().iter() {
            let to = root().join("docs/images").join(name);
            std::fs::copy(from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
        Ok(())
    }

    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// A JSON value as a number.
pub(super) fn number(value: &Value) -> anyhow::Result<f64> {
    value.as_f64().context("an answer lacks a number")
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { 0.5 * (sorted[half - 1] + sorted[half]) }
}

/// A number of seeds in words.
pub(super) fn counted(seeds: u64) -> String {
    if seeds == 1 { "one seed".to_owned() } else { format!("{seeds} seeds") }
}

/// Mean and standard deviation; of one value, the value.
pub(super) fn spread(values: &[f64], digits: usize) -> String {
    let m = mean(values);
    if values.len() == 1 {
        return format!("{m:.digits$}");
    }
    let deviation = (values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt();
    format!("{m:.digits$} ± {deviation:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_over_seeds() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
        assert_eq!(spread(&[1.0, 2.0, 3.0], 2), "2.00 ± 1.00");
        assert_eq!(spread(&[5.0], 1), "5.0");
        assert_eq!([counted(1), counted(3)], ["one seed", "3 seeds"]);
    }
}
