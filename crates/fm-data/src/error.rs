//! What can be wrong with data, with the remedy.

use std::path::PathBuf;

/// Data that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A folder that is not there.
    #[error("{what} not found at {}: {remedy}", path.display())]
    Missing {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What to do about it.
        remedy: String,
    },
    /// The system refused to read.
    #[error("cannot read {}: {source}; check that it is a readable file", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file whose content is not what it should be.
    #[error("{}: {problem}; {remedy}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// A toy distribution that does not exist.
    #[error(
        "no data are called '{0}'; choose one of spiral, moons, 8gaussians, checkerboard, gaussian4, genes, or a .csv or .npy file"
    )]
    UnknownPoints(String),
}
