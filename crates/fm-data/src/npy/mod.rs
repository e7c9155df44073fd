//! Arrays from NumPy files: `.npy` (versions 1, 2 and 3) and `.npz` (feature `npz`, on by default).
//!
//! | array | shapes | types |
//! |---|---|---|
//! | any ([`read`]) | one axis or more | bool, int8 to int64, uint8 to uint64, float16, float32, float64; either byte order, C or Fortran order |
//! | [`images`] | (N, H, W), (N, C, H, W) or (N, H, W, C) with 1 or 3 channels; if both orders fit, channels come first | any of them; see [`ValueRange`] |
//! | labels of images | (N) or (N, 1) | bool and integers |
//! | [`table`] | (rows, columns) | any of them, read as f64 |
//! | [`sequences`] | (N, L, C): N sequences of L places with C channels; also (rows, columns) | any of them, read as f64 |
//!
//! An array of an archive is named as `FILE.npz:NAME`; the name can be left out if it is the only
//! array. Arrays of Python objects, texts, complex numbers and named fields are errors, which name
//! the remedy. Memory is allocated only after the shape has been compared with the length of the
//! file.
//!
//! ```
//! use ndarray::{Array3, Ix3};
//! use ndarray_npy::write_npy;
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("images.npy");
//! write_npy(&path, &Array3::<u8>::from_elem((5, 2, 4), 7)).unwrap();
//! let array = fm_data::npy::read::<f32, Ix3>(&path)?;
//! assert_eq!((array.dim(), array[[4, 1, 3]]), ((5, 2, 4), 7.0));
//! let mut notes = Vec::new();
//! let set = fm_data::npy::images(&path, None, None, &mut notes)?;
//! assert_eq!((set.len(), set.shape(), set.image(4)[0]), (5, [1, 2, 4], 7));
//! // The largest value is far below white.
//! assert!(notes[0].contains("0 to 7") || notes[0].contains("7 to 7"), "{notes:?}");
//! # Ok::<(), fm_data::DataError>(())
//! ```

#[cfg(feature = "npz")]
mod archive;
mod file;
mod header;
mod images;
mod kind;
mod labels;
mod range;
mod source;
mod trouble;

pub use images::images;
pub use kind::Number;
pub use range::ValueRange;
pub use source::ArraySource;

use crate::series::Series;
use crate::{DataError, Table};
use file::Npy;
use kind::Value;
use ndarray::{Array, Array2, ArrayD, Dimension};
use std::cell::Cell;
use std::path::Path;
use trouble::{broken, tuple};

/// Reads an array of numbers, in C order: `read::<f32, Ix4>(path)`. `T` is f32, f64, i64 or u8; the
/// numbers are converted as [`Number`] describes.
///
/// # Errors
/// A file that is missing, not `.npy` or `.npz`, or shorter or longer than its header claims; an
/// array of another number of axes or of numbers that `T` does not hold; and more numbers than fit
/// into memory.
pub fn read<T: Number, D: Dimension>(array: impl Into<ArraySource>) -> Result<Array<T, D>, DataError> {
    let source = array.into();
    dimensions(&source.path, Npy::with(&source, |npy| npy.read())?, "save an array with the axes asked for")
}

/// Reads a table with one sample per row, as f64: the values that [`Table::of`](crate::Table::of)
/// takes. Whole numbers above 2^53 are rounded.
///
/// # Errors
/// As [`read`]; and an array without rows or columns, or with values that are not finite.
pub fn table(array: impl Into<ArraySource>) -> Result<Array2<f64>, DataError> {
    rows(&array.into()).map(|(table, _)| table)
}

/// A table, and whether whole numbers were rounded.
fn rows(source: &ArraySource) -> Result<(Array2<f64>, bool), DataError> {
    let (table, rounded) = Npy::with(source, |npy| {
        // A list is refused before its numbers are looked at.
        let remedy = match npy.header.shape[..] {
            [_, _] => return finite(npy),
            [] | [_] => "reshape it: numpy.save(f, x.reshape(-1, 1))",
            _ => "reshape it: numpy.save(f, x.reshape(len(x), -1))",
        };
        Err(wrong_axes(&source.path, &npy.header.shape, 2, remedy))
    })?;
    let table: Array2<f64> = dimensions(&source.path, table, "give a table of shape (rows, columns)")?;
    if table.is_empty() {
        return Err(broken(&source.path, "it has no rows or no columns".into(), "give at least one of each"));
    }
    Ok((table, rounded))
}

/// Finite numbers as f64, and whether whole numbers were rounded.
fn finite(npy: Npy<'_>) -> Result<(ArrayD<f64>, bool), DataError> {
    let rounded = Cell::new(false);
    let number = |value| match value {
        Value::Int(i) => {
            rounded.set(rounded.get() || i as f64 as i128 != i);
            Some(i as f64)
        }
        Value::Float(x) => Some(x).filter(|x| x.is_finite()),
    };
    let describe = |value: Value| (value.to_string(), "fill or drop rows with missing or infinite values");
    let array = npy.read_by(number, describe)?;
    Ok((array, rounded.get()))
}

/// Reads a table, or an array of sequences (N, L, C) as a table of N rows of L C numbers.
/// If whole numbers above 2^53 were rounded, [`Table::notes`] has a note.
///
/// # Errors
/// As [`table`].
pub fn sequences(array: impl Into<ArraySource>) -> Result<Table, DataError> {
    let source = array.into();
    let shape = Npy::with(&source, |npy| Ok(npy.header.shape.clone()))?;
    let (values, rounded, series) = if let [rows, length, channels] = shape[..] {
        let (values, rounded) = Npy::with(&source, finite)?;
        if values.is_empty() {
            let problem = "it has no sequences, no places or no channels";
            return Err(broken(&source.path, problem.into(), "give at least one of each"));
        }
        let values = values.into_shape_with_order((rows, length * channels));
        let values = values.map_err(|e| broken(&source.path, e.to_string(), "save the array in C order"))?;
        (values, rounded, Some(Series { length, channels }))
    } else {
        let (values, rounded) = rows(&source)?;
        (values, rounded, None)
    };
    let note = || format!("{source}: whole numbers above 2^53 are rounded to 53 bits; subtract an offset before");
    Ok(Table { series, notes: rounded.then(note).into_iter().collect(), ..Table::of(values) })
}

fn wrong_axes(path: &Path, shape: &[usize], wanted: usize, remedy: &str) -> DataError {
    broken(path, format!("its shape is {}, of {} axes and not {wanted}", tuple(shape), shape.len()), remedy)
}

/// The array with a fixed number of axes.
fn dimensions<T, D: Dimension>(path: &Path, array: ArrayD<T>, remedy: &str) -> Result<Array<T, D>, DataError> {
    let shape = array.shape().to_vec();
    array.into_dimensionality().map_err(|_| wrong_axes(path, &shape, D::NDIM.unwrap_or(0), remedy))
}
