//! A file that is read in steps and never beyond its end.

use std::io::{self, BufRead, ErrorKind, Seek, SeekFrom};

/// A position in a file of known length. Steps beyond the end are [`ErrorKind::UnexpectedEof`].
pub(super) struct Walker<R> {
    reader: R,
    at: u64,
    length: u64,
}

impl<R: BufRead + Seek> Walker<R> {
    /// Begins at the start of the file.
    pub(super) fn new(mut reader: R, length: u64) -> io::Result<Self> {
        reader.seek(SeekFrom::Start(0))?;
        Ok(Self { reader, at: 0, length })
    }

    /// The number of bytes passed.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next N bytes.
    pub(super) fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    /// The next bytes, as many as their u16 or u32 count says.
    pub(super) fn bytes(&mut self, count: u32) -> io::Result<Vec<u8>> {
        if u64::from(count) > self.length.saturating_sub(self.at) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; count as usize];
        self.reader.read_exact(&mut bytes)?;
        self.at += u64::from(count);
        Ok(bytes)
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take::<1>()?[0])
    }

    /// Checks that `count` more bytes follow.
    pub(super) fn check(&self, count: u64) -> io::Result<()> {
        if count > self.length.saturating_sub(self.at) { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Moves to a place, forward or back.
    pub(super) fn go_to(&mut self, place: u64) -> io::Result<()> {
        if place > self.length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.reader.seek(SeekFrom::Start(place))?;
        self.at = place;
        Ok(())
    }

    /// Passes the bytes up to a place, or up to `end` if that is one byte earlier.
    pub(super) fn skip_to(&mut self, place: u64, end: u64) -> io::Result<()> {
        let place = if place == end + 1 { end } else { place };
        self.skip(place.saturating_sub(self.at))
    }

    /// Passes `count` bytes.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<()> {
        if count > self.length.saturating_sub(self.at) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        // A seek would discard the buffer.
        let buffered = self.reader.fill_buf()?.len();
        match usize::try_from(count) {
            Ok(count) if count <= buffered => self.reader.consume(count),
            _ => {
                self.reader.seek(SeekFrom::Start(self.at + count))?;
            }
        }
        self.at += count;
        Ok(())
    }

    /// Passes all bytes up to and including the next one of this value.
    pub(super) fn pass(&mut self, value: u8) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let found = buffer.iter().position(|byte| *byte == value);
            let passed = found.map_or(buffer.len(), |place| place + 1);
            self.reader.consume(passed);
            self.at += passed as u64;
            if found.is_some() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor};

    #[test]
    fn steps_end_with_the_file() {
        let reader = BufReader::with_capacity(4, Cursor::new((0..20u8).collect::<Vec<_>>()));
        let mut walker = Walker::new(reader, 20).unwrap();
        assert_eq!(walker.take::<2>().unwrap(), [0, 1]);
        walker.skip(2).unwrap();
        walker.pass(9).unwrap();
        assert_eq!((walker.at(), walker.byte().unwrap()), (10, 10));
        walker.skip(5).unwrap();
        assert_eq!((walker.at(), walker.bytes(2).unwrap()), (16, vec![16, 17]));
        for result in [walker.skip(3), walker.bytes(3).map(|_| ()), walker.take::<3>().map(|_| ())] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
    }
}
