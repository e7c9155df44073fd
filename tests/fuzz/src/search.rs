//! The search by libFuzzer, whose program is built with counters in every branch.

use anyhow::{Context, ensure};
use fm_terminal::{eprintln, println};
use fuzz::Target;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask_shell::{cargo, execute, output, target};

/// Counters per edge, the table that names their places, and the operands of comparisons: what
/// libFuzzer follows. Stable Rust passes these to LLVM.
const COUNTERS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// The longest input, in bytes.
const LONGEST: usize = 1 << 15;

/// Searches for a time per target; returns whether nothing was found. What libFuzzer keeps is in
/// `target/fuzz/kept`, and the next search goes on from there.
pub(crate) fn search(targets: &[&'static Target], seconds: u64, seed: u64, finds: &Path) -> anyhow::Result<bool> {
    let program = build()?;
    std::fs::create_dir_all(finds).with_context(|| format!("cannot create {}", finds.display()))?;
    let mut good = true;
    for target in targets {
        let kept = kept(target)?;
        // In memory, where the system has such a folder.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let scratch = tempfile::Builder::new().prefix("fuzz-").tempdir_in(place)?;
        println!("{}: {seconds} s", target.name);
        let mut command = Command::new(&program);
        command.env("FUZZ_TARGET", target.name).env("FUZZ_SCRATCH", scratch.path());
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LONGEST}"));
        command.arg(format!("-seed={}", seed.max(1))).args([
            "-timeout=20",
            "-rss_limit_mb=4096",
            "-print_final_stats=1",
        ]);
        command.arg(format!("-artifact_prefix={}/{}-", finds.display(), target.name)).arg(kept);
        let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
        if !status.success() {
            eprintln!("FAIL {}: its input is in {}", target.name, finds.display());
            good = false;
        }
    }
    Ok(good)
}

/// The folder that libFuzzer reads and extends, with the seeds of the target in it.
fn kept(fuzzed: &Target) -> anyhow::Result<PathBuf> {
    let folder = target().join("fuzz").join("kept").join(fuzzed.name);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (k, seed) in (fuzzed.seeds)().iter().enumerate() {
        let file = folder.join(format!("seed-{k}"));
        std::fs::write(&file, seed).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(folder)
}

/// Builds the program, for the host by its name, so that build scripts have no counters.
fn build() -> anyhow::Result<PathBuf> {
    let about = output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let (place, features) =
        (target().join("fuzz").join("build"), if cfg!(feature = "tch") { "guided,tch" } else { "guided" });
    let mut command =
        cargo(&["build", "--package", "fuzz", "--bin", "fuzz-guided", "--features", features, "--target", host]);
    command.arg("--target-dir").arg(&place).env("RUSTFLAGS", COUNTERS.join(" "));
    execute(&mut command)?;
    let program = place.join(host).join("debug").join("fuzz-guided");
    ensure!(program.is_file(), "the build made no {}; remove {} and try again", program.display(), place.display());
    Ok(program)
}
