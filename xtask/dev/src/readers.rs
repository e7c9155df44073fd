//! Files are opened for reading where their size bounds what is read. All other modules use
//! `fm_core::budget` or `fm_train::files`, which open plain files with a budget.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// Calls that open or read a file by its name.
const CALLS: [&str; 6] =
    ["fs::read(", "fs::read_to_string(", "File::open(", "File::options(", ".read(true)", "File::open)"];

/// The files with such calls, each with the reason.
const MAY: [(&str, &str); 13] = [
    ("crates/fm-core/src/budget/plain.rs", "makes budgets"),
    ("crates/fm-train/src/files.rs", "makes budgets; flushes folders"),
    ("crates/fm-train/src/run_dir/mod.rs", "hashes a log in blocks, and flushes logs"),
    ("crates/fm-train/src/checkpoint/check.rs", "reads files of a length that the description has a hash of"),
    ("crates/fm-train/src/pairs/mod.rs", "reads rows of files whose headers and lengths were compared"),
    ("crates/fm-data/src/input.rs", "reads /proc/meminfo"),
    ("crates/fm-data/src/folder/memory.rs", "reads /proc/meminfo"),
    ("crates/fm-torch/src/profile.rs", "reads the trace that libtorch has just written"),
    ("crates/fm-pretend-gpu/src/lib.rs", "is for tests"),
    ("crates/fm-pretend-gpu/src/runs.rs", "is for tests"),
    ("crates/fm-cli/src/memory.rs", "reads /proc and control groups"),
    ("crates/fm-evaluation/src/rows.rs", "reads the rows of a cache within its budget"),
    ("crates/fm-fetch/src/download.rs", "hashes files in blocks"),
];

/// One line per call elsewhere, and per entry of the list without a call. `files` are all sources.
pub(crate) fn check(files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    let reads = |path: &Path| -> anyhow::Result<Vec<usize>> {
        let text = fs::read_to_string(xtask_shell::root().join(path));
        Ok(calls(&text.with_context(|| format!("cannot read {}", path.display()))?))
    };
    for path in files.iter().filter(|path| is_reader(path)) {
        if MAY.iter().all(|(may, _)| Path::new(may) != path) {
            let call = |line: usize| {
                format!("{}:{line} reads a file without a budget; use fm_core::budget::read", path.display())
            };
            problems.extend(reads(path)?.into_iter().map(call));
        }
    }
    for (path, reason) in MAY {
        if !files.iter().any(|file| file == Path::new(path)) || reads(Path::new(path))?.is_empty() {
            problems.push(format!("{path} opens no file; remove it (\"{reason}\") from xtask/dev/src/readers.rs"));
        }
    }
    Ok(problems)
}

/// Sources of libraries and programs, without their tests.
fn is_reader(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().collect();
    let tests = path.file_name().is_some_and(|name| name == "tests.rs");
    !tests
        && (path.starts_with("crates") || path.starts_with("apps"))
        && parts.get(2).is_some_and(|part| *part == "src")
}

/// The lines with such calls, before the tests of the file.
fn calls(text: &str) -> Vec<usize> {
    let code = text
        .lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test"));
    let found =
        code.filter(|(_, line)| !line.trim_start().starts_with("//") && CALLS.iter().any(|call| line.contains(call)));
    found.map(|(k, _)| k + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_in_code_and_not_in_comments_or_tests() {
        let text = "/// std::fs::read(x)\nfn f() {\n    let a = fs::read(path);\n    let b = std::fs::read_to_string(p);\n\
                    let c = OpenOptions::new().read(true).open(p);\n    x.map(File::open);\n}\n#[cfg(test)]\nmod tests {\n fs::read(y)\n}\n";
        assert_eq!(calls(text), [3, 4, 5, 6]);
        assert_eq!(calls("x.and_then(File::open)"), [1]);
        assert!(
            is_reader(Path::new("crates/fm-data/src/input.rs")) && !is_reader(Path::new("crates/fm-data/tests/a.rs"))
        );
        assert!(
            !is_reader(Path::new("crates/fm-train/src/batches/tests.rs")) && !is_reader(Path::new("xtask/src/main.rs"))
        );
    }
}
