//! Options of the reader of tables.

use crate::DataError;
use std::fmt;
use std::str::FromStr;

/// How to read a file of a table, and which of its columns.
///
/// ```
/// use fm_data::table::{CsvOptions, Header};
/// let options = CsvOptions { labels: Some("kind".into()), header: Header::Yes, ..CsvOptions::default() };
/// assert_eq!(options.separator, None); // recognised from the first lines
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsvOptions {
    /// The column that holds the classes, by its name or its number starting at 1.
    pub labels: Option<String>,
    /// Columns to ignore, by name or number.
    pub ignore: Vec<String>,
    /// If not empty and the columns have names: ignore all others than these.
    pub only: Vec<String>,
    /// Whether the first line names the columns.
    pub header: Header,
    /// The separator of columns; recognised from the first lines if `None`.
    pub separator: Option<Separator>,
    /// The encoding of the text. If `None`: UTF-16 if the file starts with its byte order mark,
    /// otherwise UTF-8.
    pub encoding: Option<Encoding>,
}

/// Whether the first line names the columns.
///
/// ```
/// use fm_data::table::Header;
/// assert_eq!("yes".parse::<Header>()?, Header::Yes);
/// assert_eq!(Header::default().to_string(), "auto");
/// # Ok::<(), fm_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Header {
    /// It does if none of its fields is a number, if it names a column of the options, or if one of
    /// its fields is a word above a number. Otherwise it is a row, with a note if its numbers look
    /// unlike those below.
    #[default]
    Auto,
    /// It names the columns, even if the names are numbers.
    Yes,
    /// It is a row.
    No,
}

/// The separator of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// A comma.
    Comma,
    /// A semicolon.
    Semicolon,
    /// A tab.
    Tab,
    /// One or more spaces.
    Space,
}

/// An encoding of text, by a name such as `latin1`, `windows-1252`, `utf-16le` or `shift_jis`: the
/// [labels of the Encoding Standard](https://encoding.spec.whatwg.org/#names-and-labels), where
/// `latin1` is `windows-1252`.
///
/// ```
/// use fm_data::table::Encoding;
/// assert_eq!("Latin1".parse::<Encoding>()?.to_string(), "windows-1252");
/// assert!("klingon".parse::<Encoding>().is_err());
/// # Ok::<(), fm_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(pub(super) &'static encoding_rs::Encoding);

impl FromStr for Header {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "auto" => Self::Auto,
            "yes" => Self::Yes,
            "no" => Self::No,
            _ => return Err(unknown("a kind of header", text, "choose auto, yes or no")),
        })
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Yes => "yes",
            Self::No => "no",
        })
    }
}

impl Separator {
    /// The byte between two columns.
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Space => b' ',
        }
    }
}

impl FromStr for Separator {
    type Err = DataError;

    /// Parses the separator itself, or its name.
    fn from_str(text: &str) -> Result<Self, DataError> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "," | "comma" => Self::Comma,
            ";" | "semicolon" => Self::Semicolon,
            "\t" | "\\t" | "tab" => Self::Tab,
            " " | "space" => Self::Space,
            _ => return Err(unknown("a separator", text, "choose comma, semicolon, tab or space")),
        })
    }
}

impl fmt::Display for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
            Self::Space => "space",
        })
    }
}

impl FromStr for Encoding {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let known = encoding_rs::Encoding::for_label_no_replacement(text.as_bytes());
        known
            .map(Self)
            .ok_or_else(|| unknown("an encoding", text, "choose utf-8, latin1, utf-16le or another standard name"))
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name().to_ascii_lowercase())
    }
}

fn unknown(what: &'static str, given: &str, remedy: &str) -> DataError {
    DataError::Option { what, given: given.into(), remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_what_they_were_written_from() {
        for separator in [Separator::Comma, Separator::Semicolon, Separator::Tab, Separator::Space] {
            assert_eq!(separator.to_string().parse::<Separator>().unwrap(), separator);
            assert_eq!(char::from(separator.byte()).to_string().parse::<Separator>().unwrap(), separator);
        }
        for header in [Header::Auto, Header::Yes, Header::No] {
            assert_eq!(header.to_string().parse::<Header>().unwrap(), header);
        }
        for name in ["utf-8", "utf-16le", "utf-16be", "windows-1252", "shift_jis"] {
            assert_eq!(name.parse::<Encoding>().unwrap().to_string(), name);
        }
        for name in ["", "x", ";;"] {
            assert!(name.parse::<Separator>().is_err() && name.parse::<Header>().is_err(), "{name}");
            assert!(name.parse::<Encoding>().is_err(), "{name}");
        }
    }
}
