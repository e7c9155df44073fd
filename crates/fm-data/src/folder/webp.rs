//! The chunks of a WebP file.

use super::walker::Walker;
use std::io::{self, BufRead, Seek};

/// The frames of a file.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The number of pixels of the largest one.
    pub(super) pixels: u64,
    /// Whether there are more than one.
    pub(super) more: bool,
}

/// A RIFF container, whose header gives its length. The first chunk of an extended file has a flag
/// for animations. Each frame has a size, which decoders compare with that of the image only after
/// they allocate memory.
///
/// # Errors
/// [`ErrorKind::UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) for a file, or a known chunk,
/// that ends after the file, and other errors of reading.
pub(super) fn frames<R: BufRead + Seek>(mut walker: Walker<R>) -> io::Result<Frames> {
    walker.skip(4)?;
    let count = u64::from(u32::from_le_bytes(walker.take()?));
    let end = walker.at() + count;
    walker.check(count)?;
    let mut found = Frames::default();
    if count < 4 {
        return Ok(found);
    }
    walker.skip(4)?;
    while walker.at() + 8 <= end {
        let kind = walker.take::<4>()?;
        // Chunks have an even length.
        let length = u64::from(u32::from_le_bytes(walker.take()?)).next_multiple_of(2);
        let passed = match &kind {
            b"VP8X" if length >= 10 => {
                found.more = walker.byte()? & 2 != 0;
                1
            }
            b"VP8 " if length >= 10 => {
                let [.., a, b, c, d] = walker.take::<10>()?;
                let [width, height] = [[a, b], [c, d]].map(|side| u64::from(u16::from_le_bytes(side) & 0x3fff));
                found.pixels = found.pixels.max(width * height);
                10
            }
            b"VP8L" if length >= 5 => {
                let [_, sizes @ ..] = walker.take::<5>()?;
                let sizes = u64::from(u32::from_le_bytes(sizes));
                found.pixels = found.pixels.max(((sizes & 0x3fff) + 1) * ((sizes >> 14 & 0x3fff) + 1));
                5
            }
            // The chunks of a frame follow its header.
            b"ANMF" if length >= 16 => {
                walker.check(length)?;
                walker.skip(16)?;
                continue;
            }
            b"VP8X" | b"VP8 " | b"VP8L" | b"ANMF" | b"ANIM" | b"ALPH" | b"EXIF" | b"ICCP" | b"XMP " => 0,
            _ => break,
        };
        // The last chunk may lack the byte that makes its length even.
        walker.skip_to(walker.at() + length - passed, end)?;
    }
    Ok(found)
}
