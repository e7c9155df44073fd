//! Device memory: statistics of the CUDA caching allocator, and pinned host memory, which allows
//! asynchronous copies to the device.
//!
//! ```
//! use tch::Device;
//! // The CPU has no caching allocator.
//! assert_eq!(fm_torch::memory::device_memory(Device::Cpu), None);
//! ```

#![allow(unsafe_code, reason = "calls the shim")]

use crate::{TorchError, ffi};
use tch::{Device, Tensor};

/// Bytes of device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes in tensors now.
    pub allocated: u64,
    /// Maximum of `allocated` so far.
    pub peak_allocated: u64,
    /// Bytes reserved on the device now: tensors and cached blocks.
    pub reserved: u64,
    /// Maximum of `reserved` so far.
    pub peak_reserved: u64,
}

/// The memory of a CUDA device; `None` for other devices, and if libtorch has no statistics.
pub fn device_memory(device: Device) -> Option<DeviceMemory> {
    let Device::Cuda(index) = device else { return None };
    let mut bytes = [0i64; 4];
    // SAFETY: four numbers are written.
    ffi::checked("read device memory", unsafe { ffi::fm_cuda_memory(index as i64, bytes.as_mut_ptr()) }).ok()?;
    let [allocated, peak_allocated, reserved, peak_reserved] = bytes.map(|n| n.max(0) as u64);
    Some(DeviceMemory { allocated, peak_allocated, reserved, peak_reserved })
}

/// Copies bytes into a uint8 tensor in pinned host memory. CUDA must be loaded.
///
/// # Errors
/// An exception of libtorch.
pub fn pinned(bytes: &[u8]) -> Result<Tensor, TorchError> {
    let mut out = std::ptr::null_mut();
    // SAFETY: the bytes outlive the call, which copies them; the returned tensor belongs to us,
    // unless there was an exception.
    unsafe {
        ffi::checked("allocate pinned memory", ffi::fm_pinned(bytes.as_ptr(), bytes.len(), &raw mut out))?;
        Ok(Tensor::from_ptr(out.cast()))
    }
}

/// Resets the peaks of a CUDA device to the current values; does nothing for other devices.
pub fn reset_peaks(device: Device) {
    let Device::Cuda(index) = device else { return };
    // SAFETY: no pointers. An allocator without statistics throws, and then has no peaks either.
    let _ = ffi::checked("reset peak memory", unsafe { ffi::fm_cuda_reset_peaks(index as i64) });
}
