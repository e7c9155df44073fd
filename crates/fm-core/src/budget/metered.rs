//! Readers that charge a budget.

use super::spend::{Budget, OverBudget};
use std::io::{self, Read, Seek, SeekFrom};

/// The work of a call that reads or moves, in bytes.
const CALL: u64 = 16;

/// A file whose parser may read as many bytes as the budget has work for: a parser that looks for
/// something again and again ends with [`OverBudget::Work`].
#[derive(Debug)]
pub struct Metered<R> {
    from: R,
    left: u64,
    over: OverBudget,
}

/// What comes out of a decompressor, charged as memory: it ends with [`OverBudget::Bytes`].
#[derive(Debug)]
pub struct Unpacked<R> {
    from: R,
    left: u64,
    over: OverBudget,
}

impl Budget {
    /// A reader with the work that is left.
    pub fn metered<R>(&self, from: R) -> Metered<R> {
        Metered { from, left: self.work_left(), over: self.tangled() }
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
        self.from.seek(to)
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
    use std::io::{self, Cursor, Read, Seek};

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
