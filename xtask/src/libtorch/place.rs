//! The version of libtorch that this project needs, and where it is unpacked.

use std::path::PathBuf;
use xtask_shell::{ours, target};

/// The version that tch 0.24.0 binds.
pub(crate) const VERSION: &str = "2.11.0";

/// The directory for downloads and unpacked files; [`clean`] removes it.
pub(crate) fn scratch() -> anyhow::Result<PathBuf> {
    let directory = directory();
    ours::claim(&directory)?;
    Ok(directory)
}

/// Removes downloads and unpacked files.
pub(crate) fn clean() -> anyhow::Result<()> {
    ours::remove(&directory())
}

fn directory() -> PathBuf {
    target().join("fetch-libtorch")
}
