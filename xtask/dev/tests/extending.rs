//! The diffs of docs/extending.md: all apply to the present tree and change as many files as the
//! page says, and the first two are built and tested in a copy of their crate.
//!
//! The copies are in the target directory and share it, so dependencies are not built again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The diff of each section of the page, by the section's title.
fn diffs() -> BTreeMap<String, String> {
    let page = fs::read_to_string(root().join("docs/extending.md")).unwrap();
    let sections = page.split("\n## ").skip(1).filter_map(|section| {
        let diff = section.split("\n```diff\n").nth(1)?.split("\n```\n").next()?;
        Some((section.lines().next()?.to_owned(), format!("{diff}\n")))
    });
    sections.collect()
}

/// The files that a diff changes, without those that it adds.
fn changed(diff: &str) -> impl Iterator<Item = &str> {
    diff.lines().filter_map(|line| line.strip_prefix("--- a/"))
}

/// The files that a diff changes or adds, without tests.
fn files_of_code(diff: &str) -> usize {
    let files = diff.lines().filter_map(|line| line.strip_prefix("+++ b/"));
    files.filter(|file| file.ends_with(".rs") && !file.contains("/tests/")).count()
}

fn apply(diff: &str, directory: &Path) {
    fs::write(directory.join("change.diff"), diff).unwrap();
    let mut git = Command::new("git");
    git.args(["apply", "change.diff"]).current_dir(directory);
    let output = git.env("GIT_CEILING_DIRECTORIES", directory.parent().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}\n{diff}", String::from_utf8_lossy(&output.stderr));
}

/// Copies a file, or the files of a directory. An equal file keeps its time, so that cargo does not
/// build it again.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else if from.exists() && fs::read(from).ok() != fs::read(to).ok() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, fs::read(from).unwrap()).unwrap();
    }
}

#[test]
fn every_diff_applies_to_the_present_tree() {
    let diffs = diffs();
    assert_eq!(diffs.len(), 6, "{:?}", diffs.keys());
    for (title, diff) in &diffs {
        let directory = tempfile::tempdir().unwrap();
        assert!(title == "A training loop" || changed(diff).next().is_some(), "{title} changes no file");
        changed(diff).for_each(|file| copy(&root().join(file), &directory.path().join(file)));
        apply(diff, directory.path());
    }
}

#[test]
fn a_part_is_added_in_few_files() {
    let diffs = diffs();
    let counted =
        ["A path", "A network", "A solver", "A data set", "A metric"].map(|title| files_of_code(&diffs[title]));
    assert_eq!(counted, [1, 3, 1, 1, 2]);
}

/// Applies a diff to a copy of a crate, and runs one of its tests there. Files of other crates are
/// changed but not built.
fn run(title: &str, package: &str, test: &str) {
    let staged = tempfile::tempdir().unwrap();
    let staged_crate = staged.path().join("crates").join(package);
    for name in ["Cargo.toml", "build.rs", "src", "assets"] {
        copy(&root().join("crates").join(package).join(name), &staged_crate.join(name));
    }
    let diff = &diffs()[title];
    changed(diff).for_each(|file| copy(&root().join(file), &staged.path().join(file)));
    apply(diff, staged.path());
    // Other tests of the crate need more dependencies.
    let manifest = fs::read_to_string(staged_crate.join("Cargo.toml")).unwrap();
    let tables = manifest.split("\n[").filter(|table| !table.starts_with("dev-dependencies]"));
    fs::write(staged_crate.join("Cargo.toml"), tables.collect::<Vec<_>>().join("\n[")).unwrap();
    fs::write(staged.path().join("Cargo.toml"), workspace_manifest(package)).unwrap();

    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let workspace = target.join("tmp/extending").join(package);
    let _ = fs::remove_dir_all(workspace.join("changed").join(package).join("tests"));
    // Not below `crates/`: cargo would take the crate for the unchanged one, and overwrite it.
    copy(&staged_crate, &workspace.join("changed").join(package));
    copy(&staged.path().join("Cargo.toml"), &workspace.join("Cargo.toml"));
    copy(&root().join("Cargo.lock"), &workspace.join("Cargo.lock"));
    link_other_packages(&workspace, package);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--offline", "--test", test]).args(SELECTED).current_dir(&workspace);
    let output = cargo.env("CARGO_TARGET_DIR", target).output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

/// The packages and features of the build that this test belongs to. They determine the features of
/// dependencies, and so whether cargo has built them.
const SELECTED: &[&str] =
    if cfg!(feature = "libtorch") { &["--workspace", "--features", xtask_shell::TESTED] } else { &[] };

/// The manifest of the workspace with a changed package, which is not optimized.
fn workspace_manifest(package: &str) -> String {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let optimized = format!("{package} = {{ opt-level");
    let of_line = |line: &str| {
        if line.starts_with(&optimized) { format!("{package} = {{ opt-level = 0 }}\n") } else { format!("{line}\n") }
    };
    let text = text.lines().map(of_line).collect::<String>();
    let moved = text.replace(&format!("\"crates/{package}\""), &format!("\"changed/{package}\""));
    moved.replace("\nmembers = [", &format!("\nmembers = [\"changed/{package}\", "))
}

/// Links the other packages, so that cargo finds what it has built of them.
fn link_other_packages(workspace: &Path, package: &str) {
    fs::create_dir_all(workspace.join("crates")).unwrap();
    let crates =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| Path::new("crates").join(entry.unwrap().file_name()));
    let folders = ["apps", "benches", "examples", "tests", "xtask"].map(PathBuf::from);
    for name in crates.filter(|name| !name.ends_with(package)).chain(folders) {
        let (from, link) = (root().join(&name), workspace.join(&name));
        if fs::read_link(&link).ok().as_ref() != Some(&from) {
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(&from, &link).unwrap();
        }
    }
}

#[test]
#[ignore = "writes into the target directory of the other tests; .ci/run runs it alone"]
fn the_path_works() {
    run("A path", "fm-core", "smoothstep");
}

#[test]
#[ignore = "writes into the target directory of the other tests; .ci/run runs it alone"]
fn the_network_works() {
    run("A network", "fm-models", "residual");
}
