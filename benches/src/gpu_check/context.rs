//! The settings that all parts read.

use std::path::PathBuf;
use tch::Device;

/// What all parts read.
pub(crate) struct Context {
    pub(crate) device: Device,
    pub(crate) small: bool,
    pub(crate) steps: u64,
    pub(crate) out: PathBuf,
}
