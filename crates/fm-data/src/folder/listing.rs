//! The images of a folder with their classes: one list for training and for evaluation.

use super::decode::{self, refused};
use super::resize::{check, square};
use super::sizes::Sizes;
use super::summary::{ClassCount, Summary};
use super::walk::{self, Walk};
use super::{memory, names};
use crate::{DataError, ImageSet};
use fm_core::message::brief;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The image files of a folder, with the class of each.
///
/// Files are sorted by class, then by path, so that the index of an image does not depend on the
/// file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    folder: PathBuf,
    files: Vec<PathBuf>,
    labels: Vec<u16>,
    summary: Summary,
}

impl Listing {
    /// Lists a folder without opening its images.
    ///
    /// # Errors
    /// A missing folder, one that cannot be read or that has no images, and more than 65,536
    /// classes.
    pub fn new(folder: &Path) -> Result<Self, DataError> {
        if folder.is_file() {
            return Err(refused(folder, "it is a file, not a folder", "give the folder that contains the images"));
        }
        if !folder.is_dir() {
            let remedy = "check the path".into();
            return Err(DataError::Missing { what: "an image folder", path: folder.into(), remedy });
        }
        let Walk { classes, left_out, .. } = walk::walk(folder)?;
        if classes.len() > 1 << 16 {
            let problem = format!("it has {} class folders, and a set has at most 65536 classes", classes.len());
            return Err(refused(folder, problem, "merge classes, or put the images into the folder itself"));
        }
        let counts =
            classes.iter().map(|c| ClassCount { name: names::text(&c.name), images: c.images.len() }).collect();
        let images = classes.iter().map(|c| c.images.len()).sum();
        let summary = Summary { images, classes: counts, left_out, ..Summary::default() };
        if images == 0 {
            return Err(without_images(folder, &summary));
        }
        let labels = (0..=u16::MAX).zip(&classes).flat_map(|(label, c)| vec![label; c.images.len()]).collect();
        let files = classes.into_iter().flat_map(|c| c.images).collect();
        Ok(Self { folder: folder.into(), files, labels, summary })
    }

    /// The image files.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The class of each file, as an index into [`Summary::classes`].
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// The images of the folder, and the files that were left out.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The sizes of the images, from the headers of their files.
    ///
    /// # Errors
    /// The first file that is not an image.
    pub fn sizes(&self) -> Result<Sizes, DataError> {
        let sizes = Sizes::of(&self.files)?;
        sizes.ok_or_else(|| without_images(&self.folder, &self.summary))
    }

    /// The same files with labels in the order of the given class names, such as those of a
    /// checkpoint. A name without a folder remains as a class without images.
    ///
    /// # Errors
    /// A class folder that is not among the names, a name that is given twice, and more than 65,536
    /// names.
    pub fn with_classes(mut self, names: &[String]) -> Result<Self, DataError> {
        let refuse = |problem| Err(refused(&self.folder, problem, "give the class names of this folder, each once"));
        if names.len() > 1 << 16 {
            return refuse(format!("{} class names were given", names.len()));
        }
        let mut places = HashMap::new();
        for (label, name) in (0..=u16::MAX).zip(names) {
            if places.insert(name.as_str(), label).is_some() {
                return refuse(format!("the class '{}' was given twice", brief(name, 40)));
            }
        }
        let mut counts: Vec<ClassCount> = names.iter().map(|n| ClassCount { name: n.clone(), images: 0 }).collect();
        let mut labels = Vec::new();
        for class in &self.summary.classes {
            let Some(label) = places.get(class.name.as_str()) else {
                let name = brief(&class.name, 40);
                return refuse(format!("its class '{name}' is not among the {} expected ones", names.len()));
            };
            counts[usize::from(*label)].images = class.images;
            labels.push(*label);
        }
        self.summary.classes = counts;
        let mut files: Vec<(u16, PathBuf)> =
            self.labels.iter().map(|old| labels[usize::from(*old)]).zip(self.files).collect();
        files.sort_by_key(|(label, _)| *label);
        (self.labels, self.files) = files.into_iter().unzip();
        Ok(self)
    }

    /// Reads the images as RGB of `size` x `size`: turned as their metadata say, resized to fit the
    /// short side, and cropped at the centre. The summary also counts images with more than one
    /// frame, and transparent ones.
    ///
    /// # Errors
    /// A size of 0 or above [`LARGEST_SIZE`](crate::folder::LARGEST_SIZE), a set beyond the available
    /// memory, and the first file that is not an image, is cut short, does not decode, has too many
    /// pixels ([`MOST_PIXELS`](crate::folder::MOST_PIXELS)), or is too long and thin to be cropped to
    /// a square.
    pub fn load(&self, size: u32) -> Result<(ImageSet, Summary), DataError> {
        check(size)?;
        let mut pixels = memory::reserve(&self.folder, self.files.len(), size)?;
        let mut summary = self.summary.clone();
        for path in &self.files {
            let decoded = decode::decode(path, true)?;
            let name = || names::text(path.strip_prefix(&self.folder).unwrap_or(path).as_os_str());
            if decoded.more_frames {
                summary.more_frames.add(name);
            }
            if decoded.transparent {
                summary.transparent.add(name);
            }
            pixels.extend(decode::planes(&square(path, decoded.image, size)?));
        }
        let classes = summary.classes.iter().map(|class| class.name.clone()).collect();
        let shape = [3, size as usize, size as usize];
        Ok((ImageSet::new(shape, 255, pixels, self.labels.clone(), classes)?, summary))
    }
}

/// A folder without images: with what was left out, if anything was.
fn without_images(folder: &Path, summary: &Summary) -> DataError {
    let remedy = "put PNG, JPEG, WebP, BMP, GIF, TIFF or PNM files into one sub-folder per class";
    let most = summary.left_out.iter().max_by_key(|(_, group)| group.count);
    let Some((reason, group)) = most else {
        return DataError::Missing { what: "images", path: folder.into(), remedy: remedy.into() };
    };
    let example = group.examples.first().map_or(String::new(), |name| format!(", such as {}", brief(name, 24)));
    let problem = format!("it has no images, but {} {}{example}", group.count, reason.describe(group.count));
    refused(folder, problem, remedy)
}
