//! Opening files: only plain files are read, and memory is checked before it is allocated.

use crate::DataError;
use fm_core::budget::{self, Budget, Limits, NotPlain, OverBudget};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

/// Memory that is allocated without asking the system, in bytes.
const UNCHECKED: u64 = 64 << 20;

/// Beginnings of files, what they are, and what to do instead.
const KNOWN: [(&[u8], &str, &str); 19] = [
    (b"\x93NUMPY", "a NumPy array", "give it a name that ends in .npy"),
    (b"PK\x03\x04", "a zip archive, such as .xlsx or .npz", "unpack it, or export the table as CSV"),
    (b"PK\x05\x06", "an empty zip archive", "write the arrays again with numpy.savez"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", "export the table as CSV"),
    (b"\x1f\x8b", "gzip data", "unpack it with gunzip"),
    (b"PAR1", "a Parquet file", "export it: pandas.read_parquet(f).to_csv(g, index=False)"),
    (b"ARROW1", "an Arrow file", "export it: pandas.read_feather(f).to_csv(g, index=False)"),
    (b"\x89HDF", "an HDF5 file", "save the array with numpy.save"),
    (b"MATLAB ", "a MATLAB file", "save the array with numpy.save"),
    (b"\x80\x02", "a Python pickle", "save the array with numpy.save"),
    (b"\x80\x04", "a Python pickle", "save the array with numpy.save"),
    (b"\x80\x05", "a Python pickle", "save the array with numpy.save"),
    (b"BZh", "bzip2 data", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "xz data", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data", "unpack it with unzstd"),
    (b"version https://git-lfs", "a Git LFS pointer, not the data", "fetch the data with git lfs pull"),
    (b"[{", "JSON", "export it: pandas.read_json(f).to_csv(g, index=False)"),
    (b"{\"", "JSON", "export it: pandas.read_json(f).to_csv(g, index=False)"),
    (b"<!DOCTYPE", "a web page", "download the file itself"),
];

/// The number of bytes of a file that [`known`] looks at.
pub(crate) const BEGINNING: usize = 24;

/// The kind of a file by its first bytes, and the remedy, if it is a known format of another kind.
pub(crate) fn known(beginning: &[u8]) -> Option<(&'static str, &'static str)> {
    KNOWN.iter().find(|(start, ..)| beginning.starts_with(start)).map(|(_, what, remedy)| (*what, *remedy))
}

/// A plain file with its length in bytes, and the budget for parsing it.
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) length: u64,
    pub(crate) budget: Budget,
}

/// Opens a plain file.
///
/// # Errors
/// [`DataError::NotAFile`] for a folder, a device, a pipe or a socket, which may never end;
/// [`DataError::Malformed`] for a file that is longer than its limits.
pub(crate) fn open(path: &Path, limits: &'static Limits) -> Result<Opened, DataError> {
    let (file, budget) = budget::open(path, limits).map_err(|error| failed(path, error))?;
    let length = file.metadata().map_err(|source| DataError::Io { path: path.into(), source })?.len();
    Ok(Opened { file, length, budget })
}

/// The error of opening and reading: those of the budget are those of the file, others are those of
/// the system.
pub(crate) fn failed(path: &Path, source: std::io::Error) -> DataError {
    let inner = source.get_ref();
    if let Some(NotPlain { kind }) = inner.and_then(|inner| inner.downcast_ref()) {
        return DataError::NotAFile { path: path.into(), kind };
    }
    match inner.and_then(|inner| inner.downcast_ref()) {
        Some(over) => exceeded(path, *over),
        None => DataError::Io { path: path.into(), source },
    }
}

/// The error of a file that costs more than it may.
pub(crate) fn exceeded(path: &Path, over: OverBudget) -> DataError {
    let text = over.to_string();
    let remedy = text.rsplit("; ").next().unwrap_or_default().to_owned();
    DataError::Malformed { path: path.into(), problem: over.cause(), remedy }
}

/// The first bytes of a file, at most [`BEGINNING`]; the file is then read from its start.
pub(crate) fn beginning(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut first = Vec::new();
    file.by_ref().take(BEGINNING as u64).read_to_end(&mut first)?;
    file.rewind()?;
    Ok(first)
}

/// An empty vector with room for `count` values.
///
/// # Errors
/// [`DataError::TooLarge`] if the values do not fit into the memory that the system has available.
pub(crate) fn room<T>(path: &Path, count: usize) -> Result<Vec<T>, DataError> {
    let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
    let too_large = || DataError::TooLarge { path: path.into(), bytes };
    if bytes > UNCHECKED && available().is_some_and(|free| bytes > free) {
        return Err(too_large());
    }
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| too_large())?;
    Ok(values)
}

/// Available memory in bytes, on systems that publish it in `/proc/meminfo`.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::budget::limits;

    #[test]
    fn only_plain_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(open(dir.path(), &limits::TABLE), Err(DataError::NotAFile { kind: "a folder", .. })));
        assert!(matches!(open(&dir.path().join("none"), &limits::TABLE), Err(DataError::Io { .. })));
        #[cfg(unix)]
        assert!(
            open("/dev/zero".as_ref(), &limits::TABLE)
                .is_err_and(|e| e.to_string().contains("a device, a pipe or a socket"))
        );
        std::fs::write(dir.path().join("x"), "PAR1 and more").unwrap();
        let Opened { mut file, length, .. } = open(&dir.path().join("x"), &limits::TABLE).unwrap();
        let first = beginning(&mut file).unwrap();
        assert_eq!((length, known(&first).map(|(what, _)| what)), (13, Some("a Parquet file")));
    }

    #[test]
    fn room_is_limited_by_memory() {
        assert!(room::<u8>("x".as_ref(), 1000).is_ok_and(|v| v.capacity() >= 1000));
        for count in [1 << 50, usize::MAX] {
            assert!(matches!(room::<f64>("x".as_ref(), count), Err(DataError::TooLarge { .. })));
        }
    }
}
