//! Errors of this crate.

use fm_core::message::{io_remedy, line};
use std::path::{Path, PathBuf};

/// Data that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A missing file or folder.
    #[error("cannot load {what}: not found at {}; {}", end(path, 100), brief(remedy, 100))]
    Missing {
        /// What was searched for.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The remedy.
        remedy: String,
    },
    /// A file that could not be read.
    #[error("cannot read {}: {}; {}", end(path, 120), brief(&source.to_string(), 100), io_remedy(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file with invalid content.
    #[error("cannot use {}: {}; {}", end(path, 60), brief(problem, 118), brief(remedy, 106))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The remedy.
        remedy: String,
    },
    /// An array of images whose values do not determine the values of black and white.
    #[error("cannot use {}: {}; {}", end(path, 60), brief(problem, 118), brief(remedy, 106))]
    UnknownRange {
        /// The file.
        path: PathBuf,
        /// The least value.
        least: f64,
        /// The largest value.
        most: f64,
        /// What is wrong.
        problem: String,
        /// The remedy.
        remedy: String,
    },
    /// A folder, device, pipe or socket in place of a file.
    #[error("cannot read {}: it is {kind}; give a plain file (copy what a pipe delivers to one)", end(path, 150))]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Numbers that do not fit into memory.
    #[error(
        "cannot read {}: its numbers need {} MiB of memory, more than is available; give fewer rows or columns",
        end(path, 120),
        bytes >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The memory that the numbers need, in bytes.
        bytes: u64,
    },
    /// Columns that do not match a table, a model or each other.
    #[error("cannot use the columns: {}; {}", brief(problem, 160), brief(remedy, 100))]
    Columns {
        /// What is wrong.
        problem: String,
        /// The remedy.
        remedy: String,
    },
    /// An option of a reader that cannot be parsed.
    #[error("cannot use '{}' as {what}; {}", brief(given, 60), brief(remedy, 160))]
    Option {
        /// The option.
        what: &'static str,
        /// The text given.
        given: String,
        /// The remedy.
        remedy: String,
    },
    /// An unknown toy distribution.
    #[error(
        "cannot draw data called '{}': there are none; choose one of {}, gaussian4, genes, or a file that ends in .csv, .tsv, .txt, \
         .npy or .npz",
        brief(given, 90),
        brief(known, 76)
    )]
    UnknownPoints {
        /// The name given.
        given: String,
        /// The names of the toy distributions.
        known: String,
    },
    /// A toy distribution with a wrong parameter.
    #[error(transparent)]
    Toy(fm_core::choice::ChoiceError),
    /// An unknown image set.
    #[error(
        "no data set is called '{}'; did you mean '{near}'? There are digits, cifar10, cifar10:DIR, cifar10-test, folder:DIR, \
         IMAGES.npy, IMAGES.npy,LABELS.npy and FILE.npz:IMAGES",
        brief(.given, 90)
    )]
    UnknownImages {
        /// The name given.
        given: String,
        /// The closest known name.
        near: &'static str,
    },
    /// More rows than memory can hold.
    #[error("cannot draw {rows} rows: they do not fit into memory; ask for fewer")]
    TooMany {
        /// The number of rows.
        rows: usize,
    },
    /// Sequences that rows do not give.
    #[error("cannot use the rows as sequences: {problem}; {remedy}")]
    Windows {
        /// What is wrong.
        problem: String,
        /// What to change.
        remedy: &'static str,
    },
    /// An image set whose parts do not match.
    #[error(
        "cannot use the images: {}; give shape, pixels, labels and classes of the same images",
        brief(problem, 180)
    )]
    Images {
        /// What is wrong.
        problem: String,
    },
    /// An invalid size for resizing images.
    #[error("cannot resize images to {size} x {size}: a side has 1 to {most} pixels; give another size")]
    Size {
        /// The requested side.
        size: u32,
        /// The largest side.
        most: u32,
    },
}

/// The first few of a list of names.
pub(crate) fn some(names: &[impl AsRef<str>]) -> String {
    let first: Vec<String> = names.iter().take(6).map(|name| brief(name.as_ref(), 24)).collect();
    first.join(", ") + if names.len() > 6 { ", ..." } else { "" }
}

/// A text on one line, cut to a maximum length.
pub(crate) fn brief(text: &str, most: usize) -> String {
    let line: Vec<char> = line(text).chars().take(most + 1).collect();
    if line.len() <= most { line.into_iter().collect() } else { line[..most - 3].iter().chain(&['.'; 3]).collect() }
}

/// A path on one line, shortened to its end.
fn end(path: &Path, most: usize) -> String {
    let line: Vec<char> = line(&path.display().to_string()).chars().collect();
    let cut = (line.len() + 3).saturating_sub(most);
    if line.len() <= most { line.into_iter().collect() } else { ['.'; 3].iter().chain(&line[cut..]).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_long_names_are_short_lines() {
        let (long, path) = ("x\n".repeat(3000), PathBuf::from("/long\n/".repeat(500) + "name.csv"));
        let source = std::io::Error::other(long.clone());
        let missing = DataError::Missing { what: "an image folder", path: path.clone(), remedy: long.clone() };
        let broken = DataError::Malformed { path: path.clone(), problem: long.clone(), remedy: long.clone() };
        for error in [missing, broken, DataError::Io { path, source }] {
            let text = error.to_string();
            assert!(text.chars().count() <= 300 && !text.contains('\n') && text.contains("name.csv"), "{text}");
        }
        let columns = DataError::Columns { problem: long.clone(), remedy: long.clone() };
        let option = DataError::Option { what: "an encoding", given: long.clone(), remedy: long.clone() };
        let unknown = DataError::UnknownImages { given: long.clone(), near: "cifar10-test" };
        let large = DataError::TooLarge { path: long.clone().into(), bytes: u64::MAX };
        let other = DataError::NotAFile { path: long.clone().into(), kind: "a device, a pipe or a socket" };
        let known = [columns, option, unknown, large, other];
        let points = DataError::UnknownPoints { given: long.clone(), known: long.clone() };
        for error in known.into_iter().chain([points, DataError::Images { problem: long }]) {
            assert!(error.to_string().chars().count() <= 300, "{error}");
        }
        assert_eq!((brief("abcdef", 6), brief("abcdefg", 6)), ("abcdef".into(), "abc...".into()));
        assert_eq!(end("/a/bc.npy".as_ref(), 9), "/a/bc.npy");
        assert_eq!(end("/ab/bc.npy".as_ref(), 9), "...bc.npy");
    }
}
