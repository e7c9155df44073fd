//! Features of libtorch that `tch` lacks, as safe Rust over a small C++ shim.
//!
//! | module | content |
//! |---|---|
//! | [`device`] | selection of a device; loads libtorch's CUDA half at run time |
//! | [`context`] | global settings: matmul precision, cuDNN benchmark, deterministic algorithms |
//! | [`memory`] | statistics of the CUDA caching allocator |
//! | [`gradients`] | moves gradients of leaves into one vector; hooks that run when a gradient is complete |
//! | [`adam`] | libtorch's fused Adam and AdamW over one flat vector |
//! | [`group_norm`] | GroupNorm and SiLU in one operator |
//! | [`profile`](mod@profile) | libtorch's profiler, written as a Chrome trace |
//! | [`forward_ad`] | Jacobian-vector products by forward-mode differentiation |
//! | [`operators`] | counts of operators and allocations |
//!
//! ```
//! use fm_torch::device::DeviceChoice;
//! use tch::Device;
//! let device = "cpu".parse::<DeviceChoice>()?.open(0)?;
//! assert_eq!(device, Device::Cpu);
//! # Ok::<(), fm_torch::TorchError>(())
//! ```

pub mod adam;
pub mod context;
pub mod device;
pub mod error;
mod ffi;
pub mod forward_ad;
pub mod gradients;
pub mod group_norm;
pub mod memory;
pub mod operators;
pub mod profile;

pub use error::TorchError;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
