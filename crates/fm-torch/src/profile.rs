//! libtorch's profiler: operators on all threads, and kernels on a GPU, as a Chrome trace
//! (`chrome://tracing`, Perfetto, TensorBoard).
//!
//! ```
//! use fm_torch::profile::Profile;
//! use tch::{Device, Kind, Tensor};
//! let profile = Profile::start(Device::Cpu)?;
//! let x = Tensor::ones([8, 8], (Kind::Float, Device::Cpu));
//! let _ = x.mm(&x);
//! let trace = String::from_utf8(profile.finish()?)?;
//! assert!(trace.contains("aten::mm"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(unsafe_code, reason = "calls the shim")]

use crate::TorchError;
use crate::ffi;
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
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

    /// Stops recording, and returns the trace, JSON.
    ///
    /// # Errors
    /// An exception of libtorch, and a temporary directory that cannot be written.
    pub fn finish(mut self) -> Result<Vec<u8>, TorchError> {
        // libtorch replaces what has the path, also a device or a pipe.
        let directory = tempfile::tempdir().map_err(|error| unwritable(&error))?;
        let file = directory.path().join("trace.json");
        let path = CString::new(file.as_os_str().as_bytes()).map_err(|error| unwritable(&error.into()))?;
        self.stop(path.as_ptr())?;
        std::fs::read(file).map_err(|error| unwritable(&error))
    }

    /// Stops recording, and writes the trace if there is a path.
    fn stop(&mut self, path: *const c_char) -> Result<(), TorchError> {
        self.running = false;
        // SAFETY: the path is null or outlives the call; a profile is running.
        let stopped = ffi::checked(ACTION, unsafe { ffi::fm_profile_stop(path) });
        RUNNING.store(false, Ordering::SeqCst);
        stopped
    }
}

const ACTION: &str = "write the profile";

fn unwritable(error: &std::io::Error) -> TorchError {
    TorchError::of_text(ACTION, &format!("{error} in the temporary directory; set TMPDIR to another one"))
}

impl Drop for Profile {
    /// Discards a profile that was not finished.
    fn drop(&mut self) {
        if self.running {
            let _ = self.stop(std::ptr::null());
        }
    }
}
