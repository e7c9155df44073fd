//! Names of arrays: `FILE.npy`, `FILE.npz` and `FILE.npz:NAME`.

use crate::DataError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An array in a file.
///
/// ```
/// use fm_data::npy::ArraySource;
/// let array: ArraySource = "data/faces.npz:train_images".parse()?;
/// assert_eq!(array.path, std::path::Path::new("data/faces.npz"));
/// assert_eq!(array.member.as_deref(), Some("train_images"));
/// assert_eq!(array.to_string(), "data/faces.npz:train_images");
/// assert!("faces.csv".parse::<ArraySource>().is_err());
/// # Ok::<(), fm_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArraySource {
    /// The `.npy` or `.npz` file.
    pub path: PathBuf,
    /// The array of an `.npz` file; `None` for its only one.
    pub member: Option<String>,
}

impl ArraySource {
    /// The file name and the member of `FILE.npz:NAME`, if the text is that.
    fn split(text: &str) -> Option<(&str, &str)> {
        let lower = text.to_ascii_lowercase();
        let at = lower.rfind(".npz:").map(|at| at + 4)?;
        Some((&text[..at], &text[at + 1..])).filter(|(_, member)| !member.is_empty())
    }

    /// Whether a name ends in `.npy` or `.npz`, in capital letters or not, or names a member.
    pub(crate) fn is_name(text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        lower.ends_with(".npy") || lower.ends_with(".npz") || Self::split(text).is_some()
    }
}

impl From<&Path> for ArraySource {
    /// The array at a path, which may be `FILE.npz:NAME`.
    fn from(path: &Path) -> Self {
        match path.to_str().and_then(Self::split) {
            Some((path, member)) => Self { path: path.into(), member: Some(member.into()) },
            None => Self { path: path.into(), member: None },
        }
    }
}

impl From<&PathBuf> for ArraySource {
    fn from(path: &PathBuf) -> Self {
        path.as_path().into()
    }
}

impl From<PathBuf> for ArraySource {
    fn from(path: PathBuf) -> Self {
        path.as_path().into()
    }
}

impl FromStr for ArraySource {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        if !Self::is_name(text) {
            let remedy = "give FILE.npy, FILE.npz or FILE.npz:NAME".into();
            return Err(DataError::Option { what: "an array", given: text.into(), remedy });
        }
        Ok(Path::new(text).into())
    }
}

impl fmt::Display for ArraySource {
    /// The name that parses back to this array.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.member {
            Some(member) => write!(f, "{path}:{member}"),
            None => path.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_what_they_were_written_from() {
        for name in ["a.npy", "B.NPY", "a.npz", "x/a.npz:b", "C:\\a.NPZ:b:c", "a,b.npz:é"] {
            assert_eq!(name.parse::<ArraySource>().unwrap().to_string(), name);
        }
        for name in ["", "a", "a.npz:", "a.npy:b", "npy", "a.npy.gz"] {
            assert!(name.parse::<ArraySource>().is_err(), "{name}");
        }
    }
}
