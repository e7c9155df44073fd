//! Which libtorch this project needs, and where it lies in this tree.

use crate::shell::root;
use std::path::PathBuf;

/// The version that tch 0.24.0 binds.
pub(crate) const VERSION: &str = "2.11.0";

/// Where libtorch lives in this tree.
pub(crate) fn home() -> PathBuf {
    root().join("libtorch")
}

/// Where downloads and unpacked files wait; removed after use.
pub(crate) fn scratch() -> PathBuf {
    root().join("target").join("fetch-libtorch")
}
