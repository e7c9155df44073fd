//! Folders of images: one sub-folder per class, PNG or JPEG, resized to fit the short side and
//! cropped at the centre.
//!
//! ```no_run
//! let set = fm_data::folder::load("photos".as_ref(), 32)?;
//! assert_eq!(set.shape(), [3, 32, 32]);
//! # Ok::<(), fm_data::DataError>(())
//! ```

use crate::{DataError, ImageSet};
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits, RgbImage};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The largest side that images are resized to.
pub const LARGEST_SIZE: u32 = 4096;

/// The maximum number of pixels of an image after resizing and before cropping, at 16 bytes each.
const MOST_PIXELS: f64 = (1u64 << 25) as f64;

/// Memory limit for decoding a file, in bytes: minimum, maximum, and per byte of the file. Deflate
/// expands a byte to at most 1032 bytes, each of which becomes 24 bytes with a palette of two
/// colours; JPEG expands less.
const MEMORY: (u64, u64, u64) = (64 << 20, 512 << 20, 1032 * 24);

/// Reads every image below `folder` as RGB of `size` x `size`, at most [`LARGEST_SIZE`].
/// Sub-folders, in alphabetical order, are the classes; if there are no sub-folders, the images in
/// `folder` itself form one class.
///
/// # Errors
/// A size of 0 or above [`LARGEST_SIZE`], a missing or empty folder, more than 65,536 sub-folders,
/// and the first file that cannot be decoded or is too long and thin to be cropped to a square.
pub fn load(folder: &Path, size: u32) -> Result<ImageSet, DataError> {
    if !(1..=LARGEST_SIZE).contains(&size) {
        return Err(DataError::Size { size, most: LARGEST_SIZE });
    }
    present(folder)?;
    let mut groups: Vec<PathBuf> = entries(folder)?.into_iter().filter(|p| p.is_dir()).collect();
    if groups.is_empty() {
        groups.push(folder.into());
    }
    let mut set = ImageSet {
        shape: [3, size as usize, size as usize],
        levels: 255,
        pixels: Vec::new(),
        labels: Vec::new(),
        classes: groups.iter().map(|g| g.file_name().unwrap_or_default().to_string_lossy().into()).collect(),
    };
    if groups.len() > 1 << 16 {
        return Err(DataError::Malformed {
            path: folder.into(),
            problem: format!("it has {} sub-folders, and a set has at most 65536 classes", groups.len()),
            remedy: "merge classes, or put the images into the folder itself".into(),
        });
    }
    for (label, group) in (0..=u16::MAX).zip(&groups) {
        for path in entries(group)?.into_iter().filter(|p| is_image(p)) {
            set.pixels.extend(read_planes(&path, size)?);
            set.labels.push(label);
        }
    }
    if set.is_empty() {
        let remedy = "put .png or .jpg files into one sub-folder per class".into();
        return Err(DataError::Missing { what: "images", path: folder.into(), remedy });
    }
    Ok(set)
}

/// The image files of a folder and its sub-folders, in the order of [`load`], followed by those of
/// deeper folders.
///
/// # Errors
/// A missing folder, or one without images.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    present(folder)?;
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    let mut seen = HashSet::new();
    while let Some(next) = folders.pop() {
        // A symbolic link may lead back to a parent folder.
        let place = next.canonicalize().map_err(|source| DataError::Io { path: next.clone(), source })?;
        if !seen.insert(place) {
            continue;
        }
        let (deeper, here): (Vec<_>, Vec<_>) = entries(&next)?.into_iter().partition(|p| p.is_dir());
        found.extend(here.into_iter().filter(|p| is_image(p)));
        folders.extend(deeper.into_iter().rev());
    }
    if found.is_empty() {
        let remedy = "put .png or .jpg files into it".into();
        return Err(DataError::Missing { what: "images", path: folder.into(), remedy });
    }
    Ok(found)
}

/// One image in its original size: the bytes of the red, green and blue planes, and (3, height,
/// width).
///
/// # Errors
/// A file that cannot be decoded.
pub fn read(path: &Path) -> Result<(Vec<u8>, [usize; 3]), DataError> {
    let image = decode(path)?.to_rgb8();
    let (width, height) = image.dimensions();
    Ok((planes(&image), [3, height as usize, width as usize]))
}

fn present(folder: &Path) -> Result<(), DataError> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(DataError::Missing { what: "an image folder", path: folder.into(), remedy: "check the path".into() })
}

/// The entries of a folder sorted by name, so that an image's index does not depend on the file
/// system.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |source| DataError::Io { path: folder.into(), source };
    let paths: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(io)?.map(|e| e.map(|e| e.path())).collect();
    let mut paths = paths.map_err(io)?;
    paths.sort();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["png", "jpg", "jpeg"].iter().any(|e| extension == *e)
}

fn read_planes(path: &Path, size: u32) -> Result<Vec<u8>, DataError> {
    let image = decode(path)?;
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    if f64::from(size).powi(2) * width.max(height) / width.min(height) > MOST_PIXELS {
        let problem = format!("{} x {} is too long and thin to be cropped to a square", image.width(), image.height());
        return Err(undecodable(path, problem));
    }
    Ok(planes(&image.resize_to_fill(size, size, FilterType::Lanczos3).to_rgb8()))
}

fn decode(path: &Path) -> Result<DynamicImage, DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let length = std::fs::metadata(path).map_err(io)?.len();
    let (least, most, per_byte) = MEMORY;
    let mut limits = Limits::default();
    limits.max_alloc = Some(length.saturating_mul(per_byte).saturating_add(least).min(most));
    let mut reader = ImageReader::open(path).map_err(io)?;
    reader.limits(limits);
    reader.decode().map_err(|e| undecodable(path, format!("does not decode as an image ({e})")))
}

fn undecodable(path: &Path, problem: String) -> DataError {
    DataError::Malformed { path: path.into(), problem, remedy: "remove or replace the file".into() }
}

fn planes(image: &RgbImage) -> Vec<u8> {
    (0..3).flat_map(|c| image.pixels().map(move |p| p[c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn sub_folders_are_classes_and_images_are_cropped_square() {
        let dir = tempfile::tempdir().unwrap();
        for (class, colour) in [("b-blue", [0, 0, 255]), ("a-red", [255, 0, 0])] {
            let group = dir.path().join(class);
            std::fs::create_dir(&group).unwrap();
            RgbImage::from_pixel(20, 10, Rgb(colour)).save(group.join("x.png")).unwrap();
            std::fs::write(group.join("notes.txt"), "not an image").unwrap();
        }
        let set = load(dir.path(), 4).unwrap();
        assert_eq!((set.classes, set.labels), (vec!["a-red".to_string(), "b-blue".into()], vec![0, 1]));
        assert_eq!(set.pixels, [[255; 16], [0; 16], [0; 16], [0; 16], [0; 16], [255; 16]].concat());
        let files = files(dir.path()).unwrap();
        let names: Vec<_> = files.iter().map(|f| f.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a-red/x.png", "b-blue/x.png"]);
        let (pixels, shape) = read(&files[1]).unwrap();
        assert_eq!((pixels.len(), shape, pixels[0], pixels[599]), (600, [3, 10, 20], 0, 255));
    }

    #[test]
    fn problems_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load(dir.path(), 4).unwrap_err().to_string().contains("one sub-folder per class"));
        std::fs::write(dir.path().join("broken.png"), "junk").unwrap();
        assert!(load(dir.path(), 4).unwrap_err().to_string().contains("broken.png"));
        assert!(load(&dir.path().join("no"), 4).unwrap_err().to_string().contains("not found"));
    }

    #[test]
    fn sizes_and_shapes_beyond_memory_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        RgbImage::new(20_000, 1).save(dir.path().join("thin.png")).unwrap();
        for size in [0, LARGEST_SIZE + 1, u32::MAX] {
            assert!(matches!(load(dir.path(), size), Err(DataError::Size { .. })));
        }
        assert!(load(dir.path(), 64).unwrap_err().to_string().contains("20000 x 1 is too long and thin"));
        assert_eq!(load(dir.path(), 4).unwrap().len(), 1);
    }

    /// The first 40 bytes of a picture of 400 MB: no memory of that size is allocated.
    #[test]
    fn claims_beyond_the_file_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("claim.png");
        RgbImage::new(1, 1).save(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let side = 11_547u32.to_be_bytes();
        bytes[16..20].copy_from_slice(&side);
        bytes[20..24].copy_from_slice(&side);
        let mut sum = flate2::Crc::new();
        sum.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
        std::fs::write(&path, bytes).unwrap();
        let text = read(&path).unwrap_err().to_string();
        assert!(text.contains("does not decode") && text.to_lowercase().contains("memory"), "{text}");
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_back_up_are_followed_once() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a");
        std::fs::create_dir(&inner).unwrap();
        RgbImage::new(2, 2).save(inner.join("x.png")).unwrap();
        std::os::unix::fs::symlink(dir.path(), inner.join("up")).unwrap();
        assert_eq!(files(dir.path()).unwrap().len(), 1);
    }
}
