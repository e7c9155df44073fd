//! Readers that charge a budget.

use super::spend::{Budget, OverBudget};
use std::io::{self, Read, Seek, SeekFrom};

/// The work of a call that reads or moves, in bytes.
const CALL: u64 = 16;

/// A file whose parser may read as many bytes as the budget has work for: a parser that looks for
/// something again and again ends with [`OverBudget::Work`]. A buffer belongs inside, as in
/// `Metered<BufReader<File>>`: seeks within it keep it, and only bytes that the parser gets count.
#[derive(Debug)]
pub struct Metered<R> {
    from: R,
    left: u64,
    over: OverBudget,
}

/// The output of a decompressor, charged as memory; beyond the budget, reading fails with
/// [`OverBudget::Bytes`].
#[derive(Debug)]
pub struct Unpacked<R> {
    from: R,
    left: u64,
    over: OverBudget,
}

impl Budget {
    /// A reader with the work that is left.
    pub fn metered<R>(&self, from: R) -> Metered<R> {
        Metered { from, left: self.work_left(), over: self.overworked() }
    }

    /// A reader of unpacked data, with the memory that is left.
    pub fn unpacked<R>(&self, from: R) -> Unpacked<R> {
        Unpacked { from, left: self.bytes_left(), over: self.unpacks_too_far() }
    }
}

impl<R> Metered<R> {
    fn charge(&mut self, bytes: u64) -> io::Result<()> {
        // What is exhausted stays so: a parser may try again elsewhere.
        match self.left.checked_sub(bytes.saturating_add(CALL)) {
            Some(left) => self.left = left,
            None => {
                self.left = 0;
                return Err(self.over.into());
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.charge(0)?;
        let n = self.from.read(bytes)?;
        self.charge(n as u64)?;
        Ok(n)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.charge(0)?;
        // BufReader drops its buffer on other seeks, which zip makes after each entry.
        let by = match to {
            SeekFrom::Start(to) => i64::try_from(i128::from(to) - i128::from(self.from.stream_position()?)).ok(),
            SeekFrom::Current(by) => Some(by),
            SeekFrom::End(_) => None,
        };
        let Some(by) = by else { return self.from.seek(to) };
        self.from.seek_relative(by)?;
        self.from.stream_position()
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        self.charge(0)?;
        self.from.stream_position()
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(bytes)?;
        self.left = self.left.checked_sub(n as u64).ok_or(self.over)?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use crate::budget::{Budget, OverBudget, limits};
    use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};

    fn over(result: io::Result<usize>) -> OverBudget {
        *result.unwrap_err().into_inner().unwrap().downcast().unwrap()
    }

    #[test]
    fn what_is_read_again_and_again_ends() {
        let mut reader = Budget::new(&limits::ARRAY, 1000).unwrap().metered(Cursor::new([7; 1000]));
        let mut rounds = 0;
        let error = loop {
            let mut bytes = Vec::new();
            reader.rewind().unwrap_or_default();
            match reader.read_to_end(&mut bytes) {
                Ok(1000) => rounds += 1,
                ended => break over(ended),
            }
        };
        assert!((40..=64).contains(&rounds), "{rounds}");
        assert!(matches!(error, OverBudget::Work { kind: "an array", .. }));
        assert!(reader.rewind().is_err() && reader.read(&mut [0]).is_err(), "it stays exhausted");
    }

    /// A file that counts the bytes that are read from it.
    struct Counted(Cursor<Vec<u8>>, usize);

    impl Read for Counted {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let n = self.0.read(bytes)?;
            self.1 += n;
            Ok(n)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn seeks_keep_the_buffer_of_a_reader() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
        let budget = Budget::new(&limits::ARRAY, 1 << 16).unwrap();
        let mut reader = budget.metered(BufReader::new(Counted(Cursor::new(bytes), 0)));
        let mut two = [0; 2];
        for to in (0..1 << 10).map(|k| 64 * k) {
            assert_eq!(reader.seek(SeekFrom::Start(to)).unwrap(), to);
            reader.read_exact(&mut two).unwrap();
            assert_eq!((two, reader.stream_position().unwrap()), ([to as u8, to as u8 + 1], to + 2));
        }
        assert_eq!(reader.from.get_ref().1, 1 << 16, "each byte is read once");
        assert_eq!(reader.seek(SeekFrom::Current(-2)).unwrap(), (1 << 16) - 64);
        assert_eq!(reader.seek(SeekFrom::End(-1)).unwrap(), (1 << 16) - 1);
        reader.read_exact(&mut two[..1]).unwrap();
        assert_eq!(two[0], 255);
        assert!(reader.seek(SeekFrom::Start(u64::MAX)).is_ok_and(|at| at == u64::MAX));
    }

    #[test]
    fn what_unpacks_too_far_ends() {
        let budget = Budget::new(&limits::ARRAY, 1000).unwrap();
        let mut bytes = Vec::new();
        let ended = budget.unpacked(io::repeat(1)).read_to_end(&mut bytes);
        assert!(matches!(over(ended), OverBudget::Bytes { .. }));
        assert!(bytes.len() <= 1000 + (1 << 16));
        assert_eq!(budget.unpacked(&[1u8; 9][..]).read_to_end(&mut bytes).unwrap(), 9);
    }
}
