//! Device memory: statistics of the CUDA caching allocator, and pinned host memory, from which a copy to the device need not wait.
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
    /// In tensors now.
    pub allocated: u64,
    /// In tensors at most so far.
    pub peak_allocated: u64,
    /// Taken from the device now: tensors and cached blocks.
    pub reserved: u64,
    /// Taken from the device at most so far.
    pub peak_reserved: u64,
}

/// The memory of a CUDA device; `None` for other devices, and where libtorch has no statistics.
pub fn device_memory(device: Device) -> Option<DeviceMemory> {
    let Device::Cuda(index) = device else { return None };
    let mut bytes = [0i64; 4];
    // SAFETY: four numbers are written.
    ffi::checked("read device memory", unsafe { ffi::fm_cuda_memory(index as i64, bytes.as_mut_ptr()) }).ok()?;
    let [allocated, peak_allocated, reserved, peak_reserved] = bytes.map(|n| n.max(0) as u64);
    Some(DeviceMemory { allocated, peak_allocated, reserved, peak_reserved })
}

/// These bytes as a uint8 tensor in pinned host memory. Needs CUDA to be loaded.
///
/// # Errors
/// An exception of libtorch.
pub fn pinned(bytes: &[u8]) -> Result<Tensor, TorchError> {
    let mut out = std::ptr::null_mut();
    // SAFETY: the bytes outlive the call, which copies them; the tensor is ours once it returns without an exception.
    unsafe {
        ffi::checked("allocate pinned memory", ffi::fm_pinned(bytes.as_ptr(), bytes.len(), &raw mut out))?;
        Ok(Tensor::from_ptr(out.cast()))
    }
}

/// Lets the peaks of a CUDA device start again from what is in use now; nothing on other devices.
pub fn reset_peaks(device: Device) {
    let Device::Cuda(index) = device else { return };
    // SAFETY: no pointers. An allocator without statistics throws, and then has no peaks either.
    let _ = ffi::checked("reset peak memory", unsafe { ffi::fm_cuda_reset_peaks(index as i64) });
}
