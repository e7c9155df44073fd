//! Hostile files and texts for every reader of this workspace.
//!
//! [`TARGETS`] has one target per format. The inputs of a target are its seeds, and changes of them
//! that follow from a seed and a number ([`inputs`]), so that input 7 of seed 1 has equal bytes on
//! every machine. [`judge`] gives an input to its reader, and finds fault with a panic, an abort,
//! more than two seconds, and more memory than 4 times the input and 64 MiB.
//!
//! `tests/inputs.rs` judges 20,000 inputs of each target, and the finds of earlier runs in
//! `corpus/`. `cargo xtask fuzz` judges more of them, or lets libFuzzer search for new ones.

mod accepted;
mod finish;
pub mod inputs;
pub mod judge;
mod kept;
mod memory;
mod mutate;
mod random;
mod scratch;
mod seeds;
pub mod sweep;
mod target;
mod targets;

// The configuration of cifar-train is included in a target, and imports this module.
#[cfg(all(feature = "tch", not(test)))]
#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../../apps/cifar-train/src/networks.rs"]
mod networks;

// The readers of archives are included in targets, and take their budgets from fm-fetch, which has
// those of fm-core.
use fm_core::budget;
extern crate fm_core as fm_fetch;

pub use target::{Finish, Target};
pub use targets::TARGETS;
