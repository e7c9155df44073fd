//! Reading an array of an `.npy` file, or of an `.npz` archive of such files.
//!
//! A header is not trusted: the bytes that its shape needs are compared with the bytes that the
//! file holds before memory is allocated.

use super::ArraySource;
use super::header::{Header, Unread};
use super::kind::{Number, Value};
use super::trouble::{broken, reading, tuple};
use crate::input::Opened;
use crate::{DataError, input};
use fm_core::budget::{Budget, limits};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use std::io::{BufReader, ErrorKind, Read};

/// Numbers read at a time.
const CHUNK: usize = 1 << 14;

/// An array whose header has been read.
pub(super) struct Npy<'a> {
    source: &'a ArraySource,
    reader: &'a mut dyn Read,
    pub(super) header: Header,
    /// Bytes after the header.
    left: u64,
    budget: Budget,
}

impl<'a> Npy<'a> {
    /// Opens an array, and passes it to `then`.
    pub(super) fn with<R>(
        source: &ArraySource,
        then: impl FnOnce(Npy<'_>) -> Result<R, DataError>,
    ) -> Result<R, DataError> {
        let path = &source.path;
        let io = |source| DataError::Io { path: path.clone(), source };
        let Opened { mut file, length, budget } = input::open(path, &limits::ARRAY)?;
        let first = input::beginning(&mut file).map_err(io)?;
        if first.starts_with(b"PK\x03\x04") {
            #[cfg(feature = "npz")]
            return super::archive::open(source, file, length, |member, size, budget| {
                then(Npy::of(source, member, size, budget)?)
            });
            #[cfg(not(feature = "npz"))]
            return Err(broken(path, "it is an archive".into(), "build fm-data with its feature npz"));
        }
        if source.member.is_some() && first.starts_with(b"\x93NUMPY") {
            let problem = "it is one array, without members".into();
            return Err(broken(path, problem, "leave out the name after the colon"));
        }
        if let Some((what, remedy)) = input::known(&first).filter(|_| !first.starts_with(b"\x93NUMPY")) {
            return Err(broken(path, format!("it is {what}"), remedy));
        }
        then(Npy::of(source, &mut BufReader::new(file), length, budget)?)
    }

    fn of(source: &'a ArraySource, reader: &'a mut dyn Read, length: u64, budget: Budget) -> Result<Self, DataError> {
        let header = Header::read(reader).map_err(|unread| match unread {
            Unread::Io(e) => reading(source, e),
            Unread::Problem(problem, remedy) => broken(&source.path, problem, remedy),
        })?;
        let left = length.saturating_sub(header.start);
        Ok(Self { source, reader, header, left, budget })
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
        mut self,
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
        self.budget.take_bytes(claimed).map_err(|over| input::exceeded(path, over))?;
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
