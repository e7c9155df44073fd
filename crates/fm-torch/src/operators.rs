//! Counts of libtorch's work: operators called (including nested ones) and memory allocated for
//! tensors. On a GPU an operator is one or a few kernel launches. The counts are the same on every
//! run, also on a busy machine.
//!
//! ```
//! use fm_torch::operators::count;
//! use tch::{Device, Kind, Tensor};
//! let x = Tensor::ones([8, 4], (Kind::Float, Device::Cpu));
//! let (sum, counts) = count(|| (&x + &x).sum(Kind::Float).double_value(&[]));
//! assert_eq!(sum, 64.0);
//! // add allocates 128 bytes, sum 4; reading the value calls item and _local_scalar_dense.
//! assert!(counts.operators >= 4);
//! assert!(counts.allocations >= 2 && counts.bytes >= 132);
//! ```

#![allow(unsafe_code, reason = "calls the shim")]

use crate::ffi;

/// Counts of a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Operators called.
    pub operators: u64,
    /// Allocations.
    pub allocations: u64,
    /// Bytes allocated.
    pub bytes: u64,
}

/// Runs `work` and counts libtorch's operators and allocations on this thread.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, Counts) {
    let mut counts = [0i64; 3];
    // SAFETY: no arguments; the counters belong to this thread.
    unsafe { ffi::fm_count_start() };
    let done = work();
    // SAFETY: three numbers are written.
    unsafe { ffi::fm_count_stop(counts.as_mut_ptr()) };
    let [operators, allocations, bytes] = counts.map(|n| n.max(0) as u64);
    (done, Counts { operators, allocations, bytes })
}
