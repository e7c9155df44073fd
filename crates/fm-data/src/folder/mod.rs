//! Folders of images: one sub-folder per class, in PNG, JPEG, WebP, BMP, GIF, TIFF or PNM.
//!
//! - The content decides about the format of a file, not its suffix. A file with the suffix of an
//!   image that is not one, is cut short, has more than [`MOST_PIXELS`] pixels or is too short for
//!   the pixels that it claims is an error.
//! - Of an animation or a file with several pages, the first image is read.
//! - Transparency is dropped, grey becomes RGB, and 16 bits become 8.
//! - [`open`] and [`load`], for training, turn images as their EXIF orientation says. [`read`], for
//!   evaluation, leaves the pixels as stored, except in TIFF, because the reference implementations
//!   of the metrics do.
//! - Sub-folders with images, at any depth, are the classes, sorted by name, or by value if all
//!   names are whole numbers. Without such sub-folders, the images in the folder form one class.
//! - Hidden entries, entries of operating systems, links to what is read already, and FIFOs,
//!   sockets and devices are left out. A [`Summary`] counts what was left out and why.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! for (class, value) in [("2", 255), ("10", 0)] {
//!     std::fs::create_dir(dir.path().join(class))?;
//!     std::fs::write(dir.path().join(class).join("x.pgm"), [b"P5 1 1 255\n", &[value][..]].concat())?;
//! }
//! std::fs::write(dir.path().join("Thumbs.db"), "junk")?;
//! let (set, summary) = fm_data::folder::open(dir.path(), 1)?;
//! assert_eq!((set.classes, set.pixels), (vec!["2".to_string(), "10".into()], vec![255, 255, 255, 0, 0, 0]));
//! assert_eq!(
//!     summary.to_string(),
//!     "2 images in 2 classes: 2 (1), 10 (1)\nleft out: 1 hidden or system entry (Thumbs.db)"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bits;
mod bound;
mod decode;
mod extent;
mod jpeg;
mod kind;
mod listing;
mod memory;
mod names;
mod resize;
mod scans;
mod sizes;
mod standard;
mod summary;
mod tags;
mod walk;
mod walker;
mod webp;

pub use decode::MOST_PIXELS;
pub use listing::Listing;
pub use resize::LARGEST_SIZE;
pub(crate) use resize::resized;
pub use sizes::Sizes;
pub use summary::{ClassCount, Group, Reason, Summary};

use crate::{DataError, ImageSet};
use std::path::{Path, PathBuf};

/// Lists the images of a folder, without opening them.
///
/// # Errors
/// As [`Listing::new`].
pub fn list(folder: &Path) -> Result<Listing, DataError> {
    Listing::new(folder)
}

/// Reads the images of a folder as RGB of `size` x `size`, and what was left out.
///
/// # Errors
/// As [`Listing::new`] and [`Listing::load`].
pub fn open(folder: &Path, size: u32) -> Result<(ImageSet, Summary), DataError> {
    resize::check(size)?;
    Listing::new(folder)?.load(size)
}

/// Reads the images of a folder as RGB of `size` x `size`, as [`open`] does.
///
/// # Errors
/// As [`open`].
#[doc(alias = "ImageFolder")]
pub fn load(folder: &Path, size: u32) -> Result<ImageSet, DataError> {
    Ok(open(folder, size)?.0)
}

/// The image files of a folder: those that [`load`] reads, in the same order.
///
/// # Errors
/// As [`Listing::new`].
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    Ok(Listing::new(folder)?.files().to_vec())
}

/// One image in its original size: the bytes of the red, green and blue planes, and (3, height,
/// width). Pixels stay as stored: the EXIF orientation is applied to TIFF alone, as Pillow does,
/// with which the reference implementations of evaluation metrics read images.
///
/// # Errors
/// A file that is not an image, is cut short, does not decode, or has more than [`MOST_PIXELS`]
/// pixels.
pub fn read(path: &Path) -> Result<(Vec<u8>, [usize; 3]), DataError> {
    let image = decode::decode(path, false)?.image;
    let (width, height) = image.dimensions();
    Ok((decode::planes(&image), [3, height as usize, width as usize]))
}
