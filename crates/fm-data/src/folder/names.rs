//! Names of files and folders: which are left out, how classes are sorted, how names are printed.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::path::Path;

/// Entries that operating systems and storage devices add to folders, compared without case.
const SYSTEM: [&str; 10] = [
    "__MACOSX",
    "@eaDir",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "lost+found",
    "$RECYCLE.BIN",
    "#recycle",
    "System Volume Information",
    "__pycache__",
];

/// Suffixes of the formats that are read.
const IMAGES: [&str; 17] = [
    "png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "gif", "tif", "tiff", "pnm", "ppm", "pgm",
    "pbm", "pam",
];

/// Suffixes of images in other formats.
const OTHER_FORMATS: [&str; 24] = [
    "heic", "heif", "avif", "jxl", "jp2", "j2k", "svg", "svgz", "psd", "ico", "tga", "exr", "hdr", "dds", "qoi", "raw",
    "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "eps",
];

/// The content of a file as its extension suggests it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Image,
    OtherFormat,
    Other,
    /// A name without a suffix: the content decides.
    Nothing,
}

/// The content of a file as its extension suggests it.
pub(super) fn named(path: &Path) -> Named {
    let Some(suffix) = path.extension() else { return Named::Nothing };
    let is_in = |known: &[&str]| known.iter().any(|s| suffix.eq_ignore_ascii_case(s));
    if is_in(&IMAGES) {
        Named::Image
    } else if is_in(&OTHER_FORMATS) {
        Named::OtherFormat
    } else {
        Named::Other
    }
}

/// Whether an entry is hidden, or belongs to the operating system.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || SYSTEM.iter().any(|s| name.eq_ignore_ascii_case(s))
}

/// The order of class names: by value if all are whole numbers, otherwise by their bytes.
pub(super) fn sort_classes<T>(classes: &mut [T], name: impl Fn(&T) -> &OsStr) {
    let digits = |c: &T| !name(c).is_empty() && name(c).as_encoded_bytes().iter().all(u8::is_ascii_digit);
    if classes.iter().all(digits) {
        classes.sort_by(|a, b| by_value(name(a).as_encoded_bytes(), name(b).as_encoded_bytes()));
    } else {
        classes.sort_by(|a, b| name(a).cmp(name(b)));
    }
}

/// Compares whole numbers of any length; equal values by their leading zeros.
fn by_value(a: &[u8], b: &[u8]) -> Ordering {
    let trimmed = |n: &[u8]| n.iter().position(|d| *d != b'0').map_or(0, |zeros| n.len() - zeros);
    let (x, y) = (&a[a.len() - trimmed(a)..], &b[b.len() - trimmed(b)..]);
    x.len().cmp(&y.len()).then_with(|| x.cmp(y)).then_with(|| a.len().cmp(&b.len()))
}

/// A name as text. Bytes that are not UTF-8 are written as `\xE9`, so that names that differ stay
/// different.
pub(super) fn text(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02X}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> String {
        let mut names: Vec<&OsStr> = names.iter().map(OsStr::new).collect();
        sort_classes(&mut names, |n| n);
        names.iter().map(|n| text(n)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn whole_numbers_sort_by_value_and_other_names_by_text() {
        assert_eq!(sorted(&["10", "2", "0", "11", "1"]), "0 1 2 10 11");
        assert_eq!(sorted(&["007", "7", "08", "0", "00"]), "0 00 7 007 08");
        assert_eq!(sorted(&["99999999999999999999999999", "100000000000000000000000000", "3"]).len(), 56);
        assert!(sorted(&["100000000000000000000000000", "99999999999999999999999999"]).starts_with('9'));
        assert_eq!(sorted(&["10", "2", "x"]), "10 2 x");
        assert_eq!(sorted(&["-1", "10", "2"]), "-1 10 2");
    }

    #[test]
    fn suffixes_have_no_case_and_hidden_names_are_known() {
        let kinds = ["a.PNG", "b.JpEg", "c.heic", "d.txt", "e", "f.png.bak"].map(|n| named(n.as_ref()));
        use Named::{Image, Nothing, Other, OtherFormat};
        assert_eq!(kinds, [Image, Image, OtherFormat, Other, Nothing, Other]);
        for name in [".git", "._x.png", "thumbs.DB", "@eaDir", "$RECYCLE.BIN", "lost+found", "__MACOSX"] {
            assert!(is_hidden(name.as_ref()), "{name}");
        }
        assert!(!is_hidden("a.b".as_ref()) && !is_hidden("thumbs".as_ref()));
    }
}
