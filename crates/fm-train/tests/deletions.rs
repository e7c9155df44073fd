//! Libraries and programs delete through one function, and the workspace's tools through another,
//! which delete only what is theirs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::path::{Path, PathBuf};

/// Files that may delete, and why.
const ALLOWED: [(&str, &str); 4] = [
    ("crates/fm-train/src/files.rs", "the function of libraries and programs"),
    ("xtask/shell/src/ours.rs", "the function of the workspace's tools"),
    ("crates/fm-fetch/src/cifar10/scratch.rs", "the downloads of fm-fetch, by their fixed names"),
    ("crates/fm-pretend-gpu/src/runs.rs", "a test tool, which removes its own file of counts"),
];

/// The sources in all directories called `src`. Tests may delete what they made.
fn sources(directory: &Path, inside: bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            let skipped = name == "target" || name == "libtorch" && !inside || name.to_string_lossy().starts_with('.');
            if !skipped {
                sources(&path, inside || name == "src", found);
            }
        } else if inside && path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The lines that delete, without documentation, comments, and the tests at the end of a file.
fn deleting(text: &str) -> usize {
    let code = text.split("\nmod tests {").next().unwrap_or_default();
    let deletes = |line: &&str| {
        !line.trim_start().starts_with("//") && line.contains("remove_file") | line.contains("remove_dir")
    };
    code.lines().filter(deletes).count()
}

#[test]
fn nothing_else_deletes_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // A package of this crate alone is without the others.
    if !root.join("apps").is_dir() {
        return;
    }
    let mut files = Vec::new();
    sources(&root, false, &mut files);
    assert!(files.len() > 400, "{}", files.len());
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let found = deleting(&fs::read_to_string(&file).unwrap());
        let allowed = ALLOWED.iter().any(|(path, _)| *path == name);
        assert!(allowed || found == 0, "{name} deletes; use fm_train::files or xtask_shell::ours");
        assert!(!allowed || found > 0, "{name} no longer deletes; take it off the list");
    }
}

#[test]
fn deletions_are_found() {
    assert_eq!(deleting("fn f() {\n    std::fs::remove_file(p);\n    fs::remove_dir_all(p)\n}"), 2);
    assert_eq!(deleting("use std::fs::remove_dir;"), 1);
    assert_eq!(deleting("//! fs::remove_file(p)\n#[cfg(test)]\nmod tests {\n    fs::remove_file(p)\n}"), 0);
}
