//! The end of a zip archive, checked before a library reads it: libraries look for the record of
//! the end in the whole file, at each place that looks like one, and believe its count of entries.

use super::spend::Budget;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};

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

/// Compares the number of entries that an archive declares with the budget, with the length of its
/// directory and with the entries that follow each other there, and charges their memory. The
/// reader is then at the start of the file.
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
    let (at, record) = last_record(&tail, start).ok_or_else(|| {
        let cut = tail.windows(4).any(|bytes| bytes == SIGNATURE);
        damaged(if cut { "its directory is cut short" } else { "it has no directory" })
    })?;
    let end = start + at as u64;
    let (here, all) = (short(record, 8), short(record, 10));
    let wide = wide(file, end)?;
    let count = match &wide {
        // The largest number means that the wider one counts.
        Some(wide) if all == u64::from(u16::MAX) => wide.count,
        Some(wide) => wide.count.max(here).max(all),
        None => here.max(all),
    };
    budget.count(count)?;
    if here != all {
        return Err(damaged("its directory says two numbers of entries"));
    }
    if count.saturating_mul(HEADER) > end {
        return Err(damaged("its directory is shorter than its number of entries needs"));
    }
    budget.take_bytes(count.saturating_mul(ENTRY))?;
    let (size, directory_end) = match wide {
        Some(wide) => (wide.size, wide.at),
        None => (long(record, 12), end),
    };
    if let Some(from) = directory_end.checked_sub(size)
        && one_more(file, from, count)?
    {
        return Err(damaged("its directory has more entries than it says"));
    }
    file.rewind()?;
    Ok(count)
}

/// Whether one more entry follows the entries of a directory. Libraries read only the declared
/// number, so that the others would be missing in silence.
fn one_more(file: &mut (impl Read + Seek), from: u64, count: u64) -> io::Result<bool> {
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(from))?;
    for left in (0..=count).rev() {
        let mut entry = [0; HEADER as usize];
        match reader.read_exact(&mut entry) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        // What is no entry is left to the library.
        if !entry.starts_with(b"PK\x01\x02") {
            return Ok(false);
        }
        if left == 0 {
            return Ok(true);
        }
        let lengths = [28, 30, 32].map(|at| i64::from(u16::from_le_bytes([entry[at], entry[at + 1]])));
        reader.seek_relative(lengths.iter().sum())?;
    }
    Ok(false)
}

/// The last record whose comment ends within the file, and its place in the tail, which begins at
/// `start`. A comment may contain what looks like a record: one whose directory would begin after
/// it is passed over, as libraries do.
fn last_record(tail: &[u8], start: u64) -> Option<(usize, &[u8; END as usize])> {
    let records = tail.windows(END as usize).enumerate().rev();
    records.filter(|(_, bytes)| bytes.starts_with(SIGNATURE)).find_map(|(at, bytes)| {
        let record: &[u8; END as usize] = bytes.first_chunk()?;
        let whole = at as u64 + END + short(record, 20) <= tail.len() as u64;
        (whole && is_possible(record, start + at as u64)).then_some((at, record))
    })
}

/// Whether the directory of a record can be before it. The largest numbers stand for wider ones.
fn is_possible(record: &[u8; END as usize], place: u64) -> bool {
    let (counts, numbers) = ([short(record, 8), short(record, 10)], [long(record, 12), long(record, 16)]);
    let wide = counts.contains(&u16::MAX.into()) || numbers.contains(&u32::MAX.into());
    wide || counts.contains(&0) || numbers[1] < place
}

/// The values of a zip64 record.
struct Wide {
    /// The place of the record, which is the end of the directory.
    at: u64,
    /// The number of entries.
    count: u64,
    /// The bytes of the directory.
    size: u64,
}

/// The zip64 record, whose place the locator before the record at `end` holds, if there is a
/// locator. Libraries read it by other signs than the number of entries alone.
fn wide(file: &mut (impl Read + Seek), end: u64) -> io::Result<Option<Wide>> {
    let Some(before) = end.checked_sub(LOCATOR) else { return Ok(None) };
    let (mut locator, mut wide) = ([0; 48], [0; 48]);
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
    Ok(Some(Wide { at, count: word(&wide, 32), size: word(&wide, 40) }))
}

fn short(record: &[u8; END as usize], at: usize) -> u64 {
    u64::from(u16::from_le_bytes([record[at], record[at + 1]]))
}

fn long(record: &[u8; END as usize], at: usize) -> u64 {
    record[at..].first_chunk().map_or(0, |long| u64::from(u32::from_le_bytes(*long)))
}

fn word(bytes: &[u8; 48], at: usize) -> u64 {
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
        for (letter, length) in [(b'x', 40), (b' ', 10_000), (b'x', 60_000), (1, 1000)] {
            let text = [b"PK\x05\x06".to_vec(), vec![letter; length]].concat();
            assert_eq!(check(&archive(46 * 3, 3, &text)), Ok(3), "{length} of {letter}");
        }
    }

    /// A directory of entries without content, and a record of this count.
    fn directory(entries: usize, count: u16) -> Vec<u8> {
        let mut bytes = b"data".to_vec();
        for _ in 0..entries {
            bytes.extend(b"PK\x01\x02");
            bytes.extend([0; 24]);
            // The lengths of a name, of extra fields and of a comment.
            bytes.extend([2, 0, 1, 0, 1, 0]);
            bytes.extend([0; 12]);
            bytes.extend(b"nnxc");
        }
        let size = (bytes.len() - 4) as u32;
        let mut end = archive(0, count, b"");
        end[12..16].copy_from_slice(&size.to_le_bytes());
        end[16..20].copy_from_slice(&4u32.to_le_bytes());
        [bytes, end].concat()
    }

    #[test]
    fn entries_beyond_the_declared_number_are_found() {
        assert_eq!(check(&directory(3, 3)), Ok(3));
        for (entries, count) in [(3, 2), (3, 1), (1, 0)] {
            assert!(check(&directory(entries, count)).unwrap_err().contains("more entries than it says"));
        }
        let mut bytes = directory(3, 3);
        let end = bytes.len() - END as usize;
        bytes[end + 8] = 2;
        assert!(check(&bytes).unwrap_err().contains("two numbers of entries"));
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
