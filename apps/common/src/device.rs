//! Devices. A binary linked against the CPU libtorch sees the GPU once `libtorch_cuda.so` is loaded, so one binary serves both.

use anyhow::{Context, bail};
use fm_dist::place::Place;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::error::Error;
use std::path::PathBuf;
use tch::{Cuda, Device};

/// Turns `auto`, `cpu`, `cuda` or `cuda:N` into a device. Of several processes on a machine, each takes a GPU of its own where no N is given.
/// Must run before the first tensor.
///
/// # Errors
/// An unknown name, or CUDA asked for where there is none; the message says why.
pub fn select(name: &str) -> anyhow::Result<Device> {
    let own = Place::from_env()?.map_or(0, |place| place.local_rank);
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "auto" if load_cuda().is_err() || !Cuda::is_available() => return Ok(Device::Cpu),
        "auto" | "cuda" => own,
        other => match other.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()) {
            Some(index) => index,
            None => bail!("no device is called '{other}'; choose auto, cpu, cuda or cuda:N"),
        },
    };
    load_cuda().with_context(|| format!("--device {name} is not possible here; use --device cpu"))?;
    let count = Cuda::device_count().max(0) as usize;
    if index >= count {
        bail!(
            "--device {name} is not possible here: libtorch sees {count} CUDA device(s); see `cargo xtask doctor`, or use --device cpu"
        );
    }
    Ok(Device::Cuda(index))
}

/// Loads `libtorch_cuda.so` from the libtorch that this program was built with, or from LD_LIBRARY_PATH where that one is not.
fn load_cuda() -> anyhow::Result<()> {
    const NAME: &str = "libtorch_cuda.so";
    if Cuda::is_available() {
        return Ok(());
    }
    let built_with = PathBuf::from(env!("LIBTORCH_LIB_DIR"));
    let mut reasons = Vec::new();
    for candidate in [built_with.join("cuda").join(NAME), built_with.join(NAME), PathBuf::from(NAME)] {
        // SAFETY: libtorch's own initialisers run here, before any tensor exists; the library stays loaded for good.
        #[allow(unsafe_code)]
        match unsafe { Library::open(Some(&candidate), RTLD_NOW | RTLD_GLOBAL) } {
            Ok(library) => {
                std::mem::forget(library);
                return Ok(());
            }
            Err(error) => reasons.push(error.source().map_or_else(|| error.to_string(), ToString::to_string)),
        }
    }
    bail!("{NAME} does not load ({}); `cargo xtask fetch-libtorch --variant cu130` brings one", reasons.join("; "))
}

/// Peak resident memory of this process in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    status("VmHWM:")
}

/// Resident memory of this process in bytes, where the system tells.
pub fn resident_memory() -> Option<u64> {
    status("VmRSS:")
}

fn status(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with(key))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
