//! libtorch's profiler: operators on all threads, and kernels on a GPU, as a Chrome trace
//! (`chrome://tracing`, Perfetto, TensorBoard).
//!
//! ```
//! use fm_torch::profile::Profile;
//! use tch::{Device, Kind, Tensor};
//! let path = std::env::temp_dir().join(format!("fm-torch-profile-{}.json", std::process::id()));
//! let profile = Profile::start(Device::Cpu)?;
//! let x = Tensor::ones([8, 8], (Kind::Float, Device::Cpu));
//! let _ = x.mm(&x);
//! profile.finish(&path)?;
//! let trace = std::fs::read_to_string(&path)?;
//! assert!(trace.contains("aten::mm"));
//! std::fs::remove_file(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(unsafe_code, reason = "calls the shim")]

use crate::TorchError;
use crate::ffi;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::Device;

/// libtorch has one profiler per process.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// A profile in progress, of the thread that started it and the threads that autograd uses for it.
#[derive(Debug)]
pub struct Profile {
    running: bool,
}

impl Profile {
    /// Starts recording.
    ///
    /// # Errors
    /// [`TorchError::Profiling`], and an exception of libtorch.
    pub fn start(device: Device) -> Result<Self, TorchError> {
        if RUNNING.swap(true, Ordering::SeqCst) {
            return Err(TorchError::Profiling);
        }
        // SAFETY: no pointers.
        let started = ffi::checked("start the profiler", unsafe { ffi::fm_profile_start(device.is_cuda()) });
        RUNNING.store(started.is_ok(), Ordering::SeqCst);
        started.map(|()| Self { running: true })
    }

    /// Stops recording and writes the trace.
    ///
    /// # Errors
    /// A path with a zero byte, and an exception of libtorch.
    pub fn finish(mut self, path: &Path) -> Result<(), TorchError> {
        self.stop(path.as_os_str().as_bytes())
    }

    fn stop(&mut self, path: &[u8]) -> Result<(), TorchError> {
        let action = "write the profile";
        let path = CString::new(path)
            .map_err(|_| TorchError::Thrown { action, reason: "its path has a zero byte; give another path".into() })?;
        self.running = false;
        // SAFETY: the path outlives the call; a profile is running.
        let stopped = ffi::checked(action, unsafe { ffi::fm_profile_stop(path.as_ptr()) });
        RUNNING.store(false, Ordering::SeqCst);
        stopped
    }
}

impl Drop for Profile {
    /// Discards a profile that was not finished.
    fn drop(&mut self) {
        if self.running {
            let _ = self.stop(b"/dev/null");
        }
    }
}
