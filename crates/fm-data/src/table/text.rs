//! The text of a table: any encoding becomes UTF-8, piece by piece.

use super::options::Encoding;
use encoding_rs::{Decoder, DecoderResult, UTF_8};
use fm_core::budget::limits;
use std::io::{self, Read};

/// The most bytes of a line, or of a row with quoted line breaks.
const LONGEST: usize = 16 << 20;

/// The most columns of a row.
const COLUMNS: usize = limits::TABLE.parts.0 as usize;

/// Bytes decoded at a time.
const CHUNK: usize = 1 << 15;

/// Room for decoded bytes: at most three per byte, and the last line.
const OUT: usize = 3 * CHUNK + 64;

/// The last line that [`Text`] adds. If it isn't read as a row, a quote was left open.
pub(super) const END: &[u8] = b"\x04";

/// The problem of a text, and the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub(super) struct TextError {
    pub(super) problem: String,
    pub(super) remedy: &'static str,
}

/// A text as UTF-8 without a byte order mark, followed by the line [`END`].
///
/// Reading fails at bytes that the encoding does not define, at control characters, and at rows
/// that are too long.
pub(super) struct Text<R> {
    from: R,
    decoder: Decoder,
    separator: u8,
    raw: Vec<u8>,
    /// The bytes of `raw` that are not decoded yet.
    todo: std::ops::Range<usize>,
    /// Decoded bytes: `ready` of them, of which `given` are read.
    out: Vec<u8>,
    ready: usize,
    given: usize,
    /// The current line, from 1.
    line: u64,
    after_return: bool,
    /// Bytes and separators since the start of the row.
    row: (usize, usize),
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Flushing,
    Ended,
}

impl<R: Read> Text<R> {
    pub(super) fn new(from: R, encoding: Option<Encoding>, separator: u8) -> Self {
        // A byte order mark decides before the encoding.
        let decoder = encoding.map_or(UTF_8, |encoding| encoding.0).new_decoder();
        Self {
            from,
            decoder,
            separator,
            raw: vec![0; CHUNK],
            todo: 0..0,
            out: vec![0; OUT],
            ready: 0,
            given: 0,
            line: 1,
            after_return: false,
            row: (0, 0),
            state: State::Reading,
        }
    }

    /// Begins a row: its length is counted from here.
    pub(super) fn begin_row(&mut self) {
        self.row = (0, 0);
    }

    /// Decodes the next piece into `out`, whose content has been read.
    fn decode(&mut self) -> io::Result<()> {
        if self.todo.is_empty() && self.state == State::Reading {
            let n = self.from.read(&mut self.raw)?;
            self.todo = 0..n;
            if n == 0 {
                self.state = State::Flushing;
            }
        }
        let last = self.state == State::Flushing;
        let room = &mut self.out[..OUT - 1 - END.len()];
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(&self.raw[self.todo.clone()], room, last);
        self.todo.start += read;
        (self.ready, self.given) = (written, 0);
        self.check()?;
        if let DecoderResult::Malformed(..) = result {
            let encoding = self.decoder.encoding();
            let problem = format!("line {} is not {} text", self.line, encoding.name());
            let remedy = "name the encoding of the text, such as latin1, or save it as UTF-8";
            return Err(wrong(problem, remedy));
        }
        if last && result == DecoderResult::InputEmpty {
            let end = [b"\n", END].concat();
            self.out[self.ready..self.ready + end.len()].copy_from_slice(&end);
            self.ready += end.len();
            self.state = State::Ended;
        }
        Ok(())
    }

    /// Counts lines, bytes and columns, and refuses control characters.
    fn check(&mut self) -> io::Result<()> {
        for byte in &self.out[..self.ready] {
            match byte {
                b'\n' => self.line += u64::from(!self.after_return),
                b'\r' => self.line += 1,
                b'\t' => {}
                0..b' ' => {
                    let remedy = "give a table as text; for UTF-16 without its mark name the encoding, utf-16le";
                    return Err(wrong(format!("line {} has the control character {byte:#04x}", self.line), remedy));
                }
                _ => {}
            }
            self.after_return = *byte == b'\r';
            self.row.0 += 1;
            self.row.1 += usize::from(*byte == self.separator);
        }
        // The reader of rows is at most two pieces behind.
        let slack = 8 * CHUNK;
        if self.row.0 > LONGEST + slack || self.row.1 > COLUMNS + slack {
            let problem = format!("the row before line {} exceeds 16 MiB or 262,144 columns", self.line + 1);
            return Err(wrong(problem, "close every quote, end every row with a line break"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready && self.state != State::Ended {
            self.decode()?;
        }
        let rest = &self.out[self.given..self.ready];
        let n = rest.len().min(to.len());
        to[..n].copy_from_slice(&rest[..n]);
        self.given += n;
        Ok(n)
    }
}

fn wrong(problem: String, remedy: &'static str) -> io::Error {
    io::Error::other(TextError { problem, remedy })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], encoding: Option<&str>) -> Result<String, String> {
        let mut text = String::new();
        let encoding = encoding.map(|name| name.parse().unwrap());
        Text::new(bytes, encoding, b',').read_to_string(&mut text).map_err(|e| e.to_string())?;
        Ok(text.strip_suffix("\n\x04").unwrap().to_owned())
    }

    fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect()
    }

    #[test]
    fn marks_and_names_of_encodings_are_followed() {
        let text = "é,1\n😀,2";
        assert_eq!(read(text.as_bytes(), None).unwrap(), text);
        assert_eq!(read(&[b"\xef\xbb\xbf", text.as_bytes()].concat(), None).unwrap(), text);
        assert_eq!(read(&utf16(text, u16::to_le_bytes), None).unwrap(), text);
        assert_eq!(read(&utf16(text, u16::to_be_bytes), None).unwrap(), text);
        assert_eq!(read(&utf16(text, u16::to_be_bytes)[2..], Some("utf-16be")).unwrap(), text);
        assert_eq!(read(b"\xe9,1\n\xe8,2", Some("latin1")).unwrap(), "é,1\nè,2");
        let long = "ab,é\n".repeat(3 * CHUNK);
        assert_eq!(read(&utf16(&long, u16::to_le_bytes), None).unwrap(), long);
    }

    #[test]
    fn bytes_that_are_not_text_are_errors_with_their_line() {
        assert!(read(b"a\r\nb\r\n\xe9", None).unwrap_err().contains("line 3 is not UTF-8"));
        assert!(read(b"a\rb\r\xe9,1\r", None).unwrap_err().contains("line 3 is not UTF-8"));
        assert!(read(b"a\nb\xc3", None).unwrap_err().contains("line 2 is not UTF-8"));
        assert!(read(b"\xff\xfea\0\n\0\x00\xd8b\0", None).unwrap_err().contains("line 2 is not UTF-16LE"));
        assert!(read(b"a\n\0", None).unwrap_err().contains("line 2 has the control character 0x00"));
        assert!(read(&utf16("1,2", u16::to_le_bytes)[2..], None).unwrap_err().contains("utf-16le"));
        assert!(read(b"1\x042", None).unwrap_err().contains("0x04"));
    }

    #[test]
    fn rows_without_end_are_errors() {
        assert!(io::copy(&mut Text::new(io::repeat(b'1'), None, b','), &mut io::sink()).is_err());
        let mut commas = Text::new(io::repeat(b','), None, b',');
        let error = io::copy(&mut commas, &mut io::sink()).unwrap_err();
        assert!(commas.row.0 < LONGEST / 16 && error.to_string().contains("262,144 columns"), "{error}");
    }
}
