//! The version of libtorch that this project needs, and where it is unpacked.

use std::path::PathBuf;
use xtask_shell::root;

/// The version that tch 0.24.0 binds.
pub(crate) const VERSION: &str = "2.11.0";

/// The directory for downloads and unpacked files; removed after use.
pub(crate) fn scratch() -> PathBuf {
    root().join("target").join("fetch-libtorch")
}
