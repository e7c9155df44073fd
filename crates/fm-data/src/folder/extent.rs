//! Whether a file holds its whole image, by the structure of its format. Decoders accept some cut
//! files, so this comes before decoding.

use super::walker::Walker;
use super::{jpeg, tags, webp};
use image::ImageFormat;
use image::metadata::Orientation;
use std::io::{self, BufRead, ErrorKind, Seek, SeekFrom};
use tiff::decoder::{Decoder, Limits};
use tiff::tags::Tag;

/// The largest EXIF data of a PNG file that are read, in bytes; JPEG allows no more.
const EXIF: u32 = 1 << 16;

/// The largest number of pages of a TIFF file that are checked.
const PAGES: usize = 10_000;

/// A file with a whole image.
#[derive(Debug, Default)]
pub(super) struct Extent {
    /// The number of bytes up to the end of the image, if the format has it.
    pub(super) end: Option<u64>,
    /// The number of pixels of the largest frame, where the decoder does not give it.
    pub(super) pixels: u64,
    /// The number of times that the decoder passes over the pixels; 0 where it is 1.
    pub(super) passes: u64,
    /// Whether it is a JPEG without Huffman tables.
    pub(super) no_tables: bool,
    /// Whether there are more frames or pages than one.
    pub(super) more_frames: bool,
    /// The orientation, where the decoder does not give it.
    pub(super) orientation: Option<Orientation>,
}

/// Finds the extent of an image.
///
/// # Errors
/// [`ErrorKind::UnexpectedEof`] if the file ends before the image, and other errors of reading.
pub(super) fn extent(format: ImageFormat, reader: impl BufRead + Seek, length: u64) -> io::Result<Extent> {
    match format {
        ImageFormat::Png => png(Walker::new(reader, length)?),
        ImageFormat::Gif => gif(Walker::new(reader, length)?),
        ImageFormat::WebP => {
            let found = webp::frames(Walker::new(reader, length)?)?;
            Ok(Extent { pixels: found.pixels, more_frames: found.more, ..Extent::default() })
        }
        ImageFormat::Tiff => tiff(reader, length),
        ImageFormat::Jpeg => {
            let found = jpeg::whole(reader, length)?;
            Ok(Extent {
                end: Some(found.end),
                passes: found.scans,
                no_tables: !found.tables,
                orientation: found.orientation,
                ..Extent::default()
            })
        }
        // The decoder reads every byte of BMP and PNM.
        _ => Ok(Extent::default()),
    }
}

/// Chunks: length, kind, data, checksum. EXIF data may follow the pixels, where the decoder does
/// not see them.
fn png<R: BufRead + Seek>(mut walker: Walker<R>) -> io::Result<Extent> {
    let mut found = Extent::default();
    walker.skip(8)?;
    loop {
        let mut count = u32::from_be_bytes(walker.take()?);
        match &walker.take::<4>()? {
            b"IEND" => {
                walker.skip(u64::from(count) + 4)?;
                return Ok(found);
            }
            // The decoder panics.
            b"PLTE" if !count.is_multiple_of(3) => {
                return Err(io::Error::new(ErrorKind::InvalidData, format!("its palette has {count} bytes")));
            }
            b"acTL" if count >= 4 => {
                found.more_frames = u32::from_be_bytes(walker.take()?) > 1;
                count -= 4;
            }
            b"eXIf" if count <= EXIF => {
                let bytes = walker.bytes(count)?;
                found.orientation = found.orientation.or_else(|| Orientation::from_exif_chunk(&bytes));
                count = 0;
            }
            _ => {}
        }
        walker.skip(u64::from(count) + 4)?;
    }
}

/// Blocks: extensions and frames, each followed by sub-blocks, up to the trailer. Other bytes after
/// a frame end the image too.
fn gif<R: BufRead + Seek>(mut walker: Walker<R>) -> io::Result<Extent> {
    walker.skip(10)?;
    let [flags, _, _] = walker.take()?;
    colours(&mut walker, flags)?;
    let mut frames = 0u64;
    loop {
        match walker.byte()? {
            0x21 => walker.skip(1)?,
            0x2c => {
                frames += 1;
                walker.skip(8)?;
                let flags = walker.byte()?;
                colours(&mut walker, flags)?;
                walker.skip(1)?;
            }
            _ => return Ok(Extent { more_frames: frames > 1, ..Extent::default() }),
        }
        loop {
            match walker.byte()? {
                0 => break,
                count => walker.skip(u64::from(count))?,
            }
        }
    }
}

/// Passes a table of 2^(n + 1) colours.
fn colours<R: BufRead + Seek>(walker: &mut Walker<R>, flags: u8) -> io::Result<()> {
    walker.skip(if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) })
}

/// Pages of strips or tiles, whose places are listed. The decoder reports problems of the lists.
fn tiff(mut reader: impl BufRead + Seek, length: u64) -> io::Result<Extent> {
    tags::check(&mut reader, length)?;
    reader.seek(SeekFrom::Start(0))?;
    let pages = |more_frames| Extent { more_frames, ..Extent::default() };
    match tiff_pages(reader, length) {
        Ok(count) => Ok(pages(count > 1)),
        Err(tiff::TiffError::IoError(e)) => Err(e),
        Err(_) => Ok(pages(false)),
    }
}

/// The number of pages, at most [`PAGES`]; each must lie within the file.
fn tiff_pages(reader: impl BufRead + Seek, length: u64) -> tiff::TiffResult<usize> {
    let mut limits = Limits::default();
    limits.ifd_value_size = tags::LONGEST.min(length) as usize;
    let mut decoder = Decoder::new(reader)?.with_limits(limits);
    for page in 1..PAGES {
        for (offsets, counts) in [(Tag::StripOffsets, Tag::StripByteCounts), (Tag::TileOffsets, Tag::TileByteCounts)] {
            let offsets = decoder.find_tag_unsigned_vec::<u64>(offsets)?.unwrap_or_default();
            let counts = decoder.find_tag_unsigned_vec::<u64>(counts)?.unwrap_or_default();
            if offsets.iter().zip(&counts).any(|(at, count)| at.saturating_add(*count) > length) {
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
        }
        if !decoder.more_images() {
            return Ok(page);
        }
        decoder.next_image()?;
    }
    Ok(PAGES)
}
