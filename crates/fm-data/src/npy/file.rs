//! Reading an array of an `.npy` file, or of an `.npz` archive of such files.
//!
//! A header is not trusted: the bytes that its shape needs are compared with the bytes that the
//! file holds before memory is allocated.

use super::ArraySource;
use super::header::{Header, Unread};
use super::kind::{Number, Value};
use crate::{DataError, error, input};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// Numbers read at a time.
const CHUNK: usize = 1 << 14;

/// Deflate expands a byte to at most 1032 bytes.
const EXPANSION: u64 = 1032;

/// An array whose header has been read.
pub(super) struct Npy<'a> {
    source: &'a ArraySource,
    reader: &'a mut dyn Read,
    pub(super) header: Header,
    /// Bytes after the header.
    left: u64,
}

impl<'a> Npy<'a> {
    /// Opens an array, and passes it to `then`.
    pub(super) fn with<R>(
        source: &ArraySource,
        then: impl FnOnce(Npy<'_>) -> Result<R, DataError>,
    ) -> Result<R, DataError> {
        let path = &source.path;
        let io = |source| DataError::Io { path: path.clone(), source };
        let (mut file, length) = input::open(path)?;
        let first = input::beginning(&mut file).map_err(io)?;
        if first.starts_with(b"PK\x03\x04") {
            return in_archive(source, file, length, then);
        }
        if source.member.is_some() && first.starts_with(b"\x93NUMPY") {
            let problem = "it is one array, without members".into();
            return Err(broken(path, problem, "leave out the name after the colon"));
        }
        if let Some((what, remedy)) = input::known(&first).filter(|_| !first.starts_with(b"\x93NUMPY")) {
            return Err(broken(path, format!("it is {what}"), remedy));
        }
        then(Npy::of(source, &mut BufReader::new(file), length)?)
    }

    fn of(source: &'a ArraySource, reader: &'a mut dyn Read, length: u64) -> Result<Self, DataError> {
        let header = Header::read(reader).map_err(|unread| match unread {
            Unread::Io(e) => reading(source, e),
            Unread::Problem(problem, remedy) => broken(&source.path, problem, remedy),
        })?;
        let left = length.saturating_sub(header.start);
        Ok(Self { source, reader, header, left })
    }

    /// Reads the array as `T`, in C order.
    pub(super) fn read<T: Number>(self) -> Result<ArrayD<T>, DataError> {
        let describe =
            |value: Value| (format!("{value}, which {} does not hold", T::NAME), "convert it with numpy's astype");
        self.read_by(T::of, describe)
    }

    /// Reads the array with a conversion; `describe` gives the problem and the remedy of a number
    /// that it refuses.
    pub(super) fn read_by<T: Clone>(
        self,
        of: impl Fn(Value) -> Option<T>,
        describe: impl Fn(Value) -> (String, &'static str),
    ) -> Result<ArrayD<T>, DataError> {
        let (path, Header { kind, shape, fortran_order, .. }) = (&self.source.path, &self.header);
        if shape.is_empty() {
            let remedy = "save an array with an axis, as in numpy.save(f, [x])";
            return Err(broken(path, "it is a single number without axes".into(), remedy));
        }
        let unequal = |how| {
            let problem = format!("its shape {} needs {how} bytes than follow its header", tuple(shape));
            broken(path, problem, "it is damaged or incomplete: copy or save it again")
        };
        let bytes = |n: &usize| n.checked_mul(kind.size());
        let count = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
        let claimed = count.as_ref().and_then(bytes).ok_or_else(|| unequal("more"))? as u64;
        if claimed != self.left {
            return Err(unequal(if claimed > self.left { "more" } else { "fewer" }));
        }
        let count = count.unwrap_or(0);
        let mut values = input::room(path, count)?;
        let mut buffer = vec![0; kind.size() * CHUNK.min(count)];
        while values.len() < count {
            let bytes = &mut buffer[..kind.size() * CHUNK.min(count - values.len())];
            self.reader.read_exact(bytes).map_err(|e| match e.kind() {
                ErrorKind::UnexpectedEof => unequal("more"),
                _ => reading(self.source, e),
            })?;
            kind.decode(bytes, &mut values, &of).map_err(|value| {
                let (problem, remedy) = describe(value);
                let at = tuple(&place(values.len(), shape, *fortran_order));
                broken(path, format!("the number at {at} is {problem}"), remedy)
            })?;
        }
        // The end of an archive's member is where its checksum is compared.
        match self.reader.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(unequal("fewer")),
            Err(e) => return Err(reading(self.source, e)),
        }
        let array = ArrayD::from_shape_vec(IxDyn(shape).set_f(*fortran_order), values)
            .map_err(|e| broken(path, format!("its shape is {} ({e})", tuple(shape)), "save a smaller array"))?;
        Ok(if *fortran_order { array.as_standard_layout().into_owned() } else { array })
    }
}

/// Opens a member of an archive.
fn in_archive<R>(
    source: &ArraySource,
    file: File,
    length: u64,
    then: impl FnOnce(Npy<'_>) -> Result<R, DataError>,
) -> Result<R, DataError> {
    let path = &source.path;
    let damaged = |e: ZipError| match e {
        ZipError::Io(e) => reading(source, e),
        e => broken(path, format!("it cannot be read as .npz ({e})"), "give a file that numpy.savez wrote"),
    };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let place = member(source, &archive)?;
    let mut member = archive.by_index(place).map_err(damaged)?;
    let (size, packed, stored) =
        (member.size(), member.compressed_size(), member.compression() == CompressionMethod::Stored);
    let most = if stored { packed } else { packed.saturating_mul(EXPANSION).saturating_add(EXPANSION) };
    if packed > length || size > most {
        let problem = format!("an array of {size} bytes is claimed in {packed} compressed bytes of {length}");
        return Err(broken(path, problem, "it is damaged: copy or save it again"));
    }
    then(Npy::of(source, &mut member, size)?)
}

/// The index of the member to read.
fn member(source: &ArraySource, archive: &ZipArchive<BufReader<File>>) -> Result<usize, DataError> {
    let names: Vec<&str> = archive.file_names().filter_map(|name| name.strip_suffix(".npy")).collect();
    let file = source.path.file_name().unwrap_or_default().to_string_lossy();
    let which = |name: &str| format!("name one after a colon, as in {file}:{}", error::brief(name, 40));
    let name = match (&source.member, &names[..]) {
        (Some(name), _) => name.as_str(),
        (None, [only]) => only,
        (None, []) => {
            let problem = "it holds no arrays (.npy members)".into();
            return Err(broken(&source.path, problem, "give a file that numpy.savez wrote"));
        }
        (None, [first, ..]) => {
            let problem = format!("it holds {} arrays: {}", names.len(), error::some(&names));
            return Err(broken(&source.path, problem, &which(first)));
        }
    };
    let found = archive.index_for_name(&format!("{name}.npy")).or_else(|| archive.index_for_name(name));
    found.ok_or_else(|| {
        let problem = format!("it holds no array '{}', only {}", error::brief(name, 30), error::some(&names));
        broken(&source.path, problem, &names.first().map_or("give another file".into(), |first| which(first)))
    })
}

/// The index of a number in the array, from its position in the file.
fn place(mut at: usize, shape: &[usize], fortran_order: bool) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    // The axis whose numbers lie next to each other comes first.
    for step in 0..shape.len() {
        let axis = if fortran_order { step } else { shape.len() - 1 - step };
        let size = shape[axis].max(1);
        index[axis] = at % size;
        at /= size;
    }
    index
}

/// A shape or an index as Python writes it, cut to the first few sizes.
pub(super) fn tuple(sizes: &[usize]) -> String {
    let first: Vec<String> = sizes.iter().take(6).map(usize::to_string).collect();
    let end = if sizes.len() > 6 { ", ...)" } else { ")" };
    format!("({}{end}", first.join(", "))
}

/// The error of reading: damage of the archive, or of the system.
fn reading(source: &ArraySource, error: std::io::Error) -> DataError {
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
