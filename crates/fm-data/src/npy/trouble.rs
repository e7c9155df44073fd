//! Errors of arrays.

use super::ArraySource;
use crate::{DataError, input};
use std::io::ErrorKind;
use std::path::Path;

/// A shape or an index as Python writes it, cut to the first few sizes.
pub(super) fn tuple(sizes: &[usize]) -> String {
    let first: Vec<String> = sizes.iter().take(6).map(usize::to_string).collect();
    let end = if sizes.len() > 6 { ", ...)" } else { ")" };
    format!("({}{end}", first.join(", "))
}

/// The error of reading: damage of the archive, or of the system.
pub(super) fn reading(source: &ArraySource, error: std::io::Error) -> DataError {
    if let Some(over) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return input::exceeded(&source.path, *over);
    }
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof | ErrorKind::Other => {
            broken(&source.path, format!("it is damaged ({error})"), "copy or save it again")
        }
        _ => DataError::Io { path: source.path.clone(), source: error },
    }
}

/// The error for a file with invalid content.
pub(super) fn broken(path: &Path, problem: String, remedy: &str) -> DataError {
    DataError::Malformed { path: path.into(), problem, remedy: remedy.into() }
}
