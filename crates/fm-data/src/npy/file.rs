//! The `.npy` format: a text header that describes an array, followed by its numbers.
//!
//! A header is not trusted: it is compared with the file's length if that is known, and memory is
//! allocated only for numbers actually read.

use crate::DataError;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The longest header, in bytes; NumPy reads up to 10,000.
const HEADER: usize = 1 << 16;

/// Numbers read at a time.
const CHUNK: usize = 1 << 14;

/// An open file whose header has been read.
pub(super) struct Npy {
    path: PathBuf,
    reader: BufReader<File>,
    /// Bytes after the header, if the file is a regular file.
    left: Option<u64>,
    /// NumPy's name of the number type: `<f4`, `|u1`, ...
    pub(super) kind: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Npy {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let io = |source| DataError::Io { path: path.into(), source };
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        let mut reader = BufReader::new(file);
        let (text, start) = match header(&mut reader) {
            Ok(found) => found,
            Err(Unread::Io(source)) => return Err(io(source)),
            Err(Unread::Problem(problem)) => return Err(unreadable(path, problem)),
        };
        let (kind, fortran_order, shape) =
            described(&text).ok_or_else(|| unreadable(path, "its header describes no array of numbers"))?;
        let left = metadata.is_file().then(|| metadata.len().saturating_sub(start));
        Ok(Self { path: path.into(), reader, left, kind, fortran_order, shape })
    }

    /// Reads the numbers, of N bytes each.
    pub(super) fn read<const N: usize, T>(mut self, decode: impl Fn([u8; N]) -> T) -> Result<ArrayD<T>, DataError> {
        let too_short = || unreadable(&self.path, format!("its shape {:?} needs more bytes than follow", self.shape));
        let count = self.shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n)).ok_or_else(too_short)?;
        let claimed = (count as u64).checked_mul(N as u64).ok_or_else(too_short)?;
        if self.left.is_some_and(|left| left < claimed) {
            return Err(too_short());
        }
        let mut values = Vec::new();
        let room = if self.left.is_some() { count } else { 0 };
        if values.try_reserve_exact(room).is_err() {
            return Err(unreadable(&self.path, "its numbers do not fit into memory"));
        }
        let mut buffer = vec![0; N * CHUNK.min(count)];
        while values.len() < count {
            let bytes = &mut buffer[..N * CHUNK.min(count - values.len())];
            self.reader.read_exact(bytes).map_err(|source| match source.kind() {
                ErrorKind::UnexpectedEof => too_short(),
                _ => DataError::Io { path: self.path.clone(), source },
            })?;
            values.extend(bytes.as_chunks::<N>().0.iter().map(|number| decode(*number)));
        }
        if !matches!(self.reader.read(&mut [0]), Ok(0)) {
            return Err(unreadable(&self.path, format!("its shape {:?} needs fewer bytes than follow", self.shape)));
        }
        ArrayD::from_shape_vec(IxDyn(&self.shape).set_f(self.fortran_order), values)
            .map_err(|e| unreadable(&self.path, format!("its shape is {:?}: {e}", self.shape)))
    }
}

enum Unread {
    Io(std::io::Error),
    Problem(&'static str),
}

/// The text of a header, and the offset at which the numbers start.
fn header(reader: &mut impl Read) -> Result<(String, u64), Unread> {
    let mut take = |bytes: &mut [u8]| {
        reader.read_exact(bytes).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => Unread::Problem("it ends within its header"),
            _ => Unread::Io(e),
        })
    };
    let mut start = [0; 8];
    take(&mut start)?;
    let [magic @ .., version, _] = start;
    if magic != *b"\x93NUMPY" {
        return Err(Unread::Problem("it does not start as NumPy's files do"));
    }
    if !(1..=3).contains(&version) {
        return Err(Unread::Problem("its version is not 1, 2 or 3"));
    }
    let mut length = [0; 4];
    let width = if version == 1 { 2 } else { 4 };
    take(&mut length[..width])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > HEADER {
        return Err(Unread::Problem("its header is longer than 65536 bytes"));
    }
    let mut text = vec![0; length];
    take(&mut text)?;
    let text = String::from_utf8(text).map_err(|_| Unread::Problem("its header is not text"))?;
    Ok((text, (8 + width + length) as u64))
}

/// Number type, order and shape from a header: a Python dictionary of `descr`, `fortran_order` and
/// `shape`.
fn described(text: &str) -> Option<(String, bool, Vec<usize>)> {
    let value = |key: &str| {
        let ends = ["'", "\""].iter().find_map(|quote| {
            let quoted = format!("{quote}{key}{quote}");
            text.find(&quoted).map(|at| at + quoted.len())
        });
        text[ends?..].trim_start().strip_prefix(':').map(str::trim_start)
    };
    let kind = value("descr")?;
    let quote = kind.chars().next().filter(|c| ['\'', '"'].contains(c))?;
    let kind = kind[1..].split_once(quote)?.0;
    let fortran_order = match value("fortran_order")? {
        order if order.starts_with("True") => true,
        order if order.starts_with("False") => false,
        _ => return None,
    };
    let sizes = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape = sizes.map(|size| size.parse().ok()).collect::<Option<Vec<usize>>>()?;
    Some((kind.to_owned(), fortran_order, shape))
}

fn unreadable(path: &Path, problem: impl std::fmt::Display) -> DataError {
    broken(path, format!("it cannot be read as .npy ({problem})"), "give what numpy.save wrote")
}

/// The error for a file with invalid content.
pub(super) fn broken(path: &Path, problem: String, remedy: &str) -> DataError {
    DataError::Malformed { path: path.into(), problem, remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use ndarray_npy::write_npy;

    fn claiming(text: &str, numbers: usize) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16 + 1).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.push(b'\n');
        bytes.resize(bytes.len() + numbers, 0);
        bytes
    }

    fn read(path: &Path) -> Result<ArrayD<f32>, DataError> {
        Npy::open(path)?.read(f32::from_le_bytes)
    }

    /// A file of 100 bytes whose header claims 160 GB, and other false claims of a header.
    #[test]
    fn claims_beyond_the_file_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        let of = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        for (bytes, says) in [
            (claiming(&of("(200000, 200000)"), 9), "needs more bytes than follow"),
            (claiming(&of("(3,)"), 11), "needs more bytes than follow"),
            (claiming(&of("(3,)"), 13), "needs fewer bytes than follow"),
            (claiming(&of("(9223372036854775807, 9223372036854775807)"), 0), "needs more bytes"),
            (claiming(&of("(0, 9223372036854775807, 9223372036854775807)"), 0), "its shape is"),
            (claiming(&of("(99999999999999999999,)"), 0), "describes no array"),
            (claiming(&of("(-1,)"), 4), "describes no array"),
            (claiming(&of("7"), 28), "describes no array"),
            (claiming(&"(".repeat(60_000), 0), "describes no array"),
            (claiming("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4), "describes no array"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}".to_vec(), "longer than 65536"),
            (b"\x93NUMPY\x01\x00\xff\xff{}".to_vec(), "ends within its header"),
            (b"\x93NUMPY\x04\x00\x02\x00{}".to_vec(), "version is not 1, 2 or 3"),
            (b"\x93NUM".to_vec(), "ends within its header"),
            (Vec::new(), "ends within its header"),
            (vec![0; 100], "does not start"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let text = read(&path).unwrap_err().to_string();
            assert!(text.contains(says), "{text} instead of {says}");
        }
        assert!(matches!(read(dir.path()), Err(DataError::Io { .. })));
        assert!(matches!(read(&dir.path().join("none")), Err(DataError::Io { .. })));
    }

    /// An array longer than a chunk, in both orders, and a number without dimensions.
    #[test]
    fn arrays_are_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        let long = Array2::from_shape_fn((3, CHUNK), |(i, j)| (i * CHUNK + j) as f32);
        write_npy(&path, &long).unwrap();
        assert_eq!(read(&path).unwrap(), long.clone().into_dyn());
        write_npy(&path, &long.t().as_standard_layout().into_owned().reversed_axes()).unwrap();
        assert_eq!(read(&path).unwrap(), long.into_dyn());
        write_npy(&path, &ndarray::arr0(2.5f32)).unwrap();
        assert_eq!(read(&path).unwrap(), ndarray::arr0(2.5f32).into_dyn());
        std::fs::write(&path, claiming("{\"shape\":(2,),\"descr\":\">f4\",\"fortran_order\":False}", 8)).unwrap();
        let found = Npy::open(&path).unwrap();
        assert_eq!(found.kind, ">f4");
        assert_eq!(found.read(f32::from_be_bytes).unwrap(), array![0f32, 0.0].into_dyn());
    }
}
