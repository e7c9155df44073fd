//! The end of a zip archive, checked before a library reads it: libraries look for the record of
//! the end in the whole file, at each place that looks like one, and believe its count of entries.

use super::spend::Budget;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// The record at the end of an archive without its comment, which has at most 65,535 bytes.
const END: u64 = 22;
const COMMENT: u64 = 65_535;
const SIGNATURE: &[u8] = b"PK\x05\x06";

/// The bytes of the locator of a zip64 record.
const LOCATOR: u64 = 20;

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
    file.by_ref().take(END + COMMENT).read_to_end(&mut tail)?;
    let (at, record) = last_record(&tail).ok_or_else(|| {
        let cut = tail.windows(4).any(|bytes| bytes == SIGNATURE);
        damaged(if cut { "its directory is cut short" } else { "it has no directory" })
    })?;
    let end = start + at as u64;
    let (here, all) = (short(record, 8), short(record, 10));
    let count = match wide_count(file, end)? {
        // The largest number means that the wider one counts.
        Some(wide) if all == u64::from(u16::MAX) => wide,
        Some(wide) => wide.max(here).max(all),
        None => here.max(all),
    };
    budget.count(count)?;
    if count.saturating_mul(HEADER) > end {
        return Err(damaged("its directory is shorter than its number of entries needs"));
    }
    budget.take_bytes(count.saturating_mul(ENTRY))?;
    file.rewind()?;
    Ok(count)
}

/// The last record whose comment ends within the file, and its place. A comment may contain what
/// looks like a record.
fn last_record(tail: &[u8]) -> Option<(usize, &[u8; END as usize])> {
    let records = tail.windows(END as usize).enumerate().rev();
    records.filter(|(_, bytes)| bytes.starts_with(SIGNATURE)).find_map(|(at, bytes)| {
        let record: &[u8; END as usize] = bytes.first_chunk()?;
        (at as u64 + END + short(record, 20) <= tail.len() as u64).then_some((at, record))
    })
}

/// The number of entries in the zip64 record, whose place the locator before the record at `end`
/// holds, if there is a locator. Libraries read it by other signs than the number of entries alone.
fn wide_count(file: &mut (impl Read + Seek), end: u64) -> io::Result<Option<u64>> {
    let Some(before) = end.checked_sub(LOCATOR) else { return Ok(None) };
    let (mut locator, mut wide) = ([0; 40], [0; 40]);
    file.seek(SeekFrom::Start(before))?;
    file.read_exact(&mut locator[..LOCATOR as usize])?;
    if !locator.starts_with(b"PK\x06\x07") {
        return Ok(None);
    }
    let at = word(&locator, 8);
    if at.saturating_add(wide.len() as u64) <= before {
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut wide)?;
    }
    // Libraries look for the record in what follows, and would find another one.
    if !wide.starts_with(b"PK\x06\x06") {
        return Err(damaged("its zip64 record is missing"));
    }
    Ok(Some(word(&wide, 32)))
}

fn short(record: &[u8; END as usize], at: usize) -> u64 {
    u64::from(u16::from_le_bytes([record[at], record[at + 1]]))
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
        assert!(check(&archive(46 * 3 - 1, 3, b"")).unwrap_err().contains("shorter than its number"));
        assert!(check(&archive(46 * 101, 101, b"")).unwrap_err().contains("it has 101 arrays, more than 100"));
        assert!(check(&archive(0, 0, b"ab")[..23]).unwrap_err().contains("cut short"));
        for bytes in [&b""[..], b"PK\x05\x06", &[0; 100]] {
            assert!(check(bytes).is_err());
        }
        // The library reads the number of entries on this disk.
        let mut bytes = archive(46 * 3, 3, b"");
        bytes[46 * 3 + 8] = 101;
        assert!(check(&bytes).unwrap_err().contains("it has 101 arrays"));
    }

    #[test]
    fn comments_may_contain_signatures() {
        assert_eq!(check(&archive(46 * 3, 3, b"PK\x05\x06")), Ok(3));
        let text = [b"PK\x05\x06".to_vec(), vec![b'x'; 40]].concat();
        assert_eq!(check(&archive(46 * 3, 3, &text)), Ok(3));
    }

    /// Zeros, a zip64 record of this count at 100, its locator, and a record of another count.
    fn wide(wide: u64, count: u16) -> Vec<u8> {
        let mut bytes = vec![0; 100];
        bytes.extend(b"PK\x06\x06");
        bytes.extend([0; 28]);
        bytes.extend(wide.to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(100u64.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(archive(0, count, b""));
        bytes
    }

    #[test]
    fn wide_counts_are_read() {
        assert!(check(&wide(1 << 40, u16::MAX)).unwrap_err().contains("1099511627776 arrays"));
        assert_eq!((check(&wide(2, u16::MAX)), check(&wide(1, 2))), (Ok(2), Ok(2)));
        // The place of the directory may be what says that the numbers are wide.
        let mut bytes = wide(1 << 40, 1);
        let end = bytes.len() - END as usize;
        bytes[end + 16..end + 20].fill(0xff);
        assert!(check(&bytes).unwrap_err().contains("1099511627776 arrays"));
        for at in [100, 176 - 20 + 8, 176 - 20 + 15] {
            let mut bytes = wide(2, 1);
            bytes[at] = 0x7f;
            assert_eq!(check(&bytes), Err("its zip64 record is missing".into()));
        }
    }
}
