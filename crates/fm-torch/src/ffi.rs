//! The shim's functions, and conversion of exceptions to errors.

#![allow(unsafe_code, reason = "the one module that declares C++")]

use crate::TorchError;
use std::ffi::{CStr, c_char, c_int, c_void};
use tch::Tensor;

/// Called with the context and the index that were given to [`fm_on_gradient`].
pub(crate) type OnGradient = extern "C" fn(*mut c_void, i64);

unsafe extern "C" {
    pub(crate) fn fm_cuda_registered() -> bool;
    pub(crate) fn fm_cuda_devices(count: *mut i64) -> *mut c_char;
    pub(crate) fn fm_cuda_use(index: i64) -> *mut c_char;
    pub(crate) fn fm_libtorch_path() -> *mut c_char;
    pub(crate) fn fm_cuda_memory(device: i64, bytes: *mut i64) -> *mut c_char;
    pub(crate) fn fm_cuda_reset_peaks(device: i64) -> *mut c_char;
    pub(crate) fn fm_set_matmul_precision(level: c_int) -> *mut c_char;
    pub(crate) fn fm_matmul_precision() -> c_int;
    pub(crate) fn fm_set_cudnn_benchmark(on: bool);
    pub(crate) fn fm_cudnn_benchmark() -> bool;
    pub(crate) fn fm_set_deterministic(on: bool);
    pub(crate) fn fm_deterministic() -> bool;
    pub(crate) fn fm_take_gradients(leaves: *const *mut c_void, views: *const *mut c_void, count: i64) -> *mut c_char;
    pub(crate) fn fm_add_gradient(leaf: *mut c_void, gradient: *mut c_void) -> *mut c_char;
    pub(crate) fn fm_pinned(bytes: *const u8, count: usize, out: *mut *mut c_void) -> *mut c_char;
    pub(crate) fn fm_on_gradient(
        leaf: *mut c_void,
        call: Option<OnGradient>,
        context: *mut c_void,
        index: i64,
    ) -> *mut c_char;
    pub(crate) fn fm_fused_adam(
        parameters: *mut c_void,
        gradient: *mut c_void,
        mean: *mut c_void,
        square: *mut c_void,
        step: *mut c_void,
        scale: *mut c_void,
        skip: *mut c_void,
        decoupled: bool,
        lr: f64,
        beta1: f64,
        beta2: f64,
        decay: f64,
        eps: f64,
    ) -> *mut c_char;
    pub(crate) fn fm_group_norm_silu(
        x: *mut c_void,
        weight: *mut c_void,
        bias: *mut c_void,
        groups: i64,
        eps: f64,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    pub(crate) fn fm_profile_start(cuda: bool) -> *mut c_char;
    pub(crate) fn fm_profile_stop(path: *const c_char) -> *mut c_char;
    pub(crate) fn fm_enter_dual_level(level: *mut u64) -> *mut c_char;
    pub(crate) fn fm_exit_dual_level(level: u64) -> *mut c_char;
    pub(crate) fn fm_count_start();
    pub(crate) fn fm_count_stop(counts: *mut i64);
    fn free(pointer: *mut c_void);
}

/// Takes ownership of a text that the shim has allocated.
pub(crate) fn text(words: *mut c_char) -> Option<String> {
    if words.is_null() {
        return None;
    }
    // SAFETY: the shim returns a string that it has allocated and no longer owns.
    unsafe {
        let owned = CStr::from_ptr(words).to_string_lossy().into_owned();
        free(words.cast());
        Some(owned)
    }
}

/// Turns an exception of the shim into an error: its first line, without the position in libtorch's
/// sources.
pub(crate) fn checked(action: &'static str, thrown: *mut c_char) -> Result<(), TorchError> {
    match text(thrown) {
        None => Ok(()),
        Some(words) => Err(TorchError::of_text(action, &words)),
    }
}

/// The C++ tensor behind a handle; valid while the handle lives.
pub(crate) fn pointer(tensor: &Tensor) -> *mut c_void {
    tensor.as_ptr().cast_mut().cast()
}
