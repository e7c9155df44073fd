//! Lines on standard output and standard error.
//!
//! Printing never fails and never panics. A reader that has gone (`| head`) is ignored; another
//! failure of standard output, such as a full disk, is kept for [`lost`]. Control characters, which
//! come from file names and file contents, are printed as escapes, so that they cannot change the
//! terminal.

use std::borrow::Cow;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// The first failure of standard output.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a line on standard output.
#[macro_export]
macro_rules! println {
    () => { $crate::print::output(format_args!("\n")) };
    ($($arg:tt)*) => { $crate::print::output(format_args!("{}\n", format_args!($($arg)*))) };
}

/// Prints on standard output, without the end of the line.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::print::output(format_args!($($arg)*)) };
}

/// Prints a line on standard error.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::print::error(format_args!("\n")) };
    ($($arg:tt)*) => { $crate::print::error(format_args!("{}\n", format_args!($($arg)*))) };
}

/// Prints on standard error, without the end of the line.
#[macro_export]
macro_rules! eprint {
    ($($arg:tt)*) => { $crate::print::error(format_args!($($arg)*)) };
}

/// The function behind [`println!`](crate::println!).
#[doc(hidden)]
pub fn output(text: Arguments<'_>) {
    let text = text.to_string();
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(plain(&text).as_bytes()).and_then(|()| stdout.flush());
    if let Some(error) = written.err().filter(|error| error.kind() != ErrorKind::BrokenPipe) {
        LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// The function behind [`eprintln!`](crate::eprintln!).
#[doc(hidden)]
pub fn error(text: Arguments<'_>) {
    // A failure of standard error cannot be reported.
    let _ = io::stderr().write_all(plain(&text.to_string()).as_bytes());
}

/// Takes the first failure of standard output since the last call. A closed pipe does not count.
pub fn lost() -> Option<io::Error> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The text with control characters, and those that turn the direction of text, as escapes, except
/// for tabs and ends of lines.
///
/// ```
/// assert_eq!(fm_terminal::print::plain("a\u{1b}[2J\tb\n"), "a\\u{1b}[2J\tb\n");
/// assert_eq!(fm_terminal::print::plain("\u{202e}cod.exe"), "\\u{202e}cod.exe");
/// ```
pub fn plain(text: &str) -> Cow<'_, str> {
    // Those of `fm_core::message::is_hidden`, without depending on it; a test compares them.
    let turns =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harmful = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || turns(c);
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if harmful(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// The text in at most `most` characters; a longer one loses its middle, because causes are at the
/// start of a message and remedies at its end.
///
/// ```
/// assert_eq!(fm_terminal::print::cut("0123456789", 9), "01 ... 89");
/// assert_eq!(fm_terminal::print::cut("0123456789", 10), "0123456789");
/// ```
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= most {
        return Cow::Borrowed(text);
    }
    let kept = most.saturating_sub(GAP.len());
    let head = kept.div_ceil(2) + kept / 8;
    let tail = text.chars().skip(count - (kept - head));
    Cow::Owned(text.chars().take(head).chain(GAP.chars()).chain(tail).collect())
}

const GAP: &str = " ... ";
