//! Data sets by name, as a command line or a configuration file gives them.
//!
//! | images | data set |
//! |---|---|
//! | `digits` | the embedded [digits] |
//! | `cifar10`, `cifar10:DIR` | the training split of [CIFAR-10](crate::cifar10), in [`CIFAR10`] or in a directory |
//! | `cifar10-test`, `cifar10-test:DIR` | its test split |
//! | `folder:DIR` | a folder of images (feature `images`) |
//! | `IMAGES.npy`, `IMAGES.npy,LABELS.npy` | [NumPy files](crate::npy) |
//! | `FILE.npz:IMAGES`, `FILE.npz:IMAGES,FILE.npz:LABELS` | arrays of an archive |
//! | `IMAGES.npy:range=LOW..HIGH` | NumPy files, also of an archive, with the [values](crate::npy::ValueRange) of black and white |
//! | `NAME@SIZE`, such as `cifar10@16` | any of these except a folder, resized and cropped to squares (feature `images`) |
//!
//! | tables | data set |
//! |---|---|
//! | a [toy](crate::points), such as `moons` or `moons:noise=0.1` | points drawn from a toy distribution |
//! | `gaussian4`, `genes`, `ecg` | embedded [tables](crate::table) |
//! | `FILE.csv`, `.tsv`, `.tab`, `.txt`, each also with `.gz` | a text file |
//! | `FILE.npy`, `FILE.npz`, `FILE.npz:NAME` | an array |
//!
//! File extensions may be in upper case.
//!
//! ```
//! use fm_data::named::{ImageSource, TableSource};
//! let source: ImageSource = "cifar10-test:/data".parse()?;
//! assert_eq!(source.to_string(), "cifar10-test:/data");
//! let mut notes = Vec::new();
//! assert_eq!("digits".parse::<ImageSource>()?.open(32, &mut notes)?.len(), 1797);
//! let error = "cifar100".parse::<ImageSource>().unwrap_err().to_string();
//! assert!(error.contains("did you mean 'cifar10'"), "{error}");
//! assert_eq!("genes".parse::<TableSource>()?.open(&Default::default(), 0, 0)?.values.nrows(), 700);
//! # Ok::<(), fm_data::DataError>(())
//! ```

use crate::cifar10::{self, Split};
use crate::foreign::{self, DataKind};
use crate::npy::{ArraySource, ValueRange};
use crate::points::{self, Toy};
use crate::table::{self, CsvOptions, Table};
use crate::{DataError, ImageSet, digits, npy};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The default directory of CIFAR-10.
pub const CIFAR10: &str = "data/cifar-10-batches-bin";

/// Extensions of text files, in lower case.
const TEXTS: [&str; 4] = [".csv", ".tsv", ".tab", ".txt"];

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
    /// NumPy arrays.
    Npy {
        /// The images: (N, H, W), (N, C, H, W) or (N, H, W, C).
        images: ArraySource,
        /// The values of black and white; recognised from the values if `None`.
        range: Option<ValueRange>,
        /// The labels: (N), integers.
        labels: Option<ArraySource>,
    },
    /// Images of another source, resized to squares and cropped at the centre.
    #[cfg(feature = "images")]
    Resized {
        /// The other source, which is neither a folder nor resized.
        origin: Box<ImageSource>,
        /// The sides of the squares, in pixels.
        size: u32,
    },
}

impl FromStr for ImageSource {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        #[cfg(feature = "images")]
        if let Some((origin, size)) = sized(name)
            && sized(origin).is_none()
        {
            return Ok(Self::Resized { origin: Box::new(origin.parse()?), size });
        }
        let (kind, place) = name.split_once(':').map_or((name, None), |(kind, place)| (kind, Some(place)));
        let cifar10 = |split| Self::Cifar10 { folder: place.unwrap_or(CIFAR10).into(), split };
        Ok(match (kind, place) {
            ("digits", None) => Self::Digits,
            ("cifar10", _) => cifar10(Split::Train),
            ("cifar10-test", _) => cifar10(Split::Test),
            #[cfg(feature = "images")]
            ("folder", Some(place)) => Self::Folder(place.into()),
            _ => {
                if let Some(source) = arrays(name) {
                    return source;
                }
                if let Some(refused) = foreign::refused(name, DataKind::Images) {
                    return Err(refused);
                }
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
            #[cfg(feature = "images")]
            Self::Resized { origin, size } => write!(f, "{origin}@{size}"),
            Self::Npy { images, range, labels } => {
                write!(f, "{images}")?;
                range.iter().try_for_each(|range| write!(f, ":range={range}"))?;
                labels.iter().try_for_each(|labels| write!(f, ",{labels}"))
            }
        }
    }
}

impl ImageSource {
    /// The source of the images before they are resized.
    pub fn origin(&self) -> &Self {
        match self {
            #[cfg(feature = "images")]
            Self::Resized { origin, .. } => origin,
            other => other,
        }
    }

    /// Reads the images. Those of a folder are resized to a square with sides of `size` pixels; all
    /// others keep their size, unless their name has another. What was assumed about them is
    /// appended to `notes`, one line each.
    ///
    /// # Errors
    /// Missing or invalid files.
    pub fn open(&self, size: u32, notes: &mut Vec<String>) -> Result<ImageSet, DataError> {
        // Only folders are resized.
        #[cfg(not(feature = "images"))]
        let _ = size;
        match self {
            Self::Digits => Ok(digits::load()),
            Self::Cifar10 { folder, split } => cifar10::load(folder, *split),
            #[cfg(feature = "images")]
            Self::Folder(folder) => {
                let (set, summary) = crate::folder::open(folder, size)?;
                notes.extend(summary.to_string().lines().map(str::to_owned));
                Ok(set)
            }
            #[cfg(feature = "images")]
            Self::Resized { origin, size: own } => {
                crate::folder::resized(&origin.open(size, notes)?, *own, &origin.to_string())
            }
            Self::Npy { images, range, labels } => npy::images(images.clone(), labels.as_ref(), *range, notes),
        }
    }
}

/// A table of numbers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TableSource {
    /// Points drawn from a toy distribution.
    Toy(Toy),
    /// Four correlated columns, embedded.
    Gaussian4,
    /// Gene counts of blood cells, embedded.
    Genes,
    /// An electrocardiogram, embedded: a series, one row per 1/60 s.
    Ecg,
    /// A text file.
    Csv(PathBuf),
    /// A NumPy array.
    Npy(ArraySource),
}

impl FromStr for TableSource {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        let lower = name.to_ascii_lowercase();
        let text = TEXTS.iter().any(|end| lower.strip_suffix(".gz").unwrap_or(&lower).ends_with(end));
        match name {
            "genes" => Ok(Self::Genes),
            "ecg" => Ok(Self::Ecg),
            "gaussian4" => Ok(Self::Gaussian4),
            _ if text => Ok(Self::Csv(name.into())),
            _ if ArraySource::is_name(name) => Ok(Self::Npy(name.parse()?)),
            _ => points::parse(name).map(Self::Toy).map_err(|e| match e {
                DataError::UnknownPoints { .. } => foreign::refused(name, DataKind::Table).unwrap_or(e),
                other => other,
            }),
        }
    }
}

impl fmt::Display for TableSource {
    /// The name that parses back to this source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toy(toy) => write!(f, "{toy}"),
            Self::Gaussian4 => f.write_str("gaussian4"),
            Self::Genes => f.write_str("genes"),
            Self::Ecg => f.write_str("ecg"),
            Self::Csv(path) => write!(f, "{}", path.display()),
            Self::Npy(array) => write!(f, "{array}"),
        }
    }
}

impl TableSource {
    /// Reads the table, using `csv` for a text file; a toy distribution draws `rows` points from
    /// the seed.
    ///
    /// # Errors
    /// Missing or invalid files, and more rows than fit into memory.
    pub fn open(&self, csv: &CsvOptions, rows: usize, seed: u64) -> Result<Table, DataError> {
        match self {
            Self::Toy(toy) => Ok(Table::of(points::draw(*toy, rows, seed)?.mapv(f64::from))),
            Self::Gaussian4 => table::gaussian4(),
            Self::Genes => table::genes(),
            Self::Ecg => table::ecg(),
            Self::Csv(path) => table::csv(path, csv),
            Self::Npy(array) => npy::sequences(array.clone()),
        }
    }
}

/// The name before the last `@` and the size after it, if there is one; names of folders have none.
#[cfg(feature = "images")]
fn sized(name: &str) -> Option<(&str, u32)> {
    let (origin, size) = name.rsplit_once('@').filter(|_| !name.starts_with("folder:"))?;
    let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
    Some((origin, size.parse().ok().filter(|_| digits)?))
}

/// The source that names one or two arrays, if the name is that.
fn arrays(name: &str) -> Option<Result<ImageSource, DataError>> {
    let split = |text: &'_ str| -> (String, Option<String>) {
        let parts = text.rsplit_once(":range=");
        parts.map_or((text.into(), None), |(images, range)| (images.into(), Some(range.into())))
    };
    // From the right, because a path and a range may have commas too.
    let two = name.rmatch_indices(',').map(|(at, _)| (&name[..at], &name[at + 1..])).find(|(images, labels)| {
        let (images, range) = split(images);
        let fits = range.is_none_or(|range| range.parse::<ValueRange>().is_ok());
        fits && ArraySource::is_name(&images) && ArraySource::is_name(labels)
    });
    let (images, labels) = two.map_or((name, None), |(images, labels)| (images, Some(labels)));
    let (images, range) = split(images);
    let parse = || {
        let range = range.map(|range| range.parse()).transpose()?;
        let labels = labels.map(str::parse).transpose()?;
        Ok(ImageSource::Npy { images: images.parse()?, range, labels })
    };
    ArraySource::is_name(&images).then(parse)
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
        let arrays = ["A.NPY", "a.npz:x,a.npz:y", "a.npy:range=0..1", "a.npz:x:range=-1..1,b,c.npy"];
        for name in names.into_iter().chain(arrays) {
            assert_eq!(name.parse::<ImageSource>().unwrap().to_string(), name);
        }
        let comma = "a.npy:range=0,1,b.npy".parse::<ImageSource>().unwrap();
        assert_eq!(comma.to_string(), "a.npy:range=0..1,b.npy");
        assert!("a.npy:range=x".parse::<ImageSource>().is_err());
        assert_eq!("cifar10:data/cifar-10-batches-bin".parse::<ImageSource>().unwrap().to_string(), "cifar10");
    }

    #[test]
    fn names_of_nothing_are_errors() {
        for name in ["", "digits:x", "folder", "cifar", "a.npy,b.csv", "x.npy,"] {
            let error = name.parse::<ImageSource>().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("folder:DIR"), "{error}");
        }
        for name in ["a.CSV", "a.tsv", "a.csv.gz", "A.TSV.GZ", "a.txt", "a.tab"] {
            assert_eq!(name.parse::<TableSource>().unwrap(), TableSource::Csv(name.into()));
        }
        for name in ["a.NPY", "a.npz", "a.npz:x"] {
            assert!(matches!(name.parse::<TableSource>(), Ok(TableSource::Npy(array)) if array.to_string() == name));
        }
        for name in ["genes", "gaussian4", "a.csv", "spiral:scale=1,noise=0.1"] {
            assert_eq!(name.parse::<TableSource>().unwrap().to_string(), name);
        }
        assert!("genes2".parse::<TableSource>().is_err_and(|e| e.to_string().contains("genes2")));
        let missing = "no-such.csv".parse::<TableSource>().unwrap().open(&CsvOptions::default(), 1, 0);
        assert!(missing.is_err_and(|e| e.to_string().contains("no-such.csv")));
    }
}
