//! What can be wrong with a file of weights.

use std::path::{Path, PathBuf};

/// Weights that cannot be read, understood or used.
#[derive(Debug, thiserror::Error)]
pub enum InterchangeError {
    /// The system refused.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not a file of weights, a damaged one, or one that does more than hold weights.
    #[error("{} cannot be read as weights: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what helps.
        problem: String,
    },
    /// Readable, but of no network that this crate has, or not of the asked part.
    #[error("the weights are of no known network: {problem}")]
    Unknown {
        /// What was found instead, and what helps.
        problem: String,
    },
    /// Not the tensors that the network has.
    #[error("the weights do not fit the {model}: {problems}; give the configuration that they were trained with")]
    Mismatch {
        /// The network.
        model: &'static str,
        /// Missing, surplus, mis-shaped and non-float tensors by name.
        problems: String,
    },
    /// A configuration that no network can have.
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
