//! One image file: checked, decoded to RGB, and turned.

use super::bits::Stop;
use super::extent::{self, Extent};
use super::{bound, jpeg, kind, scans, standard};
use crate::{DataError, input};
use fm_core::budget::{Budget, limits};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// The largest number of pixels of an image file: 2^26, such as 8192 x 8192. Reading and resizing
/// RGB images of that size took at most 775 MB.
pub const MOST_PIXELS: u64 = limits::IMAGE.parts.0;

/// The largest memory for the decoded pixels of a file, in bytes: 8 for each of the pixels.
const MOST_BYTES: u64 = MOST_PIXELS * 8;

/// The largest JPEG file without what follows the image, in bytes: 4 for each of the pixels.
const MOST_JPEG: u64 = MOST_PIXELS * 4;

/// Memory for metadata, and for the working memory of decoders, in bytes.
const WORKING: u64 = 64 << 20;

/// A decoded image.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) image: RgbImage,
    /// Whether the file has more frames or pages.
    pub(super) more_frames: bool,
    /// Whether some pixels are transparent.
    pub(super) transparent: bool,
}

/// A plain file, and what its first bytes say.
struct Opened {
    reader: BufReader<File>,
    length: u64,
    budget: Budget,
    start: Vec<u8>,
}

/// A file that cannot be used.
pub(super) fn refused(path: &Path, problem: impl Into<String>, remedy: &str) -> DataError {
    DataError::Malformed { path: path.into(), problem: problem.into(), remedy: remedy.into() }
}

const REMOVE: &str = "remove or replace the file";

fn cut_short(path: &Path, format: ImageFormat) -> DataError {
    let problem = format!("it is a {} image that is cut short", kind::name(format));
    refused(path, problem, "copy or download the whole file again, or remove it")
}

/// Opens a file.
fn open(path: &Path) -> Result<Opened, DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let input::Opened { file, length, budget } = input::open(path, &limits::IMAGE)?;
    let mut reader = BufReader::new(file);
    let mut start = Vec::new();
    reader.by_ref().take(kind::START as u64).read_to_end(&mut start).map_err(io)?;
    Ok(Opened { reader, length, budget, start })
}

/// Opens an image file, and fails with what the file is if it is not one.
fn open_image(path: &Path) -> Result<(Opened, ImageFormat), DataError> {
    let opened = open(path)?;
    match kind::format(&opened.start) {
        Some(format) => Ok((opened, format)),
        None => {
            let other = kind::describe(&opened.start, opened.length);
            Err(refused(path, format!("it is not an image but {}", other.what), other.remedy))
        }
    }
}

/// Whether a file without a suffix is an image. The first letters of PNM are too common in texts.
pub(super) fn is_image(path: &Path) -> bool {
    let format = open(path).ok().and_then(|opened| kind::format(&opened.start));
    format.is_some_and(|format| format != ImageFormat::Pnm)
}

/// Decodes a file, and turns the image as its metadata say if `turn`.
///
/// # Errors
/// A file that is not an image, is cut short, does not decode, or is too large.
pub(super) fn decode(path: &Path, turn: bool) -> Result<Decoded, DataError> {
    let (opened, format) = open_image(path)?;
    let Opened { mut reader, length, mut budget, .. } = opened;
    let found = whole(path, format, &mut reader, length)?;
    let io = |source| DataError::Io { path: path.into(), source };
    reader.seek(SeekFrom::Start(0)).map_err(io)?;
    let (image, transparent) = match found.end {
        Some(end) if end > MOST_JPEG => {
            let problem = format!("its image has {} MiB", end >> 20);
            return Err(refused(path, problem, "store it with fewer pixels"));
        }
        // The decoder holds the file in memory: not what follows the image.
        Some(end) => {
            let mut bytes = Vec::new();
            reader.take(end).read_to_end(&mut bytes).map_err(io)?;
            if found.no_tables {
                // Frames of motion JPEG use those of the specification.
                bytes.splice(2..2, standard::TABLES);
            }
            let read = pixels((path, length), format, Cursor::new(&bytes), (&found, &mut budget), turn)?;
            scans::check(&bytes).map_err(|stop| match stop {
                Stop::End => cut_short(path, format),
                Stop::Invalid => undecodable(path, format, "its data are damaged"),
                Stop::Unrefined => {
                    refused(path, "its last scans are missing", "save it again as a baseline JPEG, or remove it")
                }
            })?;
            read
        }
        None => pixels((path, length), format, reader, (&found, &mut budget), turn)?,
    };
    Ok(Decoded { image, more_frames: found.more_frames, transparent })
}

/// The extent of an image that the file holds as a whole.
fn whole(path: &Path, format: ImageFormat, reader: impl BufRead + Seek, length: u64) -> Result<Extent, DataError> {
    extent::extent(format, reader, length).map_err(|e| match e.kind() {
        ErrorKind::UnexpectedEof => cut_short(path, format),
        ErrorKind::InvalidData => undecodable(path, format, &e.to_string()),
        _ => DataError::Io { path: path.into(), source: e },
    })
}

/// The size of an image in a file: height and width, after turning.
///
/// # Errors
/// As [`decode`], as far as the header shows it.
pub(super) fn size(path: &Path) -> Result<[u32; 2], DataError> {
    let (mut opened, format) = open_image(path)?;
    let io = |source| DataError::Io { path: path.into(), source };
    let (size, orientation) = if format == ImageFormat::Jpeg {
        let found = jpeg::header(&mut opened.reader, opened.length).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => cut_short(path, format),
            _ => undecodable(path, format, &e.to_string()),
        })?;
        let size = found.size.ok_or_else(|| undecodable(path, format, "it has no size"))?;
        (size, found.orientation)
    } else {
        let found = match format {
            ImageFormat::Png => extent::extent(format, &mut opened.reader, opened.length).unwrap_or_default(),
            // Their decoders believe the lengths of lists and chunks.
            ImageFormat::Tiff | ImageFormat::WebP => whole(path, format, &mut opened.reader, opened.length)?,
            _ => Extent::default(),
        };
        opened.reader.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut decoder = decoder(path, format, opened.reader, &opened.budget)?;
        let (width, height) = decoder.dimensions();
        ([height, width], orientation(&mut decoder, format, &found))
    };
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    match orientation {
        Some(Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH) => Ok([size[1], size[0]]),
        _ => Ok(size),
    }
}

/// Reads the header with a bound on memory.
fn decoder<'a>(
    path: &Path,
    format: ImageFormat,
    reader: impl BufRead + Seek + 'a,
    budget: &Budget,
) -> Result<impl ImageDecoder + 'a, DataError> {
    let mut reader = ImageReader::with_format(reader, format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(budget.bytes_left().min(MOST_BYTES + WORKING));
    reader.limits(limits);
    reader.into_decoder().map_err(|e| failed(path, format, &e))
}

fn pixels(
    (path, length): (&Path, u64),
    format: ImageFormat,
    reader: impl BufRead + Seek,
    (found, budget): (&Extent, &mut Budget),
    turn: bool,
) -> Result<(RgbImage, bool), DataError> {
    let mut decoder = decoder(path, format, reader, budget)?;
    let (width, height) = decoder.dimensions();
    let pixels = (u64::from(width) * u64::from(height)).max(found.pixels);
    if budget.count(pixels).is_err() || decoder.total_bytes() > MOST_BYTES {
        let problem = format!("it has {width} x {height} pixels, and an image has at most {MOST_PIXELS}");
        return Err(refused(path, problem, "scale it down, cut it into tiles, or remove it"));
    }
    if budget.take_bytes(bound::needed(format, pixels, decoder.total_bytes())).is_err() {
        let problem =
            format!("it claims {width} x {height} pixels in {length} bytes, too few for an image of that size");
        return Err(refused(path, problem, REMOVE));
    }
    let scans = found.passes.max(1);
    if budget.spend_work(pixels.saturating_mul(scans)).is_err() {
        let problem =
            format!("it has {scans} scans of {width} x {height} pixels in {length} bytes, more than an encoder writes");
        return Err(refused(path, problem, "save it again"));
    }
    // Pillow, which the reference implementations of metrics use, turns TIFF alone.
    let turn = turn || format == ImageFormat::Tiff;
    let orientation = if turn { orientation(&mut decoder, format, found) } else { None };
    let decoded = DynamicImage::from_decoder(decoder).map_err(|e| failed(path, format, &e))?;
    check_range(path, &decoded)?;
    let transparent = is_transparent(&decoded);
    let mut image = DynamicImage::ImageRgb8(decoded.into_rgb8());
    image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    Ok((image.into_rgb8(), transparent))
}

/// Whether a pixel has less than full opacity.
fn is_transparent(image: &DynamicImage) -> bool {
    match image {
        DynamicImage::ImageLumaA8(image) => image.pixels().any(|pixel| pixel.0[1] < u8::MAX),
        DynamicImage::ImageRgba8(image) => image.pixels().any(|pixel| pixel.0[3] < u8::MAX),
        DynamicImage::ImageLumaA16(image) => image.pixels().any(|pixel| pixel.0[1] < u16::MAX),
        DynamicImage::ImageRgba16(image) => image.pixels().any(|pixel| pixel.0[3] < u16::MAX),
        DynamicImage::ImageRgba32F(image) => image.pixels().any(|pixel| pixel.0[3] < 1.0),
        _ => false,
    }
}

/// The orientation in the metadata, if there is a valid one.
fn orientation(decoder: &mut impl ImageDecoder, format: ImageFormat, found: &Extent) -> Option<Orientation> {
    match format {
        ImageFormat::Jpeg | ImageFormat::Png => found.orientation,
        ImageFormat::WebP => {
            let exif = decoder.exif_metadata().ok()??;
            // Some programs keep the prefix that only JPEG has.
            Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif))
        }
        _ => decoder.orientation().ok(),
    }
}

/// Floats have the range 0 to 1, which the conversion to bytes would clip others to.
fn check_range(path: &Path, image: &DynamicImage) -> Result<(), DataError> {
    let values: &[f32] = match image {
        DynamicImage::ImageRgb32F(image) => image,
        DynamicImage::ImageRgba32F(image) => image,
        _ => return Ok(()),
    };
    match values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
        Some(v) => {
            Err(refused(path, format!("it has a float pixel of {v}, outside 0 to 1"), "store it with 8 or 16 bits"))
        }
        None => Ok(()),
    }
}

fn undecodable(path: &Path, format: ImageFormat, cause: &str) -> DataError {
    refused(path, format!("does not decode as a {} image ({cause})", kind::name(format)), REMOVE)
}

fn failed(path: &Path, format: ImageFormat, error: &ImageError) -> DataError {
    match error {
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => cut_short(path, format),
        _ => undecodable(path, format, &error.to_string()),
    }
}

/// The red, green and blue planes.
pub(super) fn planes(image: &RgbImage) -> Vec<u8> {
    let mut planes = Vec::with_capacity(image.as_raw().len());
    (0..3).for_each(|c| planes.extend(image.pixels().map(|p| p[c])));
    planes
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb32FImage;

    #[test]
    fn floats_have_the_range_of_zero_to_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tif");
        let write = |value| DynamicImage::from(Rgb32FImage::from_pixel(2, 2, [0.0, 1.0, value].into())).save(&path);
        write(0.5).unwrap();
        assert_eq!(planes(&decode(&path, true).unwrap().image), [[0; 4], [255; 4], [128; 4]].concat());
        for value in [200.0, -0.1, f32::NAN] {
            write(value).unwrap();
            let text = decode(&path, true).unwrap_err().to_string();
            assert!(text.contains("outside 0 to 1; store it with 8 or 16 bits"), "{text}");
        }
    }
}
