//! `cargo xtask quickstart`: from a fresh clone to a picture of digits, with the same commands that
//! it prints.

use crate::libtorch::ensure_present;
use anyhow::{Context, ensure};
use clap::Args;
use fm_terminal::println;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use xtask_shell::{cargo, execute, root, target};

#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// Run directory.
    #[arg(long, default_value = "runs/quickstart")]
    out: PathBuf,
    /// Number of training steps instead of the preset's (for testing the command; fewer steps give
    /// worse digits).
    #[arg(long)]
    steps: Option<u64>,
}

pub(crate) fn run(args: &QuickstartArgs) -> anyhow::Result<()> {
    ensure_present()?;
    println!("building cifar-train (the first build takes some minutes)");
    execute(&mut cargo(&["build", "-p", "cifar-train"]))?;
    let started = Instant::now();
    let out = root().join(&args.out);
    prepare(&out)?;
    for words in [training(&out, args.steps)?].into_iter().chain(showing(&out)?) {
        execute(program().args(words))?;
    }
    println!(
        "\nDone in {:.0} s without the build. Look at {} and {}, then try:\n{NEXT}",
        started.elapsed().as_secs_f64(),
        out.join(SAMPLES).display(),
        out.join(GIF).display()
    );
    Ok(())
}

const NEXT: &str = "
  cargo run -p cifar-train -- train --preset cifar10-tiny    # 50,000 colour images, fetched if missing
  cargo run -p cifar-train -- sample --checkpoint runs/quickstart --class-label 3 --cfg-scale 4 --out threes.png
  cargo run -p cifar-train -- inspect runs/quickstart
  cargo run -p cifar-train -- report runs/quickstart
  cargo xtask test                                           # every test of the workspace
  cargo xtask doctor                                         # is a GPU visible, and if not, why";

/// The program itself rather than `cargo run`, so that only the program gets Ctrl-C.
fn program() -> Command {
    let mut command = Command::new(target().join("debug").join("cifar-train"));
    command.current_dir(root());
    command
}

const SAMPLES: &str = "samples.png";
const GIF: &str = "trajectory.gif";

/// Marks a directory that quickstart made; it uses no other existing directory.
const MARKER: &str = ".quickstart";

/// Creates the run directory. That of an earlier quickstart goes on being used: its training is
/// resumed, which is short if it was complete, and nothing in it is deleted.
fn prepare(out: &Path) -> anyhow::Result<()> {
    let marker = out.join(MARKER);
    if marker.exists() {
        println!("{} exists: resuming it; for a new one, choose another --out", out.display());
        return Ok(());
    }
    let entries = out.exists().then(|| fs::read_dir(out)).transpose();
    let empty =
        entries.with_context(|| format!("cannot read {}", out.display()))?.into_iter().flatten().next().is_none();
    ensure!(
        empty,
        "cannot use {}: it has files and no {MARKER}, so quickstart did not make it; choose another --out, or move it away",
        out.display()
    );
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    fs::write(&marker, "").with_context(|| format!("cannot write {}", marker.display()))
}

/// The command that trains, or resumes an interrupted quickstart.
fn training(out: &Path, steps: Option<u64>) -> anyhow::Result<Vec<String>> {
    let mut words = vec!["train", "--out", text(out)?];
    words.extend(if has_checkpoint(out) { &["--resume"][..] } else { &["--preset", "quickstart"] });
    let steps = steps.map(|steps| ["--steps".to_owned(), steps.to_string()]);
    Ok(words.into_iter().map(String::from).chain(steps.into_iter().flatten()).collect())
}

/// The commands after the training. All files that they write are in the run directory.
fn showing(out: &Path) -> anyhow::Result<[Vec<String>; 2]> {
    let [samples, gif, json] = [SAMPLES, GIF, "evaluation.json"].map(|name| out.join(name));
    let sample = [
        "sample",
        "--checkpoint",
        text(out)?,
        "--class-grid",
        "--samples-per-class",
        "10",
        "--out",
        text(&samples)?,
        "--gif",
        text(&gif)?,
    ];
    let evaluate = ["evaluate", "--checkpoint", text(out)?, "--json", text(&json)?];
    Ok([sample.map(String::from).to_vec(), evaluate.map(String::from).to_vec()])
}

fn has_checkpoint(out: &Path) -> bool {
    fs::read_dir(out.join("checkpoints")).is_ok_and(|mut entries| entries.next().is_some())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not valid UTF-8; give another path", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_used_again_if_quickstart_made_it() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("runs/quickstart");
        prepare(&out).unwrap();
        fs::write(out.join(SAMPLES), "").unwrap();
        fs::create_dir_all(out.join("checkpoints/step-5")).unwrap();
        fs::write(out.join("checkpoints/thesis.tex"), "").unwrap();
        prepare(&out).unwrap();
        assert!(out.join(SAMPLES).exists() && out.join("checkpoints/thesis.tex").exists());
        assert!(training(&out, None).unwrap().contains(&"--resume".to_owned()));
        fs::rename(out.join(MARKER), out.join("other")).unwrap();
        assert!(prepare(&out).unwrap_err().to_string().contains("choose another --out"));
    }
}
