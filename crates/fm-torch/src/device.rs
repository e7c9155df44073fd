//! Selection of a device.
//!
//! A program links only libtorch's CPU half, so that one binary runs everywhere. This module loads
//! the CUDA half, `libtorch_cuda.so`, when a GPU may be used. The order matters: libtorch checks
//! for CUDA once per process, at the first query, and a query before the CUDA half is loaded
//! disables CUDA for the whole process. `tch::Cuda` and `tch::manual_seed` make such a query. So
//! choose the device first.
//!
//! The CUDA half is searched in the directories of `LD_LIBRARY_PATH`, then in `cuda/` in the
//! directory of the loaded libtorch_cpu, then in that directory itself.
//!
//! ```
//! use fm_torch::device::DeviceChoice;
//! assert_eq!("cuda:1".parse::<DeviceChoice>()?, DeviceChoice::Cuda(Some(1)));
//! assert_eq!(DeviceChoice::Cuda(None).to_string(), "cuda");
//! let error = "gpu".parse::<DeviceChoice>().unwrap_err().to_string();
//! assert_eq!(error, "no device is called 'gpu'; choose auto, cpu, cuda or cuda:N");
//! # Ok::<(), fm_torch::TorchError>(())
//! ```

#![allow(unsafe_code, reason = "loads a shared library and calls the shim")]

use crate::TorchError;
use crate::ffi;
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;
use tch::Device;

const CUDA_HALF: &str = "libtorch_cuda.so";

/// A device as named by the user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA if it is usable, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A CUDA device by number; without a number, the device that belongs to this process's local
    /// rank.
    Cuda(Option<usize>),
}

impl FromStr for DeviceChoice {
    type Err = TorchError;

    fn from_str(name: &str) -> Result<Self, TorchError> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(None)),
            other => {
                let index = other.strip_prefix("cuda:").and_then(|n| n.parse().ok());
                index.map(|n| Self::Cuda(Some(n))).ok_or_else(|| TorchError::UnknownDevice { name: name.to_owned() })
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(index)) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device and makes it the current one of this thread. `local_rank` is the rank of
    /// this process among those on its machine. If there are fewer devices than processes (each
    /// process may see only one), devices are assigned in turn.
    ///
    /// # Errors
    /// A CUDA device that was requested and is not usable, and a device number that does not exist.
    /// `Auto` never fails: it falls back to the CPU, and [`cuda_devices`] returns the reason.
    pub fn open(self, local_rank: usize) -> Result<Device, TorchError> {
        let index = match self {
            Self::Cpu => return Ok(Device::Cpu),
            Self::Auto if cuda_devices().is_err() => return Ok(Device::Cpu),
            Self::Auto | Self::Cuda(None) => local_rank % cuda_devices()?.max(1),
            Self::Cuda(Some(index)) => index,
        };
        let count = cuda_devices()?;
        if index >= count {
            return Err(TorchError::NoSuchDevice { index, count });
        }
        // SAFETY: no pointers; the device exists.
        ffi::checked("use the CUDA device", unsafe { ffi::fm_cuda_use(index as i64) })?;
        Ok(Device::Cuda(index))
    }
}

/// The number of CUDA devices, at least 1. The first call loads the CUDA half; later calls return
/// the same answer.
///
/// # Errors
/// The reason that CUDA is not usable: no CUDA half, a CUDA half that does not load, an earlier
/// query to libtorch, no driver, or no device.
pub fn cuda_devices() -> Result<usize, TorchError> {
    static ANSWER: OnceLock<Result<usize, TorchError>> = OnceLock::new();
    ANSWER.get_or_init(load_and_count).clone()
}

fn load_and_count() -> Result<usize, TorchError> {
    load()?;
    // SAFETY: no arguments; the CUDA half is loaded, so this first query finds it.
    if !unsafe { ffi::fm_cuda_registered() } {
        return Err(TorchError::AskedTooEarly);
    }
    let mut count = 0;
    // SAFETY: one number is written.
    let thrown = unsafe { ffi::fm_cuda_devices(&raw mut count) };
    match (ffi::checked("count CUDA devices", thrown), usize::try_from(count)) {
        (Ok(()), Ok(count)) if count > 0 => Ok(count),
        (Err(TorchError::Thrown { reason, .. }), _) => Err(TorchError::NoDevice { reason }),
        _ => Err(TorchError::NoDevice { reason: "libtorch sees no CUDA device".into() }),
    }
}

/// Loads the CUDA half, unless the program already contains it.
fn load() -> Result<(), TorchError> {
    // If it is linked or preloaded, RTLD_NOLOAD would find it, and so does opening it by its bare
    // name below.
    let looked = directories();
    let Some(path) = looked.iter().map(|directory| directory.join(CUDA_HALF)).find(|path| path.exists()) else {
        return open(Path::new(CUDA_HALF)).map_err(|_| TorchError::NoCudaHalf { looked });
    };
    open(&path).map_err(|reason| TorchError::Load { path, reason })
}

/// Opens a library and never unloads it, because tensors refer to its code.
fn open(path: &Path) -> Result<(), String> {
    // SAFETY: runs the initialisers of libtorch's own library.
    match unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => Err(error.source().map_or_else(|| error.to_string(), ToString::to_string)),
    }
}

/// Directories that may contain the CUDA half, in search order.
fn directories() -> Vec<PathBuf> {
    let variable = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&variable).filter(|p| !p.as_os_str().is_empty()).collect();
    // SAFETY: returns an owned string, or null.
    let cpu_half = ffi::text(unsafe { ffi::fm_libtorch_path() }).map(PathBuf::from);
    if let Some(lib) = cpu_half.as_deref().and_then(Path::parent) {
        places.extend([lib.join("cuda"), lib.to_owned()]);
    }
    places
}
