//! `cargo xtask quickstart`: from a fresh clone to a picture of digits, by running the very commands that it prints.

use crate::libtorch::ensure_present;
use crate::shell::{cargo, execute, remove_ours, root, target};
use anyhow::Context;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// The run directory.
    #[arg(long, default_value = "runs/quickstart")]
    out: PathBuf,
    /// Train for other than the preset's steps (for trying the command out; fewer make worse digits).
    #[arg(long)]
    steps: Option<u64>,
}

pub(crate) fn run(args: &QuickstartArgs) -> anyhow::Result<()> {
    ensure_present()?;
    println!("building cifar-train (the first build takes some minutes)");
    execute(&mut cargo(&["build", "-p", "cifar-train"]))?;
    let started = Instant::now();
    let out = root().join(&args.out);
    train(&out, args.steps)?;
    let drawn = |name: &str| out.join(name);
    let (samples, gif) = (drawn("samples.png"), drawn("trajectory.gif"));
    let sample = [
        "sample",
        "--checkpoint",
        text(&out)?,
        "--class-grid",
        "--samples-per-class",
        "10",
        "--out",
        text(&samples)?,
        "--gif",
        text(&gif)?,
    ];
    execute(program().args(sample))?;
    let json = drawn("evaluation.json");
    execute(program().args(["evaluate", "--checkpoint", text(&out)?, "--json", text(&json)?]))?;
    println!(
        "\nDone in {:.0} s without the build. Look at {} and {}, then try:\n{NEXT}",
        started.elapsed().as_secs_f64(),
        samples.display(),
        gif.display()
    );
    Ok(())
}

const NEXT: &str = "
  cargo xtask fetch-cifar10                                  # 50,000 colour images
  cargo run --release -p cifar-train -- train --preset cifar10-tiny
  cargo run -p cifar-train -- sample --checkpoint runs/quickstart --class-label 3 --cfg-scale 4 --out threes.png
  cargo run -p cifar-train -- inspect runs/quickstart
  cargo run -p cifar-train -- report runs/quickstart
  cargo xtask test                                           # every test of the workspace
  cargo xtask doctor                                         # is a GPU visible, and if not, why";

/// The program itself rather than `cargo run`, so that Ctrl-C reaches it alone.
fn program() -> Command {
    let mut command = Command::new(target().join("debug").join("cifar-train"));
    command.current_dir(root());
    command
}

/// What a run directory holds.
const RUN_ENTRIES: [&str; 10] = [
    "best",
    "checkpoints",
    "config.toml",
    "metrics.jsonl",
    "report.html",
    "run.lock",
    "samples",
    "samples.png",
    "tensorboard",
    "timing.jsonl",
];

/// Trains, or goes on with a quickstart that was interrupted; a finished one is made anew.
fn train(out: &Path, steps: Option<u64>) -> anyhow::Result<()> {
    let finished = out.join("samples.png").exists();
    if finished {
        remove_ours(out, &RUN_ENTRIES)?;
    }
    let mut command = program();
    command.args(["train", "--out", text(out)?]);
    if has_checkpoint(out) {
        command.arg("--resume");
    } else {
        command.args(["--preset", "quickstart"]);
    }
    if let Some(steps) = steps {
        command.args(["--steps", &steps.to_string()]);
    }
    execute(&mut command)
}

fn has_checkpoint(out: &Path) -> bool {
    std::fs::read_dir(out.join("checkpoints")).is_ok_and(|mut entries| entries.next().is_some())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not valid UTF-8", path.display()))
}
