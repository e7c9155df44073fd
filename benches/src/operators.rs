//! What libtorch does for a piece of work: operators called, each within another too, and memory that tensors ask for. On a GPU an operator is a kernel's launch
//! or a few. The numbers are the same on every run and on a busy machine.
//!
//! ```
//! use fm_benches::operators::count;
//! use tch::{Device, Kind, Tensor};
//! let x = Tensor::ones([8, 4], (Kind::Float, Device::Cpu));
//! let (sum, counts) = count(|| (&x + &x).sum(Kind::Float).double_value(&[]));
//! assert_eq!(sum, 64.0);
//! // add and its 128 bytes, sum and its 4; reading the value is item and _local_scalar_dense.
//! assert!(counts.operators >= 4);
//! assert!(counts.allocations >= 2 && counts.bytes >= 132);
//! ```

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Operators called.
    pub operators: u64,
    /// Pieces of memory.
    pub allocations: u64,
    /// Their size together.
    pub bytes: u64,
}

#[allow(unsafe_code, reason = "the shim's functions")]
unsafe extern "C" {
    fn fm_count_start();
    fn fm_count_stop(counts: *mut i64);
}

/// Does some work and counts meanwhile.
#[allow(unsafe_code, reason = "the shim's functions")]
pub fn count<T>(work: impl FnOnce() -> T) -> (T, Counts) {
    let mut counts = [0i64; 3];
    // SAFETY: no arguments; counting is this thread's.
    unsafe { fm_count_start() };
    let done = work();
    // SAFETY: three numbers are written.
    unsafe { fm_count_stop(counts.as_mut_ptr()) };
    let [operators, allocations, bytes] = counts.map(|n| n.max(0) as u64);
    (done, Counts { operators, allocations, bytes })
}
