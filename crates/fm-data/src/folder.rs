//! Folders of images: one sub-folder a class, PNG or JPEG, resized so that the short side fits and cropped at the centre.
//!
//! ```no_run
//! let set = fm_data::folder::load("photos".as_ref(), 32)?;
//! assert_eq!(set.shape(), [3, 32, 32]);
//! # Ok::<(), fm_data::DataError>(())
//! ```

use crate::{DataError, ImageSet};
use image::imageops::FilterType;
use image::{DynamicImage, RgbImage};
use std::path::{Path, PathBuf};

/// Reads every image below `folder` as RGB of `size` x `size`. Sub-folders, in alphabetical order, are the classes; images that
/// lie in `folder` itself make one class of their own when there are no sub-folders.
///
/// # Errors
/// A missing or empty folder, and the first file that does not decode.
pub fn load(folder: &Path, size: u32) -> Result<ImageSet, DataError> {
    if !folder.is_dir() {
        return Err(DataError::Missing { what: "image folder", path: folder.into(), remedy: "check the path".into() });
    }
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
    for (label, group) in groups.iter().enumerate() {
        for path in entries(group)?.into_iter().filter(|p| is_image(p)) {
            set.pixels.extend(read_planes(&path, size)?);
            set.labels.push(label as u16);
        }
    }
    if set.is_empty() {
        let remedy = "put .png or .jpg files into one sub-folder per class".into();
        return Err(DataError::Missing { what: "images", path: folder.into(), remedy });
    }
    Ok(set)
}

/// The image files of a folder and of its sub-folders, in the order of [`load`] and after it those of deeper folders.
///
/// # Errors
/// A missing folder, or one without images.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !folder.is_dir() {
        return Err(DataError::Missing { what: "image folder", path: folder.into(), remedy: "check the path".into() });
    }
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
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

/// One image as it is: bytes of red, green and blue planes, and (3, height, width).
///
/// # Errors
/// A file that does not decode.
pub fn read(path: &Path) -> Result<(Vec<u8>, [usize; 3]), DataError> {
    let image = decode(path)?.to_rgb8();
    let (width, height) = image.dimensions();
    Ok((planes(&image), [3, height as usize, width as usize]))
}

/// The entries of a folder in the order of their names, so that an image's index does not depend on the file system.
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
    Ok(planes(&decode(path)?.resize_to_fill(size, size, FilterType::Lanczos3).to_rgb8()))
}

fn decode(path: &Path) -> Result<DynamicImage, DataError> {
    image::open(path).map_err(|e| DataError::Malformed {
        path: path.into(),
        problem: format!("does not decode as an image ({e})"),
        remedy: "remove or replace the file".into(),
    })
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
}
