//! Requirements of crates.io and docs.rs for every crate; a check of `cargo xtask tidy`. It builds
//! nothing.

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use xtask_shell::{cargo, output, root};

/// Category slugs of crates.io that fit this workspace.
const CATEGORIES: [&str; 8] = [
    "algorithms",
    "api-bindings",
    "concurrency",
    "mathematics",
    "multimedia::images",
    "network-programming",
    "science",
    "simulation",
];
const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];
/// Libraries whose types are part of the crates' public interfaces.
const INTERFACES: [&str; 3] = ["ndarray", "rand", "tch"];
const VERSIONS: &str = "docs/versions.md";
const CI: &str = ".ci/run";

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    /// Registries; an empty list is `publish = false`.
    publish: Option<Vec<String>>,
    description: Option<String>,
    license: Option<String>,
    repository: Option<String>,
    rust_version: Option<String>,
    readme: Option<PathBuf>,
    keywords: Vec<String>,
    categories: Vec<String>,
    features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    metadata: Value,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `*` if no version is given.
    req: String,
    /// None, "dev" or "build".
    kind: Option<String>,
    path: Option<PathBuf>,
}

/// Checks the requirements; returns one line per problem.
pub(crate) fn check() -> anyhow::Result<Vec<String>> {
    let metadata = output(&mut cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
    problems(&serde_json::from_str(&metadata).context("cannot read `cargo metadata`; correct this check")?, &root())
}

fn problems(workspace: &Metadata, root: &Path) -> anyhow::Result<Vec<String>> {
    let read = |name: &str| fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"));
    let (published, kept): (Vec<_>, Vec<_>) = workspace.packages.iter().partition(|p| is_published(p));
    let kept: BTreeSet<_> = kept.into_iter().map(|p| p.name.as_str()).collect();
    let has_repository = published.iter().any(|p| p.repository.is_some());
    let mut found = packaged(&read(CI)?, &kept);
    let page = read(VERSIONS)?;
    for package in published {
        let mut missing = fields(package);
        if has_repository && package.repository.is_none() {
            missing.push("no repository".into());
        }
        missing.extend(dependencies(package, &kept));
        missing.extend(files(package, &LICENCES.map(read).into_iter().collect::<Result<Vec<_>, _>>()?));
        missing.extend(versions(package, &page).map(|row| format!("{VERSIONS} has no row for {row}")));
        found.extend(missing.into_iter().map(|problem| format!("{}: {problem}", package.name)));
    }
    Ok(found)
}

fn is_published(package: &Package) -> bool {
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

fn fields(package: &Package) -> Vec<String> {
    let mut missing = Vec::new();
    for (name, value) in
        [("description", &package.description), ("license", &package.license), ("rust-version", &package.rust_version)]
    {
        if value.as_ref().is_none_or(|text| text.trim().is_empty()) {
            missing.push(format!("no {name}"));
        }
    }
    let allowed =
        |word: &String| word.len() <= 20 && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_+".contains(c));
    if !(1..=5).contains(&package.keywords.len()) || !package.keywords.iter().all(allowed) {
        missing.push("keywords: needs 1 to 5 words of at most 20 letters, digits, -, _ or +".into());
    }
    if package.categories.is_empty() || !package.categories.iter().all(|slug| CATEGORIES.contains(&slug.as_str())) {
        missing.push(format!("categories: needs one or more of {}", CATEGORIES.join(", ")));
    }
    if package.dependencies.iter().any(|d| d.name == "tch") {
        let features = package.metadata.pointer("/docs/rs/features").and_then(Value::as_array);
        let on = features.is_some_and(|list| list.iter().any(|f| f == "doc-only"));
        if !on || !package.features.contains_key("doc-only") {
            missing
                .push("docs.rs has no libtorch: needs a feature doc-only, listed in package.metadata.docs.rs".into());
        }
    }
    missing
}

/// A dependency with only a path is left out of the package, which is allowed only for a
/// dev-dependency.
fn dependencies(package: &Package, kept: &BTreeSet<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
        let Dependency { name, req, kind, .. } = dependency;
        if req == "*" && kind.as_deref() != Some("dev") {
            wrong.push(format!("the path dependency {name} has no version"));
        }
        if req != "*" && kept.contains(name.as_str()) {
            wrong.push(format!("depends on {name}, which is not published"));
        }
    }
    wrong
}

fn files(package: &Package, licences: &[String]) -> Vec<String> {
    let directory = package.manifest_path.parent().unwrap_or(Path::new("."));
    let mut wrong = Vec::new();
    for (name, text) in LICENCES.iter().zip(licences) {
        if fs::read_to_string(directory.join(name)).ok().as_ref() != Some(text) {
            wrong.push(format!("{name} is missing or differs from the workspace's"));
        }
    }
    // Each embedded work has its own licence, in addition to the licence of the code.
    let assets = fs::read_dir(directory.join("assets")).into_iter().flatten().flatten();
    let embedded = assets.filter(|f| f.file_name().to_string_lossy().starts_with("LICENSE-")).count();
    let named = package.license.as_ref().map_or(0, |text| text.matches(" AND ").count());
    if embedded != named {
        wrong.push(format!("license names {named} licence(s) of embedded data, assets/ has {embedded}"));
    }
    let Some(readme) = package.readme.as_ref().and_then(|name| fs::read_to_string(directory.join(name)).ok()) else {
        wrong.push("no README".into());
        return wrong;
    };
    let library = fs::read_to_string(directory.join("src/lib.rs")).unwrap_or_default();
    if !readme.contains("\n```rust\n") || !library.contains("#[cfg(doctest)]\n#[doc = include_str!(\"../README.md\")]")
    {
        wrong.push("the README has no example that src/lib.rs includes as a doctest".into());
    }
    wrong.extend(versions(package, &readme).map(|row| format!("the README has no row for {row}")));
    wrong
}

/// The versions that are missing in a table of `text`.
fn versions(package: &Package, text: &str) -> impl Iterator<Item = String> {
    let mut missing = Vec::new();
    for dependency in &package.dependencies {
        let (name, version) = (&dependency.name, dependency.req.trim_start_matches(['^', '=']));
        if dependency.kind.is_none() && INTERFACES.contains(&name.as_str()) {
            let shown = |line: &str| line.starts_with(&format!("| `{name}`")) && line.contains(&format!("| {version}"));
            if !text.lines().any(shown) {
                missing.push(format!("{name} {version}"));
            }
        }
    }
    let rust = format!("Rust {}", package.rust_version.as_deref().unwrap_or_default());
    if !text.contains(&rust) {
        missing.push(rust);
    }
    missing.into_iter()
}

/// CI packages every published crate. cargo does not skip unpublished ones by itself.
fn packaged(ci: &str, kept: &BTreeSet<&str>) -> Vec<String> {
    let command = "cargo package --workspace --no-verify --offline --allow-dirty";
    let Some(line) = ci.lines().find(|line| line.starts_with(command)) else {
        return vec![format!("{CI} does not run `{command}`")];
    };
    let words: Vec<_> = line.split_whitespace().collect();
    let excluded: BTreeSet<_> = words.windows(2).filter(|pair| pair[0] == "--exclude").map(|pair| pair[1]).collect();
    let differing = excluded.symmetric_difference(kept);
    differing.map(|name| format!("{CI}: --exclude and publish = false disagree about {name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const README: &str =
        "# fm-x\n\n```rust\n```\n\nRust 1.91 or newer.\n\n| library | version |\n|---|---|\n| `tch` | 0.24.0 |\n";
    const LIBRARY: &str =
        "//! X.\n\n#[cfg(doctest)]\n#[doc = include_str!(\"../README.md\")]\nstruct ReadmeDoctests;\n";
    const PACKAGE: &str = "cargo package --workspace --no-verify --offline --allow-dirty --exclude xtask\n";

    /// A workspace with one complete crate and one that is not published.
    fn workspace(root: &Path) -> Value {
        let write = |name: &str, text: &str| {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), text).unwrap();
        };
        for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
            write(name, name);
            write(&format!("x/{name}"), name);
        }
        write("x/assets/LICENSE-digits", "CC BY");
        write("x/README.md", README);
        write("x/src/lib.rs", LIBRARY);
        write(VERSIONS, README);
        write(CI, PACKAGE);
        let package = json!({
            "name": "fm-x", "manifest_path": root.join("x/Cargo.toml"), "publish": null, "description": "X",
            "license": "(MIT OR Apache-2.0) AND CC-BY-4.0", "repository": null, "rust_version": "1.91", "readme": "README.md",
            "keywords": ["ode"], "categories": ["science"], "features": {"doc-only": ["tch/doc-only"]},
            "metadata": {"docs": {"rs": {"features": ["doc-only"]}}},
            "dependencies": [
                {"name": "fm-y", "req": "^0.1.0", "kind": null, "path": root},
                {"name": "tch", "req": "=0.24.0", "kind": null},
                {"name": "xtask", "req": "*", "kind": "dev", "path": root},
            ],
        });
        let mut kept = package.clone();
        kept["name"] = "xtask".into();
        kept["publish"] = json!([]);
        kept["description"] = Value::Null;
        json!({"packages": [package, kept]})
    }

    fn found(root: &Path, workspace: &Value) -> Vec<String> {
        problems(&serde_json::from_value(workspace.clone()).unwrap(), root).unwrap()
    }

    #[test]
    fn a_complete_crate_passes_and_each_missing_field_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let complete = workspace(dir.path());
        assert_eq!(found(dir.path(), &complete), [""; 0]);
        for (field, value, message) in [
            ("/description", Value::Null, "no description"),
            ("/license", json!(" "), "no license"),
            ("/license", json!("MIT"), "license names 0 licence(s) of embedded data, assets/ has 1"),
            ("/rust_version", Value::Null, "no rust-version"),
            ("/readme", Value::Null, "no README"),
            ("/keywords", json!([]), "keywords: needs 1 to 5"),
            ("/keywords", json!(["a", "b", "c", "d", "e", "f"]), "keywords: needs 1 to 5"),
            ("/keywords", json!(["machine learning"]), "keywords: needs 1 to 5"),
            ("/categories", json!(["machine-learning"]), "categories: needs one or more of"),
            ("/features", json!({}), "docs.rs has no libtorch"),
            ("/metadata", Value::Null, "docs.rs has no libtorch"),
            ("/dependencies/0/req", json!("*"), "the path dependency fm-y has no version"),
            ("/dependencies/2/req", json!("^0.1.0"), "depends on xtask, which is not published"),
            ("/dependencies/1/req", json!("=0.25.0"), "the README has no row for tch 0.25.0"),
        ] {
            let mut broken = complete.clone();
            *broken.pointer_mut(&format!("/packages/0{field}")).unwrap() = value;
            let lines = found(dir.path(), &broken);
            assert!(lines.iter().any(|line| line.starts_with(&format!("fm-x: {message}"))), "{field}: {lines:?}");
        }
        let mut two = complete.clone();
        two["packages"][1]["publish"] = Value::Null;
        two["packages"][1]["repository"] = "a".into();
        assert!(found(dir.path(), &two).contains(&"fm-x: no repository".to_owned()));
    }

    #[test]
    fn files_that_are_missing_or_stale_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let complete = workspace(dir.path());
        for (name, text, message) in [
            ("x/LICENSE-MIT", "other", "fm-x: LICENSE-MIT is missing or differs from the workspace's"),
            ("x/README.md", "# fm-x\n", "fm-x: the README has no example that src/lib.rs includes as a doctest"),
            ("x/README.md", "# fm-x\n", "fm-x: the README has no row for Rust 1.91"),
            ("x/src/lib.rs", "//! X.\n", "fm-x: the README has no example that src/lib.rs includes as a doctest"),
            (VERSIONS, "Rust 1.91", "fm-x: docs/versions.md has no row for tch 0.24.0"),
            (
                CI,
                "cargo test\n",
                ".ci/run does not run `cargo package --workspace --no-verify --offline --allow-dirty`",
            ),
            (CI, &PACKAGE.replace("xtask", "fm-x"), ".ci/run: --exclude and publish = false disagree about xtask"),
        ] {
            let path = dir.path().join(name);
            let before = fs::read_to_string(&path).unwrap();
            fs::write(&path, text).unwrap();
            let lines = found(dir.path(), &complete);
            assert!(lines.iter().any(|line| line == message), "{name}: {lines:?}");
            fs::write(&path, before).unwrap();
        }
        assert_eq!(found(dir.path(), &complete), [""; 0]);
    }
}
