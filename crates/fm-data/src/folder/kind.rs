//! Detection of the kind of a file by its first bytes.

use image::ImageFormat;

/// The number of bytes that decide.
pub(super) const START: usize = 512;

/// Sizes of the header that follows the first 14 bytes of a BMP file.
const BMP_HEADERS: [u32; 8] = [12, 16, 40, 52, 56, 64, 108, 124];

/// The format of an image, if it is one that is read.
pub(super) fn format(start: &[u8]) -> Option<ImageFormat> {
    if start.starts_with(b"II+\0") || start.starts_with(b"MM\0+") {
        return Some(ImageFormat::Tiff);
    }
    let format = image::guess_format(start).ok()?;
    let read = match format {
        ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP | ImageFormat::Gif | ImageFormat::Tiff => true,
        // Two letters are also the beginning of many texts.
        ImageFormat::Bmp => {
            let size = start.get(14..18).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
            size.is_some_and(|size| BMP_HEADERS.contains(&size))
        }
        ImageFormat::Pnm => start.get(2).is_some_and(|c| c.is_ascii_whitespace() || *c == b'#'),
        _ => false,
    };
    read.then_some(format)
}

/// The name of a format, for messages.
pub(super) fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        _ => "PNM",
    }
}

/// The kind of a file that is not an image in a supported format, and the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) what: &'static str,
    pub(super) remedy: &'static str,
}

const REMOVE: &str = "remove or replace the file";
const FETCH: &str = "download the file again, or remove it";
const CONVERT: &str = "convert it to PNG or JPEG, or remove it";

/// First bytes with their offset.
const KNOWN: [(usize, &[u8], &str, &str); 31] = [
    (
        0,
        b"version https://git-lfs",
        "a Git LFS pointer, not the image itself",
        "run `git lfs pull` where it was cloned",
    ),
    (0, b"/annex/objects/", "a git-annex pointer, not the image itself", "run `git annex get` where it was cloned"),
    (4, b"ftyphei", "a HEIC image", CONVERT),
    (4, b"ftyphev", "a HEIC image", CONVERT),
    (4, b"ftypmif1", "a HEIC or AVIF image", CONVERT),
    (4, b"ftypmsf1", "a HEIC or AVIF image", CONVERT),
    (4, b"ftypavi", "an AVIF image", CONVERT),
    (4, b"ftyp", "a video", REMOVE),
    (0, b"\xff\x0a", "a JPEG XL image", CONVERT),
    (4, b"JXL ", "a JPEG XL image", CONVERT),
    (4, b"jP  ", "a JPEG 2000 image", CONVERT),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image", CONVERT),
    (0, b"8BPS", "a Photoshop document", CONVERT),
    (0, b"\0\0\x01\0", "an icon", CONVERT),
    (0, b"v/1\x01", "an OpenEXR image", CONVERT),
    (0, b"#?RADIANCE", "a Radiance HDR image", CONVERT),
    (0, b"DDS ", "a DDS texture", CONVERT),
    (0, b"qoif", "a QOI image", CONVERT),
    (0, b"farbfeld", "a farbfeld image", CONVERT),
    (0, b"PF\n", "a PFM image of floats", CONVERT),
    (0, b"Pf\n", "a PFM image of floats", CONVERT),
    (0, b"%PDF", "a PDF document", CONVERT),
    (0, b"%!PS", "a PostScript document", CONVERT),
    (0, b"PK\x03\x04", "a zip archive", "unpack it, or remove it"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it, or remove it"),
    (0, b"\xfd7zXZ", "an xz archive", "unpack it, or remove it"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it, or remove it"),
    (0, b"\x93NUMPY", "a NumPy file", "give its name, which ends in .npy, as the data set"),
    (0, b"\x89HDF", "an HDF5 file", REMOVE),
    (0, b"\x1aE\xdf\xa3", "a video", REMOVE),
    (0, b"RIFF", "an audio or video file", REMOVE),
];

/// Describes the first bytes of a file that has `length` bytes.
pub(super) fn describe(start: &[u8], length: u64) -> Other {
    if length == 0 {
        return Other { what: "an empty file", remedy: FETCH };
    }
    if start.iter().all(|byte| *byte == 0) {
        return Other { what: "a file of zero bytes", remedy: FETCH };
    }
    let known = KNOWN.iter().find(|(at, magic, ..)| start.get(*at..).is_some_and(|s| s.starts_with(magic)));
    if let Some((.., what, remedy)) = known {
        return Other { what, remedy };
    }
    let lower = String::from_utf8_lossy(start).trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let (what, remedy) = if lower.starts_with("<!doctype html") || lower.contains("<html") {
        ("an HTML page", FETCH)
    } else if lower.contains("<svg") {
        ("an SVG drawing", CONVERT)
    } else if lower.starts_with("<?xml") {
        ("an XML text", FETCH)
    } else if is_text(start) {
        ("a text", REMOVE)
    } else {
        ("data of an unknown kind", REMOVE)
    };
    Other { what, remedy }
}

/// Whether the bytes are UTF-8 without control characters, apart from a character cut at the end,
/// or start as UTF-16 does.
fn is_text(start: &[u8]) -> bool {
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return true;
    }
    let valid = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&start[..e.valid_up_to()]).unwrap_or_default(),
        Err(_) => return false,
    };
    !valid.is_empty() && valid.chars().all(|c| !c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_begin_like_images_are_texts() {
        for text in [&b"BMW and Audi build cars"[..], b"P1000 is a printer", b"BM", b"P5"] {
            assert_eq!((format(text), describe(text, 9).what), (None, "a text"), "{}", text.escape_ascii());
        }
        assert_eq!(format(b"P5 2 2 255\n"), Some(ImageFormat::Pnm));
        assert_eq!(format(b"qoif\0\0\0\x01"), None);
        assert_eq!(describe("é".repeat(256).as_bytes().split_at(511).0, 600).what, "a text");
    }
}
