//! Opening plain files with their budget.

use super::limits::Limits;
use super::spend::Budget;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Something else in place of a plain file: the cause of an [`io::Error`] of [`open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is {kind}; give a plain file")]
pub struct NotPlain {
    /// What it is, as in "a folder".
    pub kind: &'static str,
}

/// Opens a plain file, and makes its budget. Links are followed.
///
/// # Errors
/// Those of the operating system; [`ErrorKind::InvalidInput`] with [`NotPlain`] for a folder, a
/// pipe or a device, which is not opened; and [`OverBudget::Length`](super::OverBudget::Length).
pub fn open(path: &Path, limits: &'static Limits) -> io::Result<(File, Budget)> {
    // Opening a pipe waits for its writer, so the kind is checked before.
    let found = fs::metadata(path)?;
    if !found.is_file() {
        let kind = if found.is_dir() { "a folder" } else { "a device, a pipe or a socket" };
        return Err(io::Error::new(ErrorKind::InvalidInput, NotPlain { kind }));
    }
    let file = File::open(path)?;
    let budget = Budget::new(limits, file.metadata()?.len())?;
    Ok((file, budget))
}

/// The bytes of a plain file, and the budget for parsing them. Links are followed.
///
/// # Errors
/// As [`open`]; a file for which there is no memory.
pub fn read(path: &Path, limits: &'static Limits) -> io::Result<(Vec<u8>, Budget)> {
    let (file, budget) = open(path, limits)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))?;
    // The file may grow while it is read.
    file.take(length).read_to_end(&mut bytes)?;
    Ok((bytes, budget))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::limits;

    #[test]
    fn only_plain_files_of_their_length_are_opened() {
        let told = |path: &Path| open(path, &limits::CONFIG).unwrap_err().to_string();
        assert!(told(Path::new("/dev/zero")).contains("a device, a pipe or a socket; give a plain file"));
        assert!(told(Path::new("/")).contains("a folder"));
        assert_eq!(open(Path::new("/no/such/file"), &limits::CONFIG).unwrap_err().kind(), ErrorKind::NotFound);
        let path = std::env::temp_dir().join(format!("fm-core-budget-{}", std::process::id()));
        File::create(&path).unwrap().set_len((1 << 18) + 1).unwrap();
        let (long, read) = (told(&path), read(&path, &limits::META).map(|(bytes, _)| bytes.len()));
        fs::remove_file(&path).unwrap();
        assert!(long.contains("it has 262145 bytes, more than 262144; give the config.toml"), "{long}");
        assert_eq!(read.unwrap(), (1 << 18) + 1);
    }
}
