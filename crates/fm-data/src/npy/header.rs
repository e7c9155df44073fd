//! The header of the `.npy` format, versions 1, 2 and 3: a Python dictionary of `descr`,
//! `fortran_order` and `shape`.
//!
//! Errors are a problem and its remedy.

use super::kind::NumberType;
use std::io::{ErrorKind, Read};

/// The longest header, in bytes; NumPy reads up to 10,000.
const LONGEST: usize = 1 << 16;

/// The most axes of an array; NumPy has 64.
const AXES: usize = 64;

/// A parsed header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) kind: NumberType,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
    /// The number of bytes before the first number.
    pub(super) start: u64,
}

/// Why a header cannot be used.
#[derive(Debug)]
pub(super) enum Unread {
    Io(std::io::Error),
    Problem(String, &'static str),
}

const REMEDY: &str = "give a file that numpy.save wrote";

fn problem(text: &str) -> Unread {
    Unread::Problem(format!("it cannot be read as .npy ({text})"), REMEDY)
}

impl Header {
    /// Reads a header up to the first number.
    pub(super) fn read(reader: &mut dyn Read) -> Result<Self, Unread> {
        let mut take = |bytes: &mut [u8]| {
            reader.read_exact(bytes).map_err(|e| match e.kind() {
                ErrorKind::UnexpectedEof => problem("it ends within its header"),
                _ => Unread::Io(e),
            })
        };
        let mut start = [0; 8];
        take(&mut start)?;
        let [magic @ .., version, _] = start;
        if magic != *b"\x93NUMPY" {
            return Err(problem("it does not start as NumPy's files do"));
        }
        if !(1..=3).contains(&version) {
            return Err(problem(&format!("its version is {version}, not 1, 2 or 3")));
        }
        let mut length = [0; 4];
        let width = if version == 1 { 2 } else { 4 };
        take(&mut length[..width])?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Err(problem("its header is longer than 65536 bytes"));
        }
        let mut text = vec![0; length];
        take(&mut text)?;
        // Names of fields may be in Latin-1, but arrays of fields are refused anyway.
        let text = String::from_utf8_lossy(&text);
        Parser { rest: &text }.dictionary((8 + width + length) as u64)
    }
}

/// Reads the dictionary from left to right, without recursion.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn dictionary(mut self, start: u64) -> Result<Header, Unread> {
        let wrong = || problem("its header does not describe an array of numbers");
        let (mut kind, mut fortran_order, mut shape) = (None, None, None);
        self.expect("{").ok_or_else(wrong)?;
        while self.expect("}").is_none() {
            let key = self.string().ok_or_else(wrong)?;
            self.expect(":").ok_or_else(wrong)?;
            match key {
                "descr" if kind.is_none() => kind = Some(self.kind(wrong)?),
                "fortran_order" if fortran_order.is_none() => fortran_order = Some(self.flag().ok_or_else(wrong)?),
                "shape" if shape.is_none() => shape = Some(self.sizes().ok_or_else(wrong)?),
                _ => return Err(wrong()),
            }
            if self.expect(",").is_none() && !self.rest.trim_start().starts_with('}') {
                return Err(wrong());
            }
        }
        match (kind, fortran_order, shape) {
            (Some(kind), Some(fortran_order), Some(shape)) if self.rest.trim().is_empty() => {
                Ok(Header { kind, fortran_order, shape, start })
            }
            _ => Err(wrong()),
        }
    }

    fn kind(&mut self, wrong: impl Fn() -> Unread) -> Result<NumberType, Unread> {
        if self.rest.trim_start().starts_with(['[', '(']) {
            return Err(Unread::Problem(
                "it is a structured array, with named fields".into(),
                "save one field, as in numpy.save(f, x['name']), or the table as CSV",
            ));
        }
        let text = self.string().ok_or_else(wrong)?;
        NumberType::parse(text).map_err(|(problem, remedy)| Unread::Problem(problem, remedy))
    }

    /// Skips white space and the token; `None` if another token follows.
    fn expect(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|c| ['\'', '"'].contains(c))?;
        let (text, rest) = rest[1..].split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    fn flag(&mut self) -> Option<bool> {
        if self.expect("True").is_some() {
            return Some(true);
        }
        self.expect("False").map(|()| false)
    }

    /// A tuple of sizes, which Python 2 may end in L.
    fn sizes(&mut self) -> Option<Vec<usize>> {
        self.expect("(")?;
        let (sizes, rest) = self.rest.split_once(')')?;
        self.rest = rest;
        if sizes.trim().is_empty() {
            return Some(Vec::new());
        }
        let sizes = sizes.trim_end().strip_suffix(',').unwrap_or(sizes).split(',').take(AXES + 1);
        let parse = |size: &str| size.trim().trim_end_matches('L').parse().ok();
        sizes.map(parse).collect::<Option<Vec<usize>>>().filter(|sizes| sizes.len() <= AXES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first 10 bytes and the dictionary of a header of version 1.
    fn bytes(text: &str) -> Vec<u8> {
        let length = (text.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], text.as_bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Result<Header, String> {
        Header::read(&mut &*bytes).map_err(|e| match e {
            Unread::Io(e) => e.to_string(),
            Unread::Problem(problem, _) => problem,
        })
    }

    #[test]
    fn dictionaries_are_read_in_any_order_and_style() {
        let found = read(&bytes("{\"shape\":(2L, 3L),'descr':'>i2' , \"fortran_order\":True}\n")).unwrap();
        assert_eq!((found.shape, found.fortran_order, found.start), (vec![2, 3], true, 66));
        assert_eq!(found.kind, NumberType::parse(">i2").unwrap());
        let one = read(&bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }   \n")).unwrap();
        assert_eq!(one.shape, [7]);
        assert!(read(&bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (), }")).unwrap().shape.is_empty());
    }

    #[test]
    fn other_headers_are_errors() {
        let of = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        for shape in ["(99999999999999999999,)", "(-1,)", "7", "(1", "(,)", "(1 2)", &format!("({})", "1,".repeat(65))]
        {
            assert!(read(&bytes(&of(shape))).unwrap_err().contains("does not describe"), "{shape}");
        }
        for text in
            ["", "{", "{}", "(((((", &"{'descr':".repeat(90), "{'descr': '<f4'}", "{'shape': (1,), 'shape': (1,)}"]
        {
            assert!(read(&bytes(text)).unwrap_err().contains("does not describe"), "{text}");
        }
        assert!(read(&bytes(&(of("(1,)") + "x"))).is_err());
        assert!(read(&bytes(&of("(1,)").replace('\'', "`"))).is_err());
        assert!(read(&bytes("{'descr': [('a', '<f4')], ")).unwrap_err().contains("structured"));
        for (bytes, says) in [
            (&b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}"[..], "longer than 65536"),
            (b"\x93NUMPY\x01\x00\xff\xff{}", "ends within its header"),
            (b"\x93NUMPY\x04\x00\x02\x00{}", "version is 4"),
            (b"\x93NUM", "ends within its header"),
            (b"", "ends within its header"),
            (b"\0\0\0\0\0\0\0\0\0\0", "does not start"),
        ] {
            assert!(read(bytes).unwrap_err().contains(says), "{says}");
        }
    }
}
