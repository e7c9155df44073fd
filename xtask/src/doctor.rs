//! `cargo xtask doctor`: reports what is installed, and how to fix what is missing.

use crate::cuda;
use crate::libtorch::{home, verify};
use fm_terminal::println;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask_shell::{output, python};

/// One finding; a problem includes its fix.
struct Finding {
    subject: &'static str,
    text: String,
    fix: Option<String>,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let findings = [libtorch(), compiler(), cuda(), driver(), threads(), pip()];
    for Finding { subject, text, fix } in findings {
        println!("{} {subject:<10} {text}", if fix.is_none() { "ok  " } else { "look" });
        if let Some(fix) = fix {
            println!("                {fix}");
        }
    }
    Ok(())
}

fn finding(subject: &'static str, text: impl Into<String>, fix: Option<&str>) -> Finding {
    Finding { subject, text: text.into(), fix: fix.map(str::to_owned) }
}

fn libtorch() -> Finding {
    if let Some(other) = std::env::var_os("LIBTORCH").filter(|dir| Path::new(dir) != home()) {
        return finding(
            "libtorch",
            format!("LIBTORCH points to {}; cargo uses that one", Path::new(&other).display()),
            None,
        );
    }
    match verify(&home()) {
        Ok(m) => {
            finding("libtorch", format!("{} {} from {}; every hash matches", m.version, m.variant, m.source), None)
        }
        Err(error) => finding("libtorch", format!("{error:#}"), Some("fix: cargo xtask fetch-libtorch")),
    }
}

fn compiler() -> Finding {
    match output(Command::new("c++").arg("--version")) {
        Ok(text) => finding("c++", text.lines().next().unwrap_or_default(), None),
        Err(_) => finding("c++", "no C++ compiler", Some("fix: install g++ or clang (Debian: apt-get install g++)")),
    }
}

fn cuda() -> Finding {
    let lib = std::env::var_os("LIBTORCH").map_or_else(home, PathBuf::from).join("lib");
    let counted = cuda::find(&lib).map(|half| cuda::count(&lib, &half).map_err(|error| format!("{error:#}")));
    let (text, fix) = cuda_verdict(counted, driver_version().is_some());
    finding("CUDA", text, fix)
}

/// The report on libtorch's CUDA half (`None` if there is no such file) and a driver, with the fix.
fn cuda_verdict(counted: Option<Result<usize, String>>, driver: bool) -> (String, Option<&'static str>) {
    const NO_DRIVER: &str = "fix: install NVIDIA's driver, or use --device cpu";
    const OTHER_BUILD: &str = "fix: cargo xtask fetch-libtorch --variant cu130 --from auto";
    match (counted, driver) {
        (Some(Ok(count)), _) if count > 0 => {
            (format!("libtorch counts {count} CUDA device(s); --device cuda works"), None)
        }
        (Some(Ok(_)), true) => (
            "libtorch's CUDA half loads but counts no device; --device cuda does not work".into(),
            Some(
                "fix: check with nvidia-smi that a GPU is visible, that CUDA_VISIBLE_DEVICES does not hide it, and that the driver supports this CUDA version",
            ),
        ),
        (Some(Ok(_)), false) => {
            ("libtorch's CUDA half loads but counts no device: there is no NVIDIA driver".into(), Some(NO_DRIVER))
        }
        (Some(Err(reason)), true) => (format!("libtorch's CUDA half does not load: {reason}"), Some(OTHER_BUILD)),
        (Some(Err(reason)), false) => {
            (format!("libtorch's CUDA half does not load, and there is no NVIDIA driver: {reason}"), Some(NO_DRIVER))
        }
        (None, true) => ("there is a driver, but libtorch is a CPU build".into(), Some(OTHER_BUILD)),
        (None, false) => ("no driver, and libtorch is a CPU build; programs run on the CPU".into(), None),
    }
}

fn driver_version() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok();
    let asked =
        || output(Command::new("nvidia-smi").args(["--query-gpu=name,driver_version", "--format=csv,noheader"])).ok();
    asked().or(text).and_then(|t| t.lines().next().map(str::to_owned))
}

fn driver() -> Finding {
    finding(
        "driver",
        driver_version().unwrap_or_else(|| "no NVIDIA driver (fine on a machine without their GPU)".into()),
        None,
    )
}

fn threads() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match std::env::var("OMP_NUM_THREADS").ok().and_then(|n| n.parse::<usize>().ok()) {
        Some(n) if n > cores => finding(
            "threads",
            format!("OMP_NUM_THREADS is {n} on {cores} cores"),
            Some("fix: unset OMP_NUM_THREADS; more threads than cores is slower"),
        ),
        Some(n) => finding("threads", format!("{n} of {cores} cores, by OMP_NUM_THREADS"), None),
        None => finding("threads", format!("{cores} cores, all used"), None),
    }
}

fn pip() -> Finding {
    let version = python().and_then(|p| output(Command::new(p).args(["-m", "pip", "--version"])));
    match version {
        Ok(text) => finding("pip", text.trim(), None),
        Err(_) => finding(
            "pip",
            "no pip: libtorch cannot come from the Python package index",
            Some("fix: install python3-pip, if the official archive cannot be reached either"),
        ),
    }
}
