//! `cargo xtask gpu-pack`: makes a folder that checks and measures the programs on a machine with a
//! GPU and Python with PyTorch 2.11, but without cargo and network.

use crate::package::RPATH;
use anyhow::{Context, ensure};
use clap::Args;
use fm_terminal::println;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use xtask_shell::CUDA_HALF;
use xtask_shell::{cargo, execute, ours, python, root, target};
use xtask_shell::{ensure_libtorch, libtorch};

const PROGRAMS: [&str; 3] = ["cifar-train", "tabular-train", "gpu-check"];
const NCCL: &str = "libfm_nccl.so";
const RUN: &str = include_str!("run.sh");
const TABLE: &str = include_str!("table.py");
/// Wheels for the machine with the GPU; they are pure Python, so they fit any machine.
const WHEELS: [&str; 1] = ["torchcfm==1.0.7"];
const LIMIT: u64 = 50 << 20;

#[derive(Debug, Args)]
pub(crate) struct GpuPackArgs {
    /// Directory of the pack; an existing pack is replaced.
    #[arg(long, value_name = "DIR", default_value = "target/gpu-pack")]
    out: PathBuf,
    /// Cargo profile of the programs.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Include the NCCL half; building it needs the headers of CUDA and NCCL.
    #[arg(long)]
    nccl: bool,
    /// Run all of run.sh on this machine with tiny sizes, on a pretend GPU.
    #[arg(long = "try")]
    try_out: bool,
    /// Directory of a libtorch_cuda.so for --try, instead of the tests' pretend GPU.
    #[arg(long, value_name = "DIR")]
    cuda_half: Option<PathBuf>,
}

pub(crate) fn run(args: &GpuPackArgs) -> anyhow::Result<()> {
    ensure_libtorch()?;
    let pack = root().join(&args.out);
    // Fail before the build rather than after.
    ours::claim(&pack)?;
    let half = if args.try_out { Some(pretend_half(args.cuda_half.as_deref())?) } else { None };
    let built = build(&args.profile, args.nccl)?;
    fill(&pack, &built, args.nccl)?;
    let size = size_of(&pack)?;
    ensure!(size <= LIMIT, "{} has {:.1} MiB; at most {} are allowed", pack.display(), mib(size), LIMIT >> 20);
    println!("{}: {:.1} MiB", pack.display(), mib(size));
    half.map_or(Ok(()), |half| try_pack(&pack, &half))
}

/// The directory of the library that `--try` uses as libtorch's CUDA half: the one given, or the
/// pretend GPU of the tests.
fn pretend_half(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let Some(given) = given else {
        let library = fm_pretend_gpu::build()?;
        return Ok(library.parent().context("the pretend GPU has no directory; build it again")?.to_owned());
    };
    let directory = given.canonicalize().with_context(|| format!("cannot find {}", given.display()))?;
    ensure!(
        directory.join(CUDA_HALF).exists(),
        "{} has no {CUDA_HALF}; run `cargo xtask fetch-libtorch --variant cu130`",
        directory.display()
    );
    Ok(directory)
}

/// Builds the programs and returns their directory.
fn build(profile: &str, nccl: bool) -> anyhow::Result<PathBuf> {
    let mut build =
        cargo(&["build", "--profile", profile, "-p", "cifar-train", "-p", "tabular-train", "-p", "fm-benches"]);
    build.args(PROGRAMS.iter().flat_map(|program| ["--bin", program]));
    build.args(["--features", if nccl { "fm-benches/tch,cifar-train/nccl" } else { "fm-benches/tch" }]);
    execute(build.env("FM_RPATH", RPATH))?;
    Ok(target().join(if profile == "dev" { "debug" } else { profile }))
}

fn fill(pack: &Path, built: &Path, nccl: bool) -> anyhow::Result<()> {
    ours::empty(pack)?;
    fs::create_dir_all(pack.join("wheels")).with_context(|| format!("cannot make {}", pack.display()))?;
    let copy = |from: PathBuf, name: &str| {
        fs::copy(&from, pack.join(name)).with_context(|| format!("cannot copy {}", from.display())).map(drop)
    };
    for program in PROGRAMS {
        copy(built.join(program), program)?;
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        copy(root().join(licence), licence)?;
    }
    copy(root().join("benches/peers/gpu_peers.py"), "gpu_peers.py")?;
    fs::write(pack.join("table.py"), TABLE)?;
    fs::write(pack.join("run.sh"), RUN)?;
    fs::set_permissions(pack.join("run.sh"), fs::Permissions::from_mode(0o755))?;
    match nccl_half(built).filter(|_| nccl) {
        Some(half) => copy(half, NCCL)?,
        None => println!("no NCCL half: build with --nccl where the headers of CUDA and NCCL are"),
    }
    wheels(&pack.join("wheels"));
    Ok(())
}

/// The newest NCCL half built by fm-dist's build script.
fn nccl_half(built: &Path) -> Option<PathBuf> {
    let builds = fs::read_dir(built.join("build")).ok()?.flatten();
    let halves = builds.map(|entry| entry.path().join("out").join(NCCL)).filter(|path| path.exists());
    halves.max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok())
}

/// Downloads the peers' wheels. A pack without them uses the packages installed on the other
/// machine.
fn wheels(directory: &Path) {
    for wheel in WHEELS {
        let downloaded = python().and_then(|python| {
            let mut pip = Command::new(python);
            pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
            pip.args(["--only-binary", ":all:", "--python-version", "3.12", "--platform", "manylinux_2_28_x86_64"]);
            execute(pip.args(["--retries", "1", "--timeout", "20", wheel, "-d"]).arg(directory))
        });
        if let Err(error) = downloaded {
            println!("no wheel of {wheel}: {error:#}");
        }
    }
}

fn size_of(directory: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        sum += if path.is_dir() { size_of(&path)? } else { path.metadata()?.len() };
    }
    Ok(sum)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Runs run.sh from a copy in another place, so that it cannot use files of this workspace.
fn try_pack(pack: &Path, half: &Path) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let place = place.path();
    let tried = || -> anyhow::Result<()> {
        execute(Command::new("cp").arg("-r").arg(pack).arg(place.join("pack")))?;
        let results = place.join("results");
        let lib = std::env::var_os("LIBTORCH").map_or_else(libtorch, PathBuf::from).canonicalize()?.join("lib");
        let mut script = Command::new(place.join("pack/run.sh"));
        script.current_dir(place).env_clear().env("HOME", place).env("OUT", &results);
        script.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("OMP_NUM_THREADS", "1");
        script.env("FM_GPU_CHECK_SMALL", "1").env("FM_LIMIT_SCALE", "5").env("PRETEND_OUT", place.join("counts.txt"));
        script.env("FM_TORCH_LIB", format!("{}:{}", half.display(), lib.display()));
        let started = Instant::now();
        execute(&mut script).with_context(|| format!("its results were {}", tail(&results.join("results.jsonl"))))?;
        println!("run.sh took {:.0} s on a pretend GPU", started.elapsed().as_secs_f64());
        check(&fs::read_to_string(results.join("results.jsonl"))?)
    };
    tried().context("the pack does not work")
}

/// The lines about failures.
fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| line.contains("\"ok\":false")).map(|line| format!("{line}\n")).collect()
}

/// Checks that every line parses, and that every part has lines other than its closing line.
fn check(results: &str) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for line in results.lines() {
        let value: serde_json::Value =
            serde_json::from_str(line).with_context(|| format!("not JSON; correct the script: {line}"))?;
        lines.push(value);
    }
    for part in ["load", "parity", "collectives", "speed", "peers", "profile", "training"] {
        let (ends, checks): (Vec<_>, Vec<_>) =
            lines.iter().filter(|line| line["part"] == part).partition(|line| line["check"] == "(part)");
        ensure!(
            ends.len() == 1 && !checks.is_empty(),
            "part {part} has {} lines and {} ends; correct the script",
            checks.len(),
            ends.len()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
