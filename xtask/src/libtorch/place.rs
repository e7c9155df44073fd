//! The version of libtorch that this project needs, and its directory in this tree.

use crate::shell::root;
use std::path::PathBuf;

/// The version that tch 0.24.0 binds.
pub(crate) const VERSION: &str = "2.11.0";

/// The directory of libtorch in this tree.
pub(crate) fn home() -> PathBuf {
    root().join("libtorch")
}

/// The directory for downloads and unpacked files; removed after use.
pub(crate) fn scratch() -> PathBuf {
    root().join("target").join("fetch-libtorch")
}
