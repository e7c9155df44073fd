//! The images of a folder, and the files that were left out.

use fm_core::message::brief;
use std::collections::BTreeMap;
use std::fmt;

/// The number of names that a group shows.
const EXAMPLES: usize = 3;
/// The number of classes that a summary prints.
const PRINTED_CLASSES: usize = 10;
/// The length of printed names, in characters.
const NAME: usize = 60;

/// Why an entry of a folder was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// An image beside class folders, which has no class.
    Loose,
    /// A folder without images.
    EmptyFolder,
    /// An image in a format that is not read, such as HEIC.
    OtherFormat,
    /// A file that is not an image.
    NotAnImage,
    /// A link to a file or folder that was read already, or to a folder above.
    Repeated,
    /// A link to nothing.
    BrokenLink,
    /// A FIFO, socket or device.
    Special,
    /// A name that starts with a dot, or an entry of the operating system such as `Thumbs.db`.
    Hidden,
}

impl Reason {
    /// The description for this number of entries.
    pub(super) fn describe(self, count: usize) -> &'static str {
        let (one, more) = match self {
            Self::Loose => ("image beside the class folders", "images beside the class folders"),
            Self::EmptyFolder => ("folder without images", "folders without images"),
            Self::OtherFormat => ("image in a format that is not read", "images in formats that are not read"),
            Self::NotAnImage => ("file that is not an image", "files that are not images"),
            Self::Repeated => ("link to what is read already", "links to what is read already"),
            Self::BrokenLink => ("link to nothing", "links to nothing"),
            Self::Special => ("FIFO, socket or device", "FIFOs, sockets or devices"),
            Self::Hidden => ("hidden or system entry", "hidden or system entries"),
        };
        if count == 1 { one } else { more }
    }
}

/// A number of entries with the names of the first ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The number of entries.
    pub count: usize,
    /// The names of the first three, relative to the folder.
    pub examples: Vec<String>,
}

impl Group {
    /// Counts an entry.
    pub(super) fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(name());
        }
    }
}

impl fmt::Display for Group {
    /// The names in brackets, such as `(a.png, b.png, ...)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.examples.iter().map(|name| brief(name, NAME)).collect();
        let more = if self.count > names.len() { ", ..." } else { "" };
        write!(f, "({}{more})", names.join(", "))
    }
}

/// A class and the number of its images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassCount {
    /// The name of the sub-folder. Bytes that are not UTF-8 are written as `\xE9`.
    pub name: String,
    /// The number of images.
    pub images: usize,
}

/// Counts of the images of a folder. `Display` prints them in a few lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The number of images.
    pub images: usize,
    /// The classes, in the order of their labels.
    pub classes: Vec<ClassCount>,
    /// Files that were left out, by reason.
    pub left_out: BTreeMap<Reason, Group>,
    /// Images with more than one frame or page, of which the first is read. It is empty before the
    /// images are decoded.
    pub more_frames: Group,
    /// Images with transparent pixels, whose transparency is dropped. It is empty before the images
    /// are decoded.
    pub transparent: Group,
}

impl Summary {
    /// The number of entries that were left out for a reason.
    pub fn left_out(&self, reason: Reason) -> usize {
        self.left_out.get(&reason).map_or(0, |group| group.count)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize, ending| if count == 1 { "" } else { ending };
        let (images, classes) = (self.images, self.classes.len());
        write!(f, "{images} image{} in {classes} class{}", plural(images, "s"), plural(classes, "es"))?;
        let shown: Vec<String> = (self.classes.iter().take(PRINTED_CLASSES))
            .map(|class| format!("{} ({})", brief(&class.name, NAME), class.images))
            .collect();
        if !shown.is_empty() {
            let more = if classes > shown.len() { ", ..." } else { "" };
            write!(f, ": {}{more}", shown.join(", "))?;
        }
        for (reason, group) in &self.left_out {
            write!(f, "\nleft out: {} {} {group}", group.count, reason.describe(group.count))?;
        }
        let notes = [
            ("only the first frame is read", &self.more_frames),
            ("transparency is dropped, not blended,", &self.transparent),
        ];
        for (note, group) in notes.iter().filter(|(_, group)| group.count > 0) {
            write!(f, "\n{note} of {} image{} {group}", group.count, plural(group.count, "s"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_print_in_a_few_short_lines() {
        let mut summary = Summary { images: 1, ..Summary::default() };
        summary.classes = vec![ClassCount { name: "cat\u{1b}[2J".into(), images: 1 }];
        for i in 0..5 {
            summary.left_out.entry(Reason::Hidden).or_default().add(|| format!(".{i}"));
        }
        summary.left_out.entry(Reason::EmptyFolder).or_default().add(|| "x".repeat(500));
        summary.more_frames.add(|| "a.gif".into());
        for name in ["b.png", "c.png"] {
            summary.transparent.add(|| name.into());
        }
        let text = summary.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "1 image in 1 class: cat [2J (1)");
        assert_eq!(lines[1], format!("left out: 1 folder without images ({}...)", "x".repeat(60)));
        assert_eq!(lines[2], "left out: 5 hidden or system entries (.0, .1, .2, ...)");
        assert_eq!(lines[3], "only the first frame is read of 1 image (a.gif)");
        assert_eq!(lines[4], "transparency is dropped, not blended, of 2 images (b.png, c.png)");
        summary.classes = vec![ClassCount { name: "n".repeat(300), images: 1 }; 1000];
        assert!(summary.to_string().len() < 1500);
    }
}
