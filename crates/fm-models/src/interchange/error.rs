//! Errors of reading and loading weights.

use fm_core::message::io_remedy;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Weights that cannot be read, recognised or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterchangeError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; {}", shown(path), io_remedy(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Not a file of weights, a damaged file, or a file with other content than weights.
    #[error("{} cannot be read as weights: {}", shown(path), clip(problem, 170))]
    File {
        /// The file.
        path: PathBuf,
        /// The problem and its remedy.
        problem: String,
    },
    /// Readable weights of an unknown network, without the requested part, or with several parts
    /// that fit equally.
    #[error("the weights are of no known network: {problem}")]
    Unknown {
        /// The content that was found, and the remedy.
        problem: String,
    },
    /// Several sets of weights that fit equally, or averages that do not fit their network.
    #[error(
        "cannot choose weights: {}; choose one with --part: {}",
        clip(fm_core::message::line(problem), 160),
        list(parts)
    )]
    Part {
        /// Why none is the default.
        problem: String,
        /// The sets of weights.
        parts: Vec<String>,
    },
    /// A description in the file that does not match its tensors.
    #[error("the metadata of the file is wrong: {problem}; convert it again with the program that wrote it")]
    Description {
        /// The difference.
        problem: String,
    },
    /// Tensors that do not match the network's.
    #[error("the weights do not fit the {model}: {problems}; give the configuration that they were trained with")]
    Mismatch {
        /// The network.
        model: &'static str,
        /// The first names of missing, surplus, mis-shaped and non-float tensors.
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

    pub(crate) fn file(path: &Path, problem: impl Display) -> Self {
        Self::File { path: path.into(), problem: problem.to_string() }
    }
}

/// A text from a file or another library on one line of at most `most` characters, without control
/// characters.
pub(super) fn clip(text: impl Display, most: usize) -> String {
    let text = text.to_string();
    let mut line = text.lines().next().unwrap_or_default().chars().filter(|c| !fm_core::message::is_hidden(*c));
    let mut clipped: String = line.by_ref().take(most).collect();
    if line.next().is_some() {
        clipped.push_str("...");
    }
    clipped
}

/// The first few names of a list, in about 140 characters.
pub(super) fn list<T: AsRef<str>>(names: &[T]) -> String {
    let (mut text, mut shown) = (String::new(), 0);
    for name in names {
        let name = clip(name.as_ref(), 70);
        if shown > 0 && text.len() + name.len() > 140 {
            break;
        }
        text.push_str(if shown > 0 { ", " } else { "" });
        text.push_str(&name);
        shown += 1;
    }
    if names.len() > shown {
        text.push_str(&format!(" and {} more", names.len() - shown));
    }
    text
}

/// The end of a path, which distinguishes it from others.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let length = text.chars().count();
    if length <= 100 {
        clip(text, 100)
    } else {
        format!("...{}", clip(text.chars().skip(length - 97).collect::<String>(), 97))
    }
}
