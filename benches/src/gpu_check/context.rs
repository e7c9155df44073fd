//! The settings of all parts.

use std::path::PathBuf;
use tch::Device;

/// The settings of all parts.
pub(crate) struct Context {
    pub(crate) device: Device,
    pub(crate) small: bool,
    pub(crate) steps: u64,
    pub(crate) out: PathBuf,
}
