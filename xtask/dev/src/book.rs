//! `cargo xtask docs`: builds the book of docs/ with mdBook, and the Rust documentation beside it.

use anyhow::{Context, ensure};
use clap::Args;
use fm_terminal::{eprintln, println};
use std::path::PathBuf;
use std::process::Command;
use xtask_shell::{cargo, execute, output, root, target};

/// The version of mdBook; `cargo install --locked` builds it with the dependencies of its release.
const MDBOOK: &str = "0.5.4";

/// The crates of the Rust documentation.
const CRATES: [&str; 10] = [
    "flow-matching",
    "fm-core",
    "fm-torch",
    "fm-ot",
    "fm-solvers",
    "fm-data",
    "fm-metrics",
    "fm-models",
    "fm-train",
    "fm-dist",
];

#[derive(Debug, Args)]
pub(crate) struct DocsArgs {
    /// Build the book only, without the Rust documentation that its page `api.html` links.
    #[arg(long)]
    book_only: bool,
}

pub(crate) fn run(args: &DocsArgs) -> anyhow::Result<()> {
    let book = target().join("book");
    let mdbook = mdbook()?;
    output(Command::new(mdbook).current_dir(root()).arg("build").arg("--dest-dir").arg(&book))?;
    if !args.book_only {
        // All features: the parts on libtorch are documented without libtorch (feature doc-only).
        let mut doc = cargo(&["doc", "--no-deps", "--all-features"]);
        execute(doc.args(CRATES.iter().flat_map(|name| ["--package", name])))?;
    }
    println!("{}", book.join("index.html").display());
    Ok(())
}

/// The program of mdBook, which is installed below the target directory if it is missing.
fn mdbook() -> anyhow::Result<PathBuf> {
    let tools = target().join("tools");
    let program = tools.join("bin").join(format!("mdbook{}", std::env::consts::EXE_SUFFIX));
    if version(&program).is_some_and(|found| found == MDBOOK) {
        return Ok(program);
    }
    eprintln!("installing mdBook {MDBOOK} into {} (once; takes minutes)", tools.display());
    let mut install = cargo(&["install", "mdbook", "--version", MDBOOK, "--locked", "--quiet", "--force"]);
    // Without this variable, cargo builds in a temporary directory and removes it.
    install.env_remove("CARGO_TARGET_DIR");
    install.args(["--no-default-features", "--features", "search", "--root"]).arg(&tools);
    output(&mut install).with_context(|| {
        format!(
            "cannot install mdBook {MDBOOK}; check the network, or put an mdbook of this version into {}",
            tools.join("bin").display()
        )
    })?;
    ensure!(
        program.exists(),
        "cargo installed mdBook, but {} is missing; remove its folder and run again",
        program.display()
    );
    Ok(program)
}

/// The version that a program of mdBook prints: `mdbook v0.5.4`.
fn version(program: &std::path::Path) -> Option<String> {
    let printed = output(Command::new(program).arg("--version")).ok()?;
    Some(printed.trim().rsplit('v').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_crate_is_documented() {
        let mut folders: Vec<_> =
            root().join("crates").read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        let manifest =
            |name: &str| std::fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        folders.retain(|name| !manifest(name).contains("publish = false"));
        folders.sort_unstable();
        let mut crates = CRATES.to_vec();
        crates.sort_unstable();
        assert_eq!(crates, folders);
    }
}
