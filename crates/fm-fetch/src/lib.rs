//! Downloads of the programs: files by HTTP, and CIFAR-10.
//!
//! The crate is small, because `cargo xtask` and `cifar-train` share it and `cargo xtask` is built
//! first.

// The budgets of fm-core, compiled here too: building fm-core would delay the first command of a
// clone.
#[path = "../../../crates/fm-core/src/budget/mod.rs"]
pub mod budget;
pub mod cifar10;
pub mod download;
