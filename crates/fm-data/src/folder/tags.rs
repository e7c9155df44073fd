//! The lists of a TIFF file, whose lengths decoders believe.

use super::walker::Walker;
use std::io::{self, BufRead, ErrorKind, Seek};

/// The tags that decoders read: sizes, types, strips, tiles, colours and tables of JPEG.
const READ: std::ops::RangeInclusive<u64> = 254..=532;

/// The longest list, in bytes: that of an image of 2^26 pixels in tiles of 16 x 16. Decoders need
/// 32 bytes for each value.
pub(super) const LONGEST: u64 = 1 << 20;

/// Checks that the lists of all pages end within the file, and are not longer than those of images.
///
/// # Errors
/// [`ErrorKind::UnexpectedEof`] for a list that ends after the file; [`ErrorKind::InvalidData`] for
/// one that is too long, and for pages in a circle; errors of reading.
pub(super) fn check(reader: impl BufRead + Seek, length: u64) -> io::Result<()> {
    let mut walker = Walker::new(reader, length)?;
    let start = walker.take::<4>()?;
    let mut tags = Tags { big_endian: start.starts_with(b"MM"), long: start.contains(&43), walker, length };
    if tags.long {
        tags.walker.skip(4)?;
    }
    // An entry has at least 12 bytes, so more entries are in the file twice.
    let mut left = length / 12;
    loop {
        let page = tags.number(tags.width())?;
        if page == 0 {
            return Ok(());
        }
        tags.walker.go_to(page)?;
        let entries = tags.number(if tags.long { 8 } else { 2 })?;
        let too_many = || io::Error::new(ErrorKind::InvalidData, "its pages are in a circle");
        left = left.checked_sub(entries.max(1)).ok_or_else(too_many)?;
        for _ in 0..entries {
            tags.entry()?;
        }
    }
}

struct Tags<R> {
    walker: Walker<R>,
    length: u64,
    big_endian: bool,
    /// Whether offsets have 64 bits.
    long: bool,
}

impl<R: BufRead + Seek> Tags<R> {
    /// Bytes of an offset.
    fn width(&self) -> usize {
        if self.long { 8 } else { 4 }
    }

    fn number(&mut self, width: usize) -> io::Result<u64> {
        let mut number = 0;
        for k in 0..width {
            let byte = u64::from(self.walker.byte()?);
            number |= byte << (8 * if self.big_endian { width - 1 - k } else { k });
        }
        Ok(number)
    }

    fn entry(&mut self) -> io::Result<()> {
        let (tag, kind) = (self.number(2)?, self.number(2)?);
        let (count, place) = (self.number(self.width())?, self.number(self.width())?);
        let bytes = count.saturating_mul(size(kind));
        if !READ.contains(&tag) || bytes <= self.width() as u64 {
            return Ok(());
        }
        if place.saturating_add(bytes) > self.length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if bytes > LONGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("a list of {count} values is too long")));
        }
        Ok(())
    }
}

/// Bytes per value of a type.
fn size(kind: u64) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn checked(bytes: &[u8]) -> Result<(), ErrorKind> {
        check(Cursor::new(bytes), bytes.len() as u64).map_err(|e| e.kind())
    }

    #[test]
    fn lists_are_compared_with_the_file() {
        let file = |count: u32, next: u32| {
            let entry = [&[2, 1, 3, 0], &count.to_le_bytes()[..], &30u32.to_le_bytes()].concat();
            [b"II*\0\x08\0\0\0\x01\0", &entry[..], &next.to_le_bytes(), &[0; 30]].concat()
        };
        assert_eq!(checked(&file(3, 0)), Ok(()));
        // A short value is in the entry itself.
        assert_eq!(checked(&file(2, 0)), Ok(()));
        assert_eq!(checked(&file(100, 0)), Err(ErrorKind::UnexpectedEof));
        assert_eq!(checked(&file(u32::MAX, 0)), Err(ErrorKind::UnexpectedEof));
        assert_eq!(checked(&file(3, 8)), Err(ErrorKind::InvalidData));
        assert_eq!(checked(&file(3, 4000)), Err(ErrorKind::UnexpectedEof));
        let long = [&file(1 << 20, 0)[..], &[0; 1 << 22]].concat();
        assert_eq!(checked(&long), Err(ErrorKind::InvalidData));
    }
}
