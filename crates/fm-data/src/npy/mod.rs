//! Images and tables from NumPy `.npy` files.
//!
//! Images are uint8, 0 to 255: (N, H, W), (N, C, H, W) or (N, H, W, C) with 1 or 3 channels; if
//! both orders fit, channels come first. Their classes, if any, are in a file of N whole numbers
//! starting at 0. Tables are (N, D) of float32, float64, int64, int32 or uint8, read as f32.
//!
//! ```
//! use ndarray::Array3;
//! use ndarray_npy::write_npy;
//! let dir = tempfile::tempdir().unwrap();
//! let path = dir.path().join("images.npy");
//! write_npy(&path, &Array3::<u8>::from_elem((5, 2, 4), 7)).unwrap();
//! let set = fm_data::npy::images(&path, None)?;
//! assert_eq!((set.len(), set.shape(), set.image(4)[0]), (5, [1, 2, 4], 7));
//! # Ok::<(), fm_data::DataError>(())
//! ```

mod file;

use crate::{DataError, ImageSet};
use file::{Npy, broken};
use ndarray::{Array1, Array2, ArrayD, Axis, Ix4};
use num_traits::AsPrimitive;
use std::path::Path;

/// Maximum number of classes in a file of labels.
const CLASSES: f64 = 10_000.0;

/// Reads images, and their classes from the file `labels` if given.
///
/// # Errors
/// A file that is missing, not `.npy`, shorter or longer than its header claims, of another type or
/// shape, and classes that do not match.
pub fn images(path: &Path, labels: Option<&Path>) -> Result<ImageSet, DataError> {
    let file = Npy::open(path)?;
    if !["|u1", "u1", "B"].contains(&file.kind.as_str()) {
        let problem = format!("its values are {}, not uint8", file.kind);
        return Err(broken(path, problem, "convert them with numpy's astype('uint8')"));
    }
    let array = file.read(|[byte]| byte)?;
    let shape = array.shape().to_vec();
    let wrong = || broken(path, format!("its shape is {shape:?}"), "give (N, H, W), (N, C, H, W) or (N, H, W, C)");
    let array = match shape[..] {
        [_, _, _] => array.insert_axis(Axis(1)),
        [_, 1 | 3, _, _] => array,
        [_, _, _, 1 | 3] => array.permuted_axes(vec![0, 3, 1, 2]),
        _ => return Err(wrong()),
    };
    let array = array.into_dimensionality::<Ix4>().map_err(|_| wrong())?;
    let (count, channels, height, width) = array.dim();
    if array.is_empty() {
        return Err(broken(path, "it holds no pixels".into(), "give at least one image"));
    }
    let (labels, classes) = match labels {
        Some(file) => classes(file, count)?,
        None => (vec![0; count], Vec::new()),
    };
    ImageSet::new([channels, height, width], 255, array.iter().copied().collect(), labels, classes)
}

/// Reads a table with one sample per row.
///
/// # Errors
/// A file that is missing, not `.npy`, shorter or longer than its header claims, not
/// two-dimensional, without rows, or with values that are not finite.
pub fn table(path: &Path) -> Result<Array2<f32>, DataError> {
    let table = numbers::<f32>(path)?;
    let shape = table.shape().to_vec();
    let table: Array2<f32> = table
        .into_dimensionality()
        .map_err(|_| broken(path, format!("its shape is {shape:?}"), "give a table of shape (rows, columns)"))?;
    if table.is_empty() {
        return Err(broken(path, "it has no rows or no columns".into(), "give at least one of each"));
    }
    match table.indexed_iter().find(|(_, x)| !x.is_finite()) {
        Some(((row, column), x)) => {
            Err(broken(path, format!("row {row}, column {column} (from 0) is {x:?}"), "fill or drop such rows"))
        }
        None => Ok(table),
    }
}

fn classes(path: &Path, count: usize) -> Result<(Vec<u16>, Vec<String>), DataError> {
    let labels = numbers::<f64>(path)?;
    let one_each = "give one number per image, of shape (N)";
    let labels: Array1<f64> =
        labels.into_dimensionality().map_err(|_| broken(path, "its labels are not a list".into(), one_each))?;
    if labels.len() != count {
        return Err(broken(path, format!("it has {} labels for {count} images", labels.len()), one_each));
    }
    let is_class = |l: f64| l.fract() == 0.0 && (0.0..CLASSES).contains(&l);
    if let Some((row, label)) = labels.iter().enumerate().find(|(_, l)| !is_class(**l)) {
        return Err(broken(
            path,
            format!("label {row} is {label:?}"),
            "count classes from 0 in whole numbers, 10,000 at most",
        ));
    }
    let labels: Vec<u16> = labels.iter().map(|l| *l as u16).collect();
    let most = labels.iter().max().copied().unwrap_or(0);
    Ok((labels, (0..=most).map(|k| k.to_string()).collect()))
}

/// Reads numbers of any of the supported types.
fn numbers<T: Copy + 'static>(path: &Path) -> Result<ArrayD<T>, DataError>
where
    f32: AsPrimitive<T>,
    f64: AsPrimitive<T>,
    i64: AsPrimitive<T>,
    i32: AsPrimitive<T>,
    u8: AsPrimitive<T>,
{
    let file = Npy::open(path)?;
    match file.kind.clone().as_str() {
        "<f4" => file.read(|bytes| f32::from_le_bytes(bytes).as_()),
        ">f4" => file.read(|bytes| f32::from_be_bytes(bytes).as_()),
        "<f8" => file.read(|bytes| f64::from_le_bytes(bytes).as_()),
        ">f8" => file.read(|bytes| f64::from_be_bytes(bytes).as_()),
        "<i8" => file.read(|bytes| i64::from_le_bytes(bytes).as_()),
        ">i8" => file.read(|bytes| i64::from_be_bytes(bytes).as_()),
        "<i4" => file.read(|bytes| i32::from_le_bytes(bytes).as_()),
        ">i4" => file.read(|bytes| i32::from_be_bytes(bytes).as_()),
        "|u1" | "u1" | "B" => file.read(|[byte]| byte.as_()),
        other => Err(broken(
            path,
            format!("its values are of type {other}"),
            "convert them to float32, float64, int64, int32 or uint8",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array4, array};
    use ndarray_npy::write_npy;

    #[test]
    fn channels_are_found_first_or_last_and_labels_name_classes() {
        let dir = tempfile::tempdir().unwrap();
        let (first, last, labels) = (dir.path().join("f.npy"), dir.path().join("l.npy"), dir.path().join("y.npy"));
        let array = Array4::from_shape_fn((2, 3, 4, 5), |(n, c, y, x)| (60 * n + 20 * c + 5 * y + x) as u8);
        write_npy(&first, &array).unwrap();
        write_npy(&last, &array.clone().permuted_axes([0, 2, 3, 1])).unwrap();
        write_npy(&labels, &array![4i64, 0]).unwrap();
        let (a, b) = (images(&first, Some(&labels)).unwrap(), images(&last, None).unwrap());
        assert_eq!((&a.pixels, a.shape), (&b.pixels, [3, 4, 5]));
        assert_eq!((a.pixels[60 + 20 + 5 + 2], &a.labels[..], a.classes.len()), (87, &[4u16, 0][..], 5));
        assert!(b.classes.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        let told = |error: DataError, says: &str| assert!(error.to_string().contains(says), "{error}");
        told(images(&path, None).unwrap_err(), "x.npy");
        std::fs::write(&path, "no array").unwrap();
        told(images(&path, None).unwrap_err(), "cannot be read");
        told(table(&path).unwrap_err(), "cannot be read");
        write_npy(&path, &array![[1.0f32, f32::NAN]]).unwrap();
        told(images(&path, None).unwrap_err(), "not uint8");
        told(table(&path).unwrap_err(), "row 0, column 1 (from 0) is NaN");
        write_npy(&path, &array![1.0f64, 2.0]).unwrap();
        told(table(&path).unwrap_err(), "[2]; give a table");
        write_npy(&path, &Array4::<u8>::zeros((2, 2, 5, 2))).unwrap();
        told(images(&path, None).unwrap_err(), "(N, C, H, W)");
        let (pictures, labels) = (dir.path().join("p.npy"), dir.path().join("y.npy"));
        write_npy(&pictures, &Array4::<u8>::zeros((2, 1, 2, 2))).unwrap();
        write_npy(&labels, &array![1i32]).unwrap();
        told(images(&pictures, Some(&labels)).unwrap_err(), "1 labels for 2 images");
        write_npy(&labels, &array![1i64, -1]).unwrap();
        told(images(&pictures, Some(&labels)).unwrap_err(), "label 1 is -1");
        write_npy(&labels, &array![0.5f32, 1.0]).unwrap();
        told(images(&pictures, Some(&labels)).unwrap_err(), "label 0 is 0.5");
        write_npy(&labels, &array![1e300f64, 1.0]).unwrap();
        told(images(&pictures, Some(&labels)).unwrap_err(), "label 0 is 1e300;");
        write_npy(&labels, &array![1i16, 1]).unwrap();
        told(images(&pictures, Some(&labels)).unwrap_err(), "of type <i2");
    }

    #[test]
    fn tables_of_any_number_type_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        let want = array![[1.0f32, 2.0], [3.0, 4.0]];
        write_npy(&path, &want).unwrap();
        assert_eq!(table(&path).unwrap(), want);
        write_npy(&path, &want.mapv(f64::from)).unwrap();
        assert_eq!(table(&path).unwrap(), want);
        write_npy(&path, &want.mapv(|x| x as i64)).unwrap();
        assert_eq!(table(&path).unwrap(), want);
        write_npy(&path, &want.mapv(|x| x as u8)).unwrap();
        assert_eq!(table(&path).unwrap(), want);
    }
}
