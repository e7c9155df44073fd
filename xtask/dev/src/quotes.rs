//! Messages that docs/guide/troubleshooting.md quotes; a check of `cargo xtask tidy`.
//!
//! The first code span of a row of its tables is a message of the programs, with `...` for the
//! parts that differ. Each part between them must be in the source code.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};
use xtask_shell::root;

const PAGE: &str = "docs/guide/troubleshooting.md";

/// Checks the page against source files; returns one line per message that none of them has.
pub(crate) fn check(sources: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let read =
        |path: &Path| fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {}", path.display()));
    let programs = sources.iter().filter(|path| path.iter().any(|part| part == "src"));
    let texts: Result<Vec<_>, _> = programs.map(|path| read(path).map(|text| joined(&text))).collect();
    Ok(unknown(&read(Path::new(PAGE))?, &texts?))
}

fn unknown(page: &str, sources: &[String]) -> Vec<String> {
    let rows = page.lines().enumerate().filter(|(_, line)| line.starts_with("| `"));
    let quoted = rows.filter_map(|(at, line)| Some((at + 1, line.split('`').nth(1)?)));
    let parts = quoted.flat_map(|(at, message)| message.split("...").map(move |part| (at, part.trim())));
    let missing = parts.filter(|(_, part)| !part.is_empty() && !sources.iter().any(|text| text.contains(part)));
    missing.map(|(at, part)| format!("{PAGE}:{at}: no program prints '{part}'")).collect()
}

/// Source code with the lines of each literal joined.
fn joined(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start()).replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_no_source_has_are_named() {
        let source = joined("bail!(\"no preset is called '{name}'; \\\n     did you mean {nearest}?\");");
        let page = |message: &str| format!("| you see | cause |\n|---|---|\n| `{message}` | `x` |\n");
        let found = |message: &str| unknown(&page(message), std::slice::from_ref(&source));
        assert_eq!(found("no preset is called '...'; did you mean ...?"), [""; 0]);
        assert_eq!(found("no preset is named '...'"), [format!("{PAGE}:3: no program prints 'no preset is named ''")]);
        assert_eq!(unknown("no preset is named", &[source]), [""; 0]);
    }
}
