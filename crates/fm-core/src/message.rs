//! Numbers, names and shapes in error messages, each in a bounded number of characters, and the
//! remedies for errors of the operating system.
//!
//! ```
//! use fm_core::message::{brief, name, number, shape};
//! assert_eq!([number(&0.5), number(&-1.0), number(&1e300)], ["0.5", "-1", "1e300"]);
//! assert_eq!(name("a name\nof two lines"), "a name of two lines");
//! assert_eq!(name(&"x".repeat(1000)).len(), 63);
//! assert_eq!(brief("an error of another library", 8), "an error...");
//! assert_eq!(shape(&[4, 2]), "[4, 2]");
//! ```

use std::io::{self, ErrorKind};
use std::path::Path;

/// The maximum number of characters of a name in a message.
const LONGEST_NAME: usize = 60;

/// The maximum number of characters of a path in a message.
const LONGEST_PATH: usize = 100;

/// The maximum number of axes of a shape in a message.
const MOST_AXES: usize = 6;

/// A number in short form: scientific notation outside 1e-7 to 1e16.
pub fn number(value: &f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-7..1e16).contains(&size) || !value.is_finite() {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// The name of a type without its module path.
///
/// ```
/// struct Mine;
/// assert_eq!(fm_core::message::type_name::<Mine>(), "Mine");
/// ```
pub fn type_name<T: ?Sized>() -> String {
    let whole = std::any::type_name::<T>();
    let base = whole.split('<').next().unwrap_or(whole);
    name(base.rsplit("::").next().unwrap_or(base))
}

/// Whether a character of external text may change what a terminal shows besides itself: control
/// characters, and those that turn the direction of text.
pub fn is_hidden(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// External text on one line: [hidden](is_hidden) characters are spaces.
///
/// ```
/// assert_eq!(fm_core::message::line("a\tb\u{1b}[2J\u{202e}c"), "a b [2J c");
/// ```
pub fn line(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).collect()
}

/// The first 60 characters of external text, on one line.
pub fn name(text: &str) -> String {
    brief(text, LONGEST_NAME)
}

/// The first `most` characters of external text, on one line.
pub fn brief(text: &str, most: usize) -> String {
    let mut out: String = line(text).chars().take(most).collect();
    if text.chars().nth(most).is_some() {
        out.push_str("...");
    }
    out
}

/// The last 100 characters of a path, on one line.
///
/// ```
/// use std::path::Path;
/// assert_eq!(fm_core::message::path(Path::new("/a\nb/c.npy")), "/a b/c.npy");
/// assert_eq!(fm_core::message::path(Path::new(&"x/".repeat(100))).len(), 100);
/// ```
pub fn path(path: &Path) -> String {
    let text: Vec<char> = line(&path.display().to_string()).chars().collect();
    let cut = (text.len() + 3).saturating_sub(LONGEST_PATH);
    if text.len() <= LONGEST_PATH { text.iter().collect() } else { ['.'; 3].iter().chain(&text[cut..]).collect() }
}

/// The sizes of a shape's axes; those after the sixth are left out.
pub fn shape(axes: &[usize]) -> String {
    let named: Vec<String> = axes.iter().take(MOST_AXES).map(usize::to_string).collect();
    let rest = if axes.len() > MOST_AXES { ", ..." } else { "" };
    format!("[{}{rest}]", named.join(", "))
}

/// What to do about an error of the operating system on a file.
///
/// ```
/// let error = std::fs::read("/no/such/file").unwrap_err();
/// assert_eq!(fm_core::message::io_remedy(&error), "check the path");
/// ```
pub fn io_remedy(error: &io::Error) -> &'static str {
    // Without a stable `ErrorKind`: ELOOP, EIO, ENFILE and EMFILE.
    #[cfg(unix)]
    match error.raw_os_error() {
        Some(40) if cfg!(target_os = "linux") => return "a link in the path leads to itself; remove it",
        Some(5) => return "check the disk, or the network connection to it",
        Some(23 | 24) => return "close other files, or raise the limit (ulimit -n)",
        _ => {}
    }
    match error.kind() {
        ErrorKind::NotFound => "check the path",
        ErrorKind::PermissionDenied => "check its permissions",
        ErrorKind::ReadOnlyFilesystem => "its file system is read-only; choose another place",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space, or choose another place",
        ErrorKind::FileTooLarge => "raise the limit (ulimit -f), or choose another place",
        ErrorKind::IsADirectory => "it is a directory; give a file",
        ErrorKind::NotADirectory => "a part of the path is a file; give another path",
        ErrorKind::DirectoryNotEmpty => "move away what is in it",
        ErrorKind::AlreadyExists => "move it away, or choose another path",
        ErrorKind::InvalidFilename => "shorten the name",
        ErrorKind::InvalidInput => "give another path",
        ErrorKind::InvalidData => "it is not text in UTF-8; check that it is the right file",
        ErrorKind::UnexpectedEof => "it ends early; copy it again",
        ErrorKind::OutOfMemory => "free some memory",
        ErrorKind::ResourceBusy | ErrorKind::ExecutableFileBusy => "close the program that uses it",
        ErrorKind::CrossesDevices => "choose a place on the same file system",
        ErrorKind::BrokenPipe => "keep its reader open",
        ErrorKind::Unsupported => "choose another place, whose file system can do this",
        _ => "check that the path can be used",
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    #[test]
    fn remedies_follow_the_cause() {
        let dir = std::env::temp_dir().join(format!("fm-core-message-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let (file, link) = (dir.join("file"), dir.join("link"));
        fs::write(&file, [0xff]).unwrap();
        std::os::unix::fs::symlink(&link, &link).unwrap();
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let cases = [
            (fs::read(dir.join("none")).unwrap_err(), "check the path"),
            (fs::read(&dir).unwrap_err(), "give a file"),
            (fs::read(file.join("below")).unwrap_err(), "a part of the path is a file"),
            (fs::read(&link).unwrap_err(), "leads to itself"),
            (fs::read(dir.join("x".repeat(300))).unwrap_err(), "shorten the name"),
            (fs::read("a\0b").unwrap_err(), "give another path"),
            (fs::read_to_string(&file).unwrap_err(), "not text in UTF-8"),
            (fs::create_dir(&dir).unwrap_err(), "move it away"),
            (fs::remove_dir(&dir).unwrap_err(), "move away what is in it"),
            ((&full).write_all(b"x").unwrap_err(), "free some space"),
            (fs::write("/proc/version", "x").unwrap_err(), "check"),
        ];
        for (error, remedy) in cases {
            assert!(io_remedy(&error).contains(remedy), "{error}: {}", io_remedy(&error));
        }
        fs::remove_file(file).unwrap();
        fs::remove_file(link).unwrap();
        fs::remove_dir(dir).unwrap();
    }
}
