//! `cargo xtask doctor`: what is there, and the fix for what is not.

use crate::libtorch::{home, verify};
use crate::shell::{output, python};
use std::path::Path;
use std::process::Command;

/// One finding; a problem comes with its fix.
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
    let half = home().join("lib/cuda/libtorch_cuda.so");
    let driver = driver_version();
    match (half.exists(), driver) {
        (true, Some(_)) => finding("CUDA", "libtorch's CUDA half and a driver are there; use --device cuda", None),
        (true, None) => finding(
            "CUDA",
            "libtorch's CUDA half is there, but no driver",
            Some("fix: install NVIDIA's driver, or use --device cpu"),
        ),
        (false, Some(_)) => finding(
            "CUDA",
            "there is a driver, but libtorch is a CPU build",
            Some("fix: cargo xtask fetch-libtorch --variant cu130 --from auto"),
        ),
        (false, None) => {
            finding("CUDA", "not visible: no driver, and libtorch is a CPU build; programs run on the CPU", None)
        }
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
