//! The bits of a JPEG scan, and their Huffman codes.

/// Why a scan cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its data end.
    End,
    /// Its bits are no code.
    Invalid,
    /// The scans that refine the coefficients to their last bit are missing.
    Unrefined,
}

/// The bits of a scan up to the next marker.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// The bits from a position on.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, held: 0, count: 0 }
    }

    /// Holds at least 32 bits, or all that are left. A 0xFF of the data is followed by 0.
    fn fill(&mut self) {
        while self.count <= 32 {
            let step = match self.bytes.get(self.at..) {
                Some([0xff, 0, ..]) => 2,
                Some([0xff, ..] | []) | None => return,
                Some(_) => 1,
            };
            self.held = self.held << 8 | u64::from(self.bytes[self.at]);
            self.count += 8;
            self.at += step;
        }
    }

    /// The next bits as a number, at most 16.
    pub(super) fn take(&mut self, bits: u32) -> Result<u32, Stop> {
        if self.count < bits {
            self.fill();
        }
        self.count = self.count.checked_sub(bits).ok_or(Stop::End)?;
        Ok((self.held >> self.count) as u32 & ((1 << bits) - 1))
    }

    /// Passes bits.
    pub(super) fn skip(&mut self, mut bits: u32) -> Result<(), Stop> {
        while bits > 16 {
            self.take(16)?;
            bits -= 16;
        }
        self.take(bits).map(drop)
    }

    /// The symbol of the next code.
    pub(super) fn symbol(&mut self, codes: &Codes) -> Result<u8, Stop> {
        if self.count < 16 {
            self.fill();
        }
        // Past the end there are zeros, which are not taken.
        let next = if self.count < 16 { self.held << (16 - self.count) } else { self.held >> (self.count - 16) };
        let next = next as u32 & 0xffff;
        let [length, symbol] = codes.short[(next >> 8) as usize];
        if length > 0 {
            return self.take(length.into()).map(|_| symbol);
        }
        for length in 9..=16 {
            let code = next >> (16 - length);
            let from = codes.starts[length as usize];
            if let Some(after) = code.checked_sub(from.0).filter(|after| *after < from.1) {
                self.take(length)?;
                return codes.symbols.get((from.2 + after) as usize).copied().ok_or(Stop::Invalid);
            }
        }
        Err(if self.count < 16 { Stop::End } else { Stop::Invalid })
    }

    /// Drops the bits up to the next marker, which must be a restart, and passes it.
    pub(super) fn restart(&mut self) -> Result<(), Stop> {
        let at = self.end();
        (self.held, self.count) = (0, 0);
        match self.bytes.get(at + 1) {
            Some(0xd0..=0xd7) => {
                self.at = at + 2;
                Ok(())
            }
            _ => Err(Stop::End),
        }
    }

    /// The position of the next marker.
    pub(super) fn end(&self) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let marker = rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff));
        marker.map_or(self.bytes.len(), |i| self.at + i)
    }
}

/// A table of Huffman codes.
#[derive(Debug, Clone)]
pub(super) struct Codes {
    /// Length and symbol of the code at the start of eight bits; length 0 where it is longer.
    short: [[u8; 2]; 256],
    /// The first code of each length, the number of its codes, and the place of its first symbol.
    starts: [(u32, u32, u32); 17],
    symbols: Vec<u8>,
}

impl Codes {
    /// A table from the number of codes of each length; `None` if the codes do not fit.
    pub(super) fn new(counts: [u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut codes = Self { short: [[0; 2]; 256], starts: [(0, 0, 0); 17], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0u32, 0u32);
        for (length, count) in (1u32..).zip(counts.map(u32::from)) {
            if code + count > 1 << length {
                return None;
            }
            codes.starts[length as usize] = (code, count, place);
            for i in 0..count.min(if length > 8 { 0 } else { count }) {
                let symbol = *symbols.get((place + i) as usize)?;
                let first = ((code + i) << (8 - length)) as usize;
                codes.short[first..first + (1 << (8 - length))].fill([length as u8, symbol]);
            }
            code = (code + count) << 1;
            place += count;
        }
        (place as usize <= symbols.len()).then_some(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_end_with_the_data() {
        // 0 -> 7, 10 -> 8, 110 -> 9, and 1110 0000 0 -> 3.
        let codes = Codes::new([1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], &[7, 8, 9, 3]).unwrap();
        let bytes = [0b0101_1011, 0b1000_0001, 0xff, 0x00, 0b1010_0000, 0xff, 0xd0, 0x55, 0xff, 0xd9];
        let mut bits = Bits::new(&bytes, 0);
        let symbols = [(); 4].map(|()| bits.symbol(&codes).unwrap());
        assert_eq!(symbols, [7, 8, 9, 3]);
        assert_eq!((bits.take(1), bits.take(9), bits.end()), (Ok(1), Ok(0b1_1111_1111), 5));
        assert_eq!((bits.skip(7), bits.take(1)), (Ok(()), Err(Stop::End)));
        assert_eq!((bits.restart(), bits.take(8)), (Ok(()), Ok(0x55)));
        assert_eq!((bits.restart(), bits.end()), (Err(Stop::End), 8));
        let mut ones = Bits::new(&[0xfe; 4], 0);
        assert_eq!(ones.symbol(&codes), Err(Stop::Invalid));
        assert!(Codes::new([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[1, 2, 3]).is_none());
    }
}
