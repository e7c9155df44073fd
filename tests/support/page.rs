//! A part of docs/inputs.md that a test writes: what the program does with an input, as it says it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The rows of a part.
pub(crate) struct Part {
    title: &'static str,
    rows: Vec<String>,
}

impl Part {
    pub(crate) fn new(title: &'static str) -> Self {
        Self { title, rows: Vec::new() }
    }

    /// Adds a row: the input, the exit code, and the line of the output that has `says`. Paths
    /// below `dir` are shortened.
    pub(crate) fn row(&mut self, input: &str, dir: &Path, (code, text): (i32, String), says: &str) {
        let line = text.lines().find(|line| line.contains(says));
        let line = line.unwrap_or_else(|| panic!("{input}: no line says '{says}':\n{text}"));
        assert!(line.len() <= 400, "{input}: a line of {} characters: {line}", line.len());
        assert!(!text.contains("panicked") && code != 101, "{input}: {text}");
        let line = line.replace(&format!("{}/", dir.display()), "").replace('|', "\\|");
        let what = if code == 0 { "reads" } else { "refuses" };
        self.rows.push(format!("| {input} | {what} | `{}` |\n", line.trim()));
    }

    /// As [`row`](Self::row), where the rest of the line has numbers that depend on the machine.
    pub(crate) fn brief(&mut self, input: &str, dir: &Path, (code, text): (i32, String), says: &str) {
        self.row(input, dir, (code, text), says);
        let what = if code == 0 { "reads" } else { "refuses" };
        self.rows.pop();
        self.rows.push(format!("| {input} | {what} | `... {says} ...` |\n"));
    }

    /// Compares the part with the page; with UPDATE_DOCS set, writes it.
    pub(crate) fn check(self) {
        // Tests of one program write the page side by side.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/inputs.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (from, to) = (format!("<!-- {} -->\n", self.title), format!("<!-- end of {} -->\n", self.title));
        let head = "| input | the program | and says |\n|---|---|---|\n";
        let part = format!("{from}\n{head}{}\n{to}", self.rows.concat());
        let start = page.find(&from).unwrap();
        let end = page.find(&to).unwrap() + to.len();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, page[..start].to_owned() + &part + &page[end..]).unwrap();
        } else {
            assert!(page[start..end] == part, "docs/inputs.md is out of date: run this test with UPDATE_DOCS=1");
        }
    }
}
