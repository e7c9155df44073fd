//! The end of a zip archive, checked before a library reads it: libraries look for the record of
//! the end in the whole file, at each place that looks like one, and believe its count of entries.

use super::spend::Budget;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// The record at the end of an archive without its comment, which has at most 65,535 bytes.
const END: u64 = 22;
const COMMENT: u64 = 65_535;

/// Memory of an entry of the directory, in bytes, without its name.
const ENTRY: u64 = 320;

/// The bytes of an entry in the directory, without its name.
const HEADER: u64 = 46;

/// Compares the number of entries that an archive declares with the budget and with the length of
/// its directory, and charges their memory. The reader is then at the start of the file.
///
/// # Errors
/// [`OverBudget`](super::OverBudget); [`ErrorKind::InvalidData`] for a file that does not end in the record of an
/// archive; those of the reader.
pub fn check_zip(file: &mut (impl Read + Seek), budget: &mut Budget) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(END + COMMENT);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(END + COMMENT).read_to_end(&mut tail)?;
    let at = tail.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").ok_or_else(|| damaged("it has no directory"))?;
    let end = start + at as u64;
    let record: &[u8; END as usize] = tail[at..].first_chunk().ok_or_else(|| damaged("its directory is cut short"))?;
    let short = |at: usize| u64::from(u16::from_le_bytes([record[at], record[at + 1]]));
    if end + END + short(20) > length {
        return Err(damaged("its comment is cut short"));
    }
    let mut count = short(10);
    if count == u64::from(u16::MAX) && end >= 20 {
        // The locator before the record holds the place of a record with wider numbers.
        let (mut locator, mut wide) = ([0; 40], [0; 40]);
        file.seek(SeekFrom::Start(end - 20))?;
        file.read_exact(&mut locator[..20])?;
        if locator.starts_with(b"PK\x06\x07") {
            file.seek(SeekFrom::Start(word(&locator, 8)))?;
            file.read_exact(&mut wide)?;
            count = word(&wide, 32);
        }
    }
    budget.count(count)?;
    if count.saturating_mul(HEADER) > end {
        return Err(damaged("it has fewer entries than it says"));
    }
    budget.take_bytes(count.saturating_mul(ENTRY))?;
    file.rewind()?;
    Ok(count)
}

fn word(bytes: &[u8; 40], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::limits;
    use std::io::Cursor;

    /// A file of `before` zeros and the record of an archive with this count and comment.
    fn archive(before: usize, count: u16, comment: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; before];
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
        bytes.extend([0; 8]);
        bytes.extend((comment.len() as u16).to_le_bytes());
        bytes.extend(comment);
        bytes
    }

    fn check(bytes: &[u8]) -> Result<u64, String> {
        let mut budget = Budget::new(&limits::STATISTICS, bytes.len() as u64).unwrap();
        check_zip(&mut Cursor::new(bytes), &mut budget).map_err(|error| error.to_string())
    }

    #[test]
    fn counts_are_compared_with_budget_and_directory() {
        assert_eq!(check(&archive(46 * 3, 3, b"")), Ok(3));
        assert_eq!(check(&archive(46 * 3, 3, &[b'x'; 65_535])), Ok(3));
        assert_eq!(check(&archive(0, 0, b"")), Ok(0));
        assert!(check(&archive(46 * 3 - 1, 3, b"")).unwrap_err().contains("fewer entries"));
        assert!(check(&archive(46 * 101, 101, b"")).unwrap_err().contains("it has 101 arrays, more than 100"));
        assert!(check(&archive(0, 0, b"ab")[..23]).unwrap_err().contains("cut short"));
        for bytes in [&b""[..], b"PK\x05\x06", &[0; 100]] {
            assert!(check(bytes).is_err());
        }
    }

    #[test]
    fn wide_counts_are_read() {
        let mut bytes = vec![0; 100];
        bytes.extend(b"PK\x06\x06");
        bytes.extend([0; 28]);
        bytes.extend((1u64 << 40).to_le_bytes());
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(100u64.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(archive(0, u16::MAX, b""));
        assert!(check(&bytes).unwrap_err().contains("1099511627776 arrays"));
    }
}
