//! Images from arrays.

use super::file::Npy;
use super::kind::{Number, NumberType};
use super::range::{Extent, ValueRange, shown};
use super::trouble::{broken, tuple};
use super::{ArraySource, labels};
use crate::{DataError, ImageSet};
use ndarray::{Array4, ArrayD, Axis, Dimension, Ix4};
use std::path::Path;

/// Reads images, and their classes from the array `labels` if given. Without a `range`, the values
/// of black and white follow from the values, as [`ValueRange`] describes. What was assumed is
/// appended to `notes`, one line each.
///
/// # Errors
/// As [`read`](super::read); and arrays of another shape, values that are not finite or of no
/// recognised range, labels that are not integers, of another count or that leave class 0 empty.
pub fn images(
    array: impl Into<ArraySource>,
    labels: Option<&ArraySource>,
    range: Option<ValueRange>,
    notes: &mut Vec<String>,
) -> Result<ImageSet, DataError> {
    let source = array.into();
    let array = Npy::with(&source, |npy| {
        let (kind, path) = (npy.header.kind, &source.path);
        check_shape(path, &npy.header.shape)?;
        if kind.name() == "uint8" {
            bytes(&source, npy.read()?, range, notes)
        } else if kind.fits_f32() {
            scaled::<f32>(&source, kind, npy.read()?, range, notes)
        } else {
            scaled::<f64>(&source, kind, npy.read()?, range, notes)
        }
    })?;
    if let [count, height, side @ (1 | 3)] = *array.shape() {
        notes.push(format!(
            "{source}: read as {count} grey images of {height} x {side}; if it is one image, save x[None]"
        ));
    }
    let array = channels_first(&source.path, array)?;
    let (count, channels, height, width) = array.dim();
    let (labels, classes) = match labels {
        Some(file) => labels::read(file, count, notes)?,
        None => (vec![0; count], Vec::new()),
    };
    let pixels =
        if array.is_standard_layout() { array.into_raw_vec_and_offset().0 } else { array.iter().copied().collect() };
    ImageSet::new([channels, height, width], 255, pixels, labels, classes)
}

const SHAPES: &str = "give (N, H, W), (N, C, H, W) or (N, H, W, C) with 1 or 3 channels";

/// Checks the shape before the pixels are read.
fn check_shape(path: &Path, shape: &[usize]) -> Result<(), DataError> {
    let remedy = match shape {
        [_, _, _] | [_, 1 | 3, _, _] | [_, _, _, 1 | 3] if !shape.contains(&0) => return Ok(()),
        _ if shape.contains(&0) => "give at least one image with pixels",
        [_, _] => "give (N, H, W): one image as x[None], flat ones as x.reshape(N, H, W)",
        [_, 4, _, _] => "leave out transparency: numpy.save(f, x[:, :3])",
        [_, _, _, 4] => "leave out transparency: numpy.save(f, x[..., :3])",
        _ => SHAPES,
    };
    Err(broken(path, format!("its shape is {}", tuple(shape)), remedy))
}

fn channels_first(path: &Path, array: ArrayD<u8>) -> Result<Array4<u8>, DataError> {
    let shape = tuple(array.shape());
    let array = match array.shape() {
        [_, _, _] => array.insert_axis(Axis(1)),
        [_, 1 | 3, _, _] => array,
        _ => array.permuted_axes(vec![0, 3, 1, 2]),
    };
    array.into_dimensionality::<Ix4>().map_err(|_| broken(path, format!("its shape is {shape}"), SHAPES))
}

/// Bytes, unless a range is given.
fn bytes(
    source: &ArraySource,
    mut array: ArrayD<u8>,
    range: Option<ValueRange>,
    notes: &mut Vec<String>,
) -> Result<ArrayD<u8>, DataError> {
    match range {
        None => dark(source, Extent::of(array.iter().map(|p| f64::from(*p))), notes),
        Some(range) => {
            outside(source, range, array.iter().map(|p| f64::from(*p)), notes)?;
            array.mapv_inplace(|p| range.byte(p.into()));
        }
    }
    Ok(array)
}

/// Bytes of values of another type.
fn scaled<T: Number + Into<f64>>(
    source: &ArraySource,
    kind: NumberType,
    array: ArrayD<T>,
    range: Option<ValueRange>,
    notes: &mut Vec<String>,
) -> Result<ArrayD<u8>, DataError> {
    let path = &source.path;
    let values = || array.iter().map(|v| (*v).into());
    if let Some((place, value)) = array.indexed_iter().find(|(_, v)| !Into::<f64>::into(**v).is_finite()) {
        let problem = format!("the number at {:?} is {}", place.slice(), Into::<f64>::into(*value));
        return Err(broken(path, problem, "fill in or leave out such images: numpy.isfinite(x)"));
    }
    let extent = Extent::of(values());
    let range = match range {
        Some(range) => range,
        None if kind.is_bool() => ValueRange::UNIT,
        None if kind.is_float() => {
            let found = extent.recognise();
            let range = found.ok_or_else(|| {
                let (problem, remedy) = extent.advice();
                DataError::UnknownRange { path: path.clone(), least: extent.least, most: extent.most, problem, remedy }
            })?;
            let (least, most) = (shown(extent.least), shown(extent.most));
            notes.push(format!("{source}: values of {least} to {most} are read with {range} as black..white"));
            range
        }
        None if extent.least >= 0.0 && extent.most <= 255.0 => {
            dark(source, extent, notes);
            ValueRange::BYTES
        }
        None => {
            let (least, most) = (shown(extent.least), shown(extent.most));
            let whole = format!("add :range={least}..{most}, the values of black and white");
            let remedy = if extent.least < 0.0 { whole } else { extent.advice().1 };
            let problem = format!("its {} values are {least} to {most}, not 0 to 255", kind.name());
            return Err(broken(path, problem, &remedy));
        }
    };
    outside(source, range, values(), notes)?;
    Ok(array.mapv(|v| range.byte(v.into())))
}

/// Notes that integers use only a small part of 0 to 255.
fn dark(source: &ArraySource, extent: Extent, notes: &mut Vec<String>) {
    if extent.most > 0.0 && extent.most <= 31.0 {
        let (least, most) = (shown(extent.least), shown(extent.most));
        notes.push(format!(
            "{source}: its values are {least} to {most} of 255, which is dark; if {most} is white, add :range=0..{most}"
        ));
    }
}

/// Notes that values outside the range are clamped.
///
/// # Errors
/// A tenth of the values or more lie outside by over half the width of the range.
fn outside(
    source: &ArraySource,
    range: ValueRange,
    values: impl Iterator<Item = f64>,
    notes: &mut Vec<String>,
) -> Result<(), DataError> {
    let (mut count, mut beyond, mut far, mut example) = (0usize, 0usize, 0usize, 0.0);
    for value in values {
        count += 1;
        if !range.contains(value) {
            beyond += 1;
            far += usize::from(range.is_far(value));
            example = value;
        }
    }
    if beyond == 0 {
        return Ok(());
    }
    let (percent, example) = (100.0 * beyond as f64 / count as f64, shown(example));
    if far * 10 >= count {
        let problem = format!("{percent:.3} % of its values lie outside the range {range}, such as {example}");
        return Err(broken(&source.path, problem, "give the values of black and white as the range"));
    }
    notes.push(format!(
        "{source}: {percent:.3} % of its values lie outside {range}, such as {example}, and are clamped"
    ));
    Ok(())
}
