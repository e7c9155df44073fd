//! The markers of a JPEG file, without its pixels. Decoders fill what a cut file lacks with grey,
//! so the end of the image is looked for here.

use super::walker::Walker;
use image::metadata::Orientation;
use std::io::{self, BufRead, ErrorKind, Seek};

/// The contents of the markers.
#[derive(Debug, Default)]
pub(super) struct Markers {
    /// Height and width as stored.
    pub(super) size: Option<[u32; 2]>,
    pub(super) orientation: Option<Orientation>,
    /// Whether there are Huffman tables.
    pub(super) tables: bool,
    /// The number of scans.
    pub(super) scans: u64,
    /// The number of bytes up to the end of the image.
    pub(super) end: u64,
}

/// Reads the markers up to the first scan, which follows the size and the orientation.
pub(super) fn header(reader: impl BufRead + Seek, length: u64) -> io::Result<Markers> {
    read(reader, length, true)
}

/// Reads the markers up to the end of the image, and fails if there is none.
pub(super) fn whole(reader: impl BufRead + Seek, length: u64) -> io::Result<Markers> {
    read(reader, length, false)
}

/// A marker is 0xFF and a byte other than 0 and 0xFF. The data of a scan contain no other markers
/// than restarts, so that all of their bytes are passed as those between segments are.
fn read(reader: impl BufRead + Seek, length: u64, header: bool) -> io::Result<Markers> {
    let mut walker = Walker::new(reader, length)?;
    let mut found = Markers::default();
    walker.skip(2)?;
    loop {
        walker.pass(0xff)?;
        let mut marker = walker.byte()?;
        while marker == 0xff {
            marker = walker.byte()?;
        }
        match marker {
            0xd9 => {
                found.end = walker.at();
                return Ok(found);
            }
            // An escaped 0xFF of a scan, and markers without a segment.
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let count = u32::from(u16::from_be_bytes(walker.take()?));
        let count = count.checked_sub(2).ok_or(ErrorKind::InvalidData)?;
        match marker {
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf if count >= 5 => {
                let [_, h1, h0, w1, w0] = walker.take()?;
                found.size = Some([[h1, h0], [w1, w0]].map(|side| u32::from(u16::from_be_bytes(side))));
                walker.skip(u64::from(count - 5))?;
            }
            0xe1 if found.orientation.is_none() => {
                let bytes = walker.bytes(count)?;
                found.orientation = bytes.strip_prefix(b"Exif\0\0").and_then(Orientation::from_exif_chunk);
            }
            0xc4 => {
                found.tables = true;
                walker.skip(u64::from(count))?;
            }
            0xda if header => return Ok(found),
            0xda => {
                found.scans += 1;
                walker.skip(u64::from(count))?;
            }
            _ => walker.skip(u64::from(count))?,
        }
    }
}
