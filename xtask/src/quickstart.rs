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
use xtask_shell::{cargo, execute, remove_ours, root, target};

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
  cargo xtask fetch-cifar10                                  # 50,000 colour images
  cargo run -p cifar-train -- train --preset cifar10-tiny
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

/// Files that `train` writes into its run directory by default, and files of `report`, which the
/// last lines suggest.
const WRITTEN: [&str; 11] = [
    ".flow-matching-run",
    "best",
    "checkpoints",
    "config.toml",
    "loss.png",
    "metrics.jsonl",
    "report.html",
    "run.lock",
    "samples",
    "tensorboard",
    "timing.jsonl",
];

/// Creates the run directory, or replaces one with a finished quickstart; the directory of an
/// interrupted one is kept.
fn prepare(out: &Path) -> anyhow::Result<()> {
    let marker = out.join(MARKER);
    if marker.exists() && out.join(SAMPLES).exists() {
        let known = known(out)?;
        remove_ours(out, &known.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    if marker.exists() {
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

/// The names in a run directory that quickstart may remove: files of its commands, and incomplete
/// files of a killed one.
fn known(out: &Path) -> anyhow::Result<Vec<String>> {
    let words = showing(out)?.concat();
    let named = words.iter().filter_map(|word| Path::new(word).strip_prefix(out).ok()?.to_str());
    let whole: Vec<&str> = named.filter(|name| !name.is_empty()).chain(WRITTEN).collect();
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    let partial = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| {
        // Incomplete files: .NAME.flow-matching-PID.partial, and .NAME.partial of earlier versions.
        let inner = name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial")).unwrap_or_default();
        let whole_name = inner.rsplit_once(".flow-matching-").map_or(inner, |(name, _)| name);
        whole.contains(&whole_name)
    });
    Ok(whole.iter().map(|name| name.to_string()).chain(partial).chain([MARKER.to_owned()]).collect())
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
    path.to_str().with_context(|| format!("{} is not valid UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The names that the sources in a folder write into a run directory, found by the usual ways
    /// of writing them.
    fn written(folder: &Path, found: &mut BTreeSet<String>) {
        const WAYS: [&str; 6] = [
            "run.join(\"",
            "out.join(\"",
            "root.join(\"",
            "run.append(\"",
            "const LOCK: &str = \"",
            "const MARKER: &str = \"",
        ];
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                written(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let places = WAYS.iter().flat_map(|way| text.split(way).skip(1));
                found.extend(places.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn every_output_of_the_commands_is_known() {
        let out = Path::new("/somewhere/with a blank/run");
        let known = known(out).unwrap();
        let commands = [&[training(out, Some(4)).unwrap()][..], &showing(out).unwrap()].concat();
        for words in &commands {
            let named = words.windows(2).filter(|pair| ["--out", "--gif", "--json", "--npy"].contains(&&*pair[0]));
            for file in named.map(|pair| Path::new(&pair[1])).filter(|file| *file != out) {
                assert_eq!(file.parent(), Some(out), "{}", file.display());
                assert!(known.iter().any(|name| file.ends_with(name)), "{} is unknown", file.display());
            }
        }
        let mut found = BTreeSet::new();
        ["apps/common/src", "apps/cifar-train/src", "crates/fm-train/src"]
            .iter()
            .for_each(|folder| written(&root().join(folder), &mut found));
        for name in ["checkpoints", "config.toml", "loss.png", "metrics.jsonl", "run.lock", "tensorboard"] {
            assert!(found.contains(name), "the sources no longer show that they write {name}: {found:?}");
        }
        // Files of `train --pairs`, of `vqvae`, and of directories of pairs.
        let others = ["reflow.json", "autoencoder.json", "pairs.lock"];
        for name in found.iter().filter(|name| !others.contains(&name.as_str())) {
            assert!(known.contains(name), "{name} is unknown");
        }
    }

    #[test]
    fn a_finished_quickstart_is_replaced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("runs/quickstart");
        prepare(&out).unwrap();
        let partial = [".samples.png.flow-matching-7.partial".to_owned(), ".loss.png.partial".to_owned()];
        let fill = || {
            let names = known(&out).unwrap().into_iter().chain(partial.clone());
            names.for_each(|name| fs::write(out.join(&name), &name).unwrap());
        };
        fill();
        fs::remove_file(out.join(SAMPLES)).unwrap();
        prepare(&out).unwrap();
        assert!(out.join("loss.png").exists(), "an interrupted one goes on");
        fill();
        fs::write(out.join("thesis.tex"), "").unwrap();
        assert!(prepare(&out).unwrap_err().to_string().contains("thesis.tex") && out.join("loss.png").exists());
        fs::remove_file(out.join("thesis.tex")).unwrap();
        prepare(&out).unwrap();
        assert_eq!(fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>(), [MARKER]);
        fill();
        fs::remove_file(out.join(MARKER)).unwrap();
        assert!(prepare(&out).unwrap_err().to_string().contains("choose another --out"));
        assert!(out.join(SAMPLES).exists(), "a run that quickstart did not make is kept");
    }
}
