//! Global settings of libtorch. Each applies to the whole process, from the next operator on.
//!
//! ```
//! use fm_torch::context::{self, MatmulPrecision};
//! assert_eq!(context::matmul_precision(), MatmulPrecision::Highest);
//! context::set_matmul_precision(MatmulPrecision::High)?;
//! assert_eq!(context::matmul_precision(), MatmulPrecision::High);
//! # Ok::<(), fm_torch::TorchError>(())
//! ```

#![allow(unsafe_code, reason = "calls the shim")]

use crate::TorchError;
use crate::ffi;

/// Precision of matrix products and convolutions of f32 tensors; like PyTorch's
/// `set_float32_matmul_precision`, and for cuDNN as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MatmulPrecision {
    /// f32: 24 bits of mantissa.
    #[default]
    Highest,
    /// TF32 on GPUs that have it: 11 bits of mantissa, several times faster.
    High,
}

/// Sets the precision of f32 products.
///
/// # Errors
/// An exception of libtorch.
#[doc(alias = "set_float32_matmul_precision")]
pub fn set_matmul_precision(precision: MatmulPrecision) -> Result<(), TorchError> {
    // SAFETY: a number in range.
    ffi::checked("set the matmul precision", unsafe { ffi::fm_set_matmul_precision(precision as i32) })
}

/// The current precision.
pub fn matmul_precision() -> MatmulPrecision {
    // SAFETY: no arguments.
    if unsafe { ffi::fm_matmul_precision() } == 0 { MatmulPrecision::Highest } else { MatmulPrecision::High }
}

/// Makes cuDNN time its algorithms for each new shape of a convolution and use the fastest. The
/// choice, and with it the last bits of the results, may differ between runs.
pub fn set_cudnn_benchmark(on: bool) {
    // SAFETY: no pointers.
    unsafe { ffi::fm_set_cudnn_benchmark(on) }
}

/// Whether cuDNN times its algorithms.
pub fn cudnn_benchmark() -> bool {
    // SAFETY: no arguments.
    unsafe { ffi::fm_cudnn_benchmark() }
}

/// Restricts libtorch to deterministic kernels; operators without one throw. Sets
/// `CUBLAS_WORKSPACE_CONFIG`, which cuBLAS needs for this, unless the user has set it. So call it
/// before the first matrix product on a GPU, and before other threads read the environment.
#[doc(alias = "use_deterministic_algorithms")]
pub fn set_deterministic(on: bool) {
    // SAFETY: no pointers.
    unsafe { ffi::fm_set_deterministic(on) }
}

/// Whether only deterministic kernels are used.
pub fn deterministic() -> bool {
    // SAFETY: no arguments.
    unsafe { ffi::fm_deterministic() }
}
