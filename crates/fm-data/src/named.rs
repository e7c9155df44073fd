//! Data sets by name, as a command line or a configuration file gives them.
//!
//! | images | data set |
//! |---|---|
//! | `digits` | the embedded [digits] |
//! | `cifar10`, `cifar10:DIR` | the training split of [CIFAR-10](crate::cifar10), in [`CIFAR10`] or in a directory |
//! | `cifar10-test`, `cifar10-test:DIR` | its test split |
//! | `folder:DIR` | a folder of images (feature `images`) |
//! | `IMAGES.npy`, `IMAGES.npy,LABELS.npy` | [NumPy files](crate::npy) |
//!
//! | tables | data set |
//! |---|---|
//! | `spiral`, `moons`, `8gaussians`, `checkerboard` | points [drawn](crate::points) from a toy distribution |
//! | `gaussian4`, `genes` | embedded [tables](crate::table) |
//! | `FILE.csv`, `FILE.npy` | a file |
//!
//! ```
//! use fm_data::named::{ImageSource, TableSource};
//! let source: ImageSource = "cifar10-test:/data".parse()?;
//! assert_eq!(source.to_string(), "cifar10-test:/data");
//! assert_eq!("digits".parse::<ImageSource>()?.open(32)?.len(), 1797);
//! let error = "cifar100".parse::<ImageSource>().unwrap_err().to_string();
//! assert!(error.contains("did you mean 'cifar10'"), "{error}");
//! assert_eq!("genes".parse::<TableSource>()?.open(&Default::default(), 0, 0)?.values.nrows(), 700);
//! # Ok::<(), fm_data::DataError>(())
//! ```

use crate::cifar10::{self, Split};
use crate::points::{TOYS, toy};
use crate::table::{self, CsvOptions, Table};
use crate::{DataError, ImageSet, digits, npy};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The default directory of CIFAR-10.
pub const CIFAR10: &str = "data/cifar-10-batches-bin";

/// A set of images.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageSource {
    /// The embedded digits.
    Digits,
    /// The binary batches of CIFAR-10.
    Cifar10 {
        /// Their folder.
        folder: PathBuf,
        /// The split to read.
        split: Split,
    },
    /// A folder of image files, one sub-folder per class.
    #[cfg(feature = "images")]
    Folder(PathBuf),
    /// NumPy files.
    Npy {
        /// The images: (N, H, W), (N, C, H, W) or (N, H, W, C), uint8.
        images: PathBuf,
        /// The labels: (N), integers.
        labels: Option<PathBuf>,
    },
}

impl FromStr for ImageSource {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        let (kind, place) = name.split_once(':').map_or((name, None), |(kind, place)| (kind, Some(place)));
        let cifar10 = |split| Self::Cifar10 { folder: place.unwrap_or(CIFAR10).into(), split };
        Ok(match (kind, place) {
            ("digits", None) => Self::Digits,
            ("cifar10", _) => cifar10(Split::Train),
            ("cifar10-test", _) => cifar10(Split::Test),
            #[cfg(feature = "images")]
            ("folder", Some(place)) => Self::Folder(place.into()),
            _ if name.split(',').all(|file| file.ends_with(".npy")) => match name.split_once(',') {
                Some((images, labels)) => Self::Npy { images: images.into(), labels: Some(labels.into()) },
                None => Self::Npy { images: name.into(), labels: None },
            },
            _ => {
                let near = nearest(kind, &["digits", "cifar10", "cifar10-test", "folder:DIR"]);
                return Err(DataError::UnknownImages { given: name.into(), near });
            }
        })
    }
}

impl fmt::Display for ImageSource {
    /// The name that parses back to this source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digits => f.write_str("digits"),
            Self::Cifar10 { folder, split } => {
                f.write_str(if *split == Split::Train { "cifar10" } else { "cifar10-test" })?;
                if folder == Path::new(CIFAR10) { Ok(()) } else { write!(f, ":{}", folder.display()) }
            }
            #[cfg(feature = "images")]
            Self::Folder(folder) => write!(f, "folder:{}", folder.display()),
            Self::Npy { images, labels: None } => write!(f, "{}", images.display()),
            Self::Npy { images, labels: Some(labels) } => write!(f, "{},{}", images.display(), labels.display()),
        }
    }
}

impl ImageSource {
    /// Reads the images. Those of a folder are resized to a square with sides of `size` pixels; all
    /// others keep their size.
    ///
    /// # Errors
    /// Missing or invalid files.
    pub fn open(&self, size: u32) -> Result<ImageSet, DataError> {
        // Only folders are resized.
        #[cfg(not(feature = "images"))]
        let _ = size;
        match self {
            Self::Digits => Ok(digits::load()),
            Self::Cifar10 { folder, split } => cifar10::load(folder, *split),
            #[cfg(feature = "images")]
            Self::Folder(folder) => crate::folder::load(folder, size),
            Self::Npy { images, labels } => npy::images(images, labels.as_deref()),
        }
    }
}

/// A table of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableSource {
    /// Points drawn from a toy distribution.
    Toy(&'static str),
    /// Four correlated columns, embedded.
    Gaussian4,
    /// Gene counts of blood cells, embedded.
    Genes,
    /// A CSV file.
    Csv(PathBuf),
    /// A NumPy file.
    Npy(PathBuf),
}

impl FromStr for TableSource {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        let toy = TOYS.into_iter().find(|toy| *toy == name);
        match (Path::new(name).extension().and_then(|e| e.to_str()), name) {
            (Some("csv"), _) => Ok(Self::Csv(name.into())),
            (Some("npy"), _) => Ok(Self::Npy(name.into())),
            (_, "genes") => Ok(Self::Genes),
            (_, "gaussian4") => Ok(Self::Gaussian4),
            _ => toy.map(Self::Toy).ok_or_else(|| DataError::UnknownPoints(name.into())),
        }
    }
}

impl TableSource {
    /// Reads the table, using `csv` for a CSV file; a toy distribution draws `rows` points from the
    /// seed.
    ///
    /// # Errors
    /// Missing or invalid files, and more rows than fit into memory.
    pub fn open(&self, csv: &CsvOptions, rows: usize, seed: u64) -> Result<Table, DataError> {
        match self {
            Self::Toy(name) => Ok(Table::of(toy(name, rows, seed)?)),
            Self::Gaussian4 => table::gaussian4(),
            Self::Genes => table::genes(),
            Self::Csv(path) => table::csv(path, csv),
            Self::Npy(path) => Ok(Table::of(npy::table(path)?)),
        }
    }
}

/// The known name closest to the given one.
fn nearest(given: &str, names: &[&'static str]) -> &'static str {
    names.iter().min_by_key(|name| strsim::osa_distance(given, name)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_what_they_were_written_from() {
        let names = ["digits", "cifar10", "cifar10:/a b", "cifar10-test", "folder:x", "a.npy", "a.npy,b.npy"];
        for name in names {
            assert_eq!(name.parse::<ImageSource>().unwrap().to_string(), name);
        }
        assert_eq!("cifar10:data/cifar-10-batches-bin".parse::<ImageSource>().unwrap().to_string(), "cifar10");
    }

    #[test]
    fn names_of_nothing_are_errors() {
        for name in ["", "digits:x", "folder", "cifar", "a.npy,b.csv", "x.npy,"] {
            let error = name.parse::<ImageSource>().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("folder:DIR"), "{error}");
        }
        assert!("genes2".parse::<TableSource>().is_err_and(|e| e.to_string().contains("genes2")));
        let missing = "no-such.csv".parse::<TableSource>().unwrap().open(&CsvOptions::default(), 1, 0);
        assert!(missing.is_err_and(|e| e.to_string().contains("no-such.csv")));
    }
}
