//! Downloads of the programs: files by HTTP, and CIFAR-10.
//!
//! The crate is small, because `cargo xtask` and `cifar-train` share it and `cargo xtask` is built
//! first.

pub mod cifar10;
pub mod download;
