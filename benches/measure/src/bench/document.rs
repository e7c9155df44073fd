//! The pages of results: docs/benchmarks.md has the newest run of each suite,
//! docs/benchmarks-elsewhere.md the latest run of each other machine.

use super::places;
use crate::machine;
use crate::page::{part, replaced_part, without_part};
use anyhow::Context;
use fm_terminal::println;
use std::path::Path;

const HEAD: &str = include_str!("head.md");
const ELSEWHERE: &str = "# Benchmarks on other machines\n\nThe command `cargo xtask bench SUITE --peers --write-docs` writes this page: \
    when a suite of [benchmarks.md](benchmarks.md) is measured on another machine, its previous results move here. Each part names its \
    machine, and its commit if that was recorded.\n";

/// Writes a suite's part of the page.
pub(super) fn write(name: &str, report: &str) -> anyhow::Result<()> {
    let docs = places::root().join("docs");
    let (newest, elsewhere) = (docs.join("benchmarks.md"), docs.join("benchmarks-elsewhere.md"));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let (newest_text, elsewhere_text) = rewritten(&read(&newest), &read(&elsewhere), name, report);
    // The older run is saved before it is replaced.
    for (path, text) in [(&elsewhere, elsewhere_text), (&newest, newest_text)] {
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Both pages with a new run.
fn rewritten(newest: &str, elsewhere: &str, name: &str, report: &str) -> (String, String) {
    let here = machine::named(report);
    let before = part(newest, name).map(|before| (machine::named(before).unwrap_or("unknown machine"), before));
    let mut older = elsewhere.to_owned();
    if let Some(here) = here {
        older = without_part(&older, &kept_name(name, here));
    }
    if let Some((there, before)) = before.filter(|(there, _)| Some(*there) != here) {
        older = replaced_part(ELSEWHERE, &older, &kept_name(name, there), before);
    }
    (replaced_part(HEAD, newest, name, report), older)
}

fn kept_name(name: &str, machine: &str) -> String {
    format!("{name} on {machine}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_replaces_its_own_part_only() {
        let replaced = |before: &str, name, part| replaced_part(HEAD, before, name, part);
        let both = replaced(&replaced("old text", "ot", "one\n"), "training", "two\n");
        assert!(both.starts_with(HEAD) && both.contains("one\n") && both.contains("two\n"));
        let again = replaced(&both, "ot", "three\n");
        assert!(!again.contains("one\n") && again.contains("two\n") && again.contains("three\n"));
        assert_eq!(again.matches("<!-- ot -->").count(), 1);
        // A changed head loses no part.
        let renamed = replaced_part("# Other\n", &again, "ot", "four\n");
        assert!(renamed.starts_with("# Other\n\n<!--") && renamed.contains("two\n") && renamed.contains("four\n"));
    }

    #[test]
    fn a_run_on_another_machine_keeps_the_one_before() {
        let run = |machine: &str, time: &str| format!("{time} *Machine*: {machine}, 2 cores; commit {time}.\n");
        let (page, other) = rewritten("", "", "models", &run("A", "a1"));
        assert!(page.contains("a1") && other.is_empty());
        // A new run on the same machine replaces the old one.
        let (page, other) = rewritten(&page, &other, "models", &run("A", "a2"));
        assert!(!page.contains("a1") && other.is_empty());
        let (page, other) = rewritten(&page, &other, "models", &run("B", "b1"));
        assert!(page.contains("b1") && !page.contains("a2") && other.contains("a2") && other.starts_with(ELSEWHERE));
        // Back on the first machine: its older run is removed, the other machine's is kept.
        let (page, other) = rewritten(&page, &other, "models", &run("A", "a3"));
        assert!(page.contains("a3") && other.contains("b1") && !other.contains("a2"), "{other}");
    }
}
