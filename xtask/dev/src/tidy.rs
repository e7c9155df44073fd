//! `cargo xtask tidy`: checks the invariants of docs/architecture.md that the compiler does not
//! check.

use anyhow::{Context, ensure};
use fm_terminal::println;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask_shell::{cargo, output, root};

/// Crates that must work without libtorch.
const TORCH_FREE: [&str; 5] = ["fm-core", "fm-ot", "fm-solvers", "fm-data", "fm-metrics"];
/// Crates that must not depend on each other.
const SIBLINGS: [&str; 6] = ["fm-ot", "fm-solvers", "fm-models", "fm-data", "fm-metrics", "fm-dist"];
const LONGEST_FILE: usize = 400;

/// A check of one invariant; returns one line per violation.
type Check = fn() -> anyhow::Result<Vec<String>>;

pub(crate) fn run() -> anyhow::Result<()> {
    let checks: [(&str, Check); 12] = [
        ("torch-free crates stay torch-free", torch_free),
        ("sibling crates do not depend on each other", siblings),
        ("dependency trees stay light", heavy),
        ("files do not import each other in circles", circles),
        ("no file is too long", long_files),
        ("modules open with documentation", undocumented),
        ("prose follows docs/style.md", prose),
        ("pages are in the book, and links lead somewhere", pages),
        ("quoted messages are those of the programs", quotes),
        ("error texts have cause and remedy", errors),
        ("files are read with a budget", readers),
        ("crates are ready for crates.io and docs.rs", crate::publish::check),
    ];
    let mut problems = 0;
    for (name, check) in checks {
        let found = check()?;
        println!("{} {name}", if found.is_empty() { "ok  " } else { "FAIL" });
        found.iter().for_each(|problem| println!("       {problem}"));
        problems += found.len();
    }
    ensure!(problems == 0, "{problems} violation(s) of docs/architecture.md; correct what the lines above name");
    Ok(())
}

/// `cargo tree -p X -e normal -i torch-sys` must find nothing; for fm-train it must find something,
/// otherwise the check itself is broken.
fn torch_free() -> anyhow::Result<Vec<String>> {
    let depends = |name: &&str| {
        let tree = output(&mut cargo(&["tree", "-p", name, "-e", "normal", "-i", "torch-sys"]));
        tree.is_ok_and(|text| text.contains("torch-sys"))
    };
    ensure!(depends(&"fm-train"), "`cargo tree` no longer finds torch-sys where it is; correct this check");
    Ok(TORCH_FREE.into_iter().filter(depends).map(|name| format!("{name} depends on torch-sys")).collect())
}

fn siblings() -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for name in SIBLINGS.into_iter().chain(["fm-train"]) {
        let tree = output(&mut cargo(&["tree", "-p", name, "-e", "normal", "--all-features", "--prefix", "none"]))?;
        let others = SIBLINGS.into_iter().filter(|other| *other != name);
        let uses = others.filter(|other| tree.lines().any(|l| l.split(' ').next() == Some(other)));
        problems.extend(uses.map(|other| format!("{name} depends on {other}")));
    }
    Ok(problems)
}

/// Maximum number of crates in a dependency tree, including the root, without default features.
const LIGHT: [(&str, usize); 3] = [("fm-core", 30), ("fm-ot", 45), ("fm-data", 45)];

fn heavy() -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for (name, most) in LIGHT {
        let tree =
            output(&mut cargo(&["tree", "-p", name, "--no-default-features", "-e", "normal", "--prefix", "none"]))?;
        let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
        if crates.len() > most {
            problems.push(format!("{name} has {} crates in its tree; keep it to {most}", crates.len()));
        }
    }
    Ok(problems)
}

fn circles() -> anyhow::Result<Vec<String>> {
    let files: Vec<PathBuf> = sources()?.into_iter().filter(|p| p.iter().any(|part| part == "src")).collect();
    let roots = files.iter().filter(|p| p.ends_with("lib.rs") || p.ends_with("main.rs")).filter_map(|p| p.parent());
    let mut crates: BTreeMap<&Path, Vec<PathBuf>> = roots.map(|root| (root, Vec::new())).collect();
    for file in &files {
        // A program may be in a folder of a crate together with others.
        let root = file.ancestors().find(|ancestor| crates.contains_key(ancestor));
        root.and_then(|root| crates.get_mut(root)).into_iter().for_each(|own| own.push(file.clone()));
    }
    let found: Result<Vec<_>, _> = crates.iter().map(|(src, own)| crate::circles::of_crate(src, own)).collect();
    Ok(found?.concat())
}

fn long_files() -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for path in sources()? {
        let lines = read(&path)?.lines().count();
        if lines > LONGEST_FILE {
            problems.push(format!("{} has {lines} lines, more than {LONGEST_FILE}", path.display()));
        }
    }
    Ok(problems)
}

fn undocumented() -> anyhow::Result<Vec<String>> {
    let library = |p: &PathBuf| p.starts_with("crates") && p.components().any(|c| c.as_os_str() == "src");
    let tests = |p: &PathBuf| p.to_string_lossy().ends_with("tests.rs");
    let mut problems = Vec::new();
    for path in sources()?.into_iter().filter(|p| library(p) && !tests(p)) {
        if !read(&path)?.starts_with("//! ") {
            problems.push(format!("{} does not open with //!", path.display()));
        }
    }
    Ok(problems)
}

fn prose() -> anyhow::Result<Vec<String>> {
    crate::prose::violations(&[sources()?, files("*.md")?].concat())
}

fn pages() -> anyhow::Result<Vec<String>> {
    crate::pages::check(&files("*.md")?)
}

fn quotes() -> anyhow::Result<Vec<String>> {
    crate::quotes::check(&sources()?)
}

fn errors() -> anyhow::Result<Vec<String>> {
    crate::errors::check(&sources()?)
}

fn readers() -> anyhow::Result<Vec<String>> {
    crate::readers::check(&sources()?)
}

/// Rust files under version control, and new ones that are not ignored.
pub(crate) fn sources() -> anyhow::Result<Vec<PathBuf>> {
    files("*.rs")
}

fn files(pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard", pattern]);
    let listed = output(&mut git).context("tidy needs git")?;
    Ok(listed.lines().map(PathBuf::from).filter(|p| root().join(p).exists()).collect())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {}", path.display()))
}
