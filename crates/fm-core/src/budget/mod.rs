//! Limits on the memory and the work of reading a file, as functions of its length.
//!
//! A file of n bytes may claim or describe far more than it holds: by sizes in a header, compressed
//! data, or shared branches. Each kind of file has [`Limits`]: the longest file, the memory c + k n
//! and the work d + m n, in bytes, for a file of n bytes, and a number of parts. [`limits`] lists
//! them all. A parser takes a [`Budget`], which is made from limits and a length. Before it
//! allocates or scans bytes, it charges them to the budget. Errors are [`OverBudget`], with cause
//! and remedy. [`open`] and [`read`] open plain files only: a pipe or a device may never end.
//!
//! ```
//! use fm_core::budget::{Budget, OverBudget, limits};
//! // Weights may take 40 MiB and twice their file.
//! let mut budget = Budget::new(&limits::WEIGHTS, 1000)?;
//! assert_eq!(budget.bytes_left(), (40 << 20) + 2 * 1000);
//! budget.take_bytes(600)?;
//! assert_eq!(budget.bytes_left(), (40 << 20) + 1400);
//! assert!(matches!(budget.take_bytes(1_u64 << 40), Err(OverBudget::Bytes { .. })));
//! // A configuration of a gigabyte is refused before it is read.
//! assert!(matches!(Budget::new(&limits::CONFIG, 1 << 30), Err(OverBudget::Length { length, .. }) if length == 1 << 30));
//! # Ok::<(), OverBudget>(())
//! ```

pub mod limits;
mod metered;
mod plain;
mod spend;
mod zip;

pub use limits::Limits;
pub use metered::{Metered, Unpacked};
pub use plain::{NotPlain, open, read};
pub use spend::{Budget, OverBudget, json_values};
pub use zip::check_zip;
