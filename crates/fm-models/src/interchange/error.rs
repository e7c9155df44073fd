//! Errors of reading and loading weights.

use std::path::{Path, PathBuf};

/// Weights that cannot be read, recognised or loaded.
#[derive(Debug, thiserror::Error)]
pub enum InterchangeError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Not a file of weights, a damaged file, or a file with other content than weights.
    #[error("{} cannot be read as weights: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The problem and its remedy.
        problem: String,
    },
    /// Readable weights of an unknown network, or without the requested part.
    #[error("the weights are of no known network: {problem}")]
    Unknown {
        /// The content that was found, and the remedy.
        problem: String,
    },
    /// Tensors that do not match the network's.
    #[error("the weights do not fit the {model}: {problems}; give the configuration that they were trained with")]
    Mismatch {
        /// The network.
        model: &'static str,
        /// Names of missing, surplus, mis-shaped and non-float tensors.
        problems: String,
    },
    /// An invalid configuration of the network.
    #[error(transparent)]
    Model(#[from] crate::ModelError),
}

impl InterchangeError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn file(path: &Path, problem: impl ToString) -> Self {
        Self::File { path: path.into(), problem: problem.to_string() }
    }
}
