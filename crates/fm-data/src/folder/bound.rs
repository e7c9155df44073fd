//! The memory that the file of an image may take, by its length.
//!
//! Compressed pixels expand to at most about a thousand bytes each, and converted ones to a few
//! times that. A small file that claims a large image is refused before memory is allocated.

use image::ImageFormat;

/// The memory for decoding: that of the decoded bytes, of the decoder, and of two copies as RGB, in
/// one of which the image is turned.
pub(super) fn needed(format: ImageFormat, pixels: u64, decoded: u64) -> u64 {
    let decoder = match format {
        // Coefficients of a progressive file.
        ImageFormat::Jpeg => pixels.saturating_mul(6),
        // The planes of a lossy image, or pixels with the transparency.
        ImageFormat::WebP => pixels.saturating_mul(5),
        // The first frame.
        ImageFormat::Gif => pixels.saturating_mul(4),
        // The decoder keeps the samples that it converts.
        ImageFormat::Tiff => decoded,
        _ => 0,
    };
    pixels.saturating_mul(6).saturating_add(decoded).saturating_add(decoder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::budget::limits;

    fn allowed(length: u64) -> u64 {
        limits::IMAGE.bytes.of(length)
    }

    #[test]
    fn blank_images_of_the_largest_size_are_allowed() {
        // Deflate packs 1032 bytes into one.
        let (pixels, length) = (1 << 26, (3 << 26) / 1032);
        assert!(needed(ImageFormat::Png, pixels, 3 * pixels) < allowed(length));
        assert!(needed(ImageFormat::Png, pixels, 3 * pixels) > allowed(1000));
        assert!(needed(ImageFormat::Bmp, 5_000_000, 15_000_000) < allowed(0));
        assert_eq!(allowed(u64::MAX), u64::MAX);
    }
}
