//! Images by name, as `--data` gives them.
//!
//! A network sees the value 2 p / levels - 1 of a pixel p from 0 to levels. [`matrix`] has these
//! values, [`deviation`] their standard deviation.
//!
//! ```
//! use fm_images::data::{deviation, matrix, open};
//! let digits = open("digits", 8)?;
//! assert_eq!(digits.shape, [1, 8, 8]);
//! let values = matrix(&digits);
//! assert_eq!(values.dim(), (1797, 64));
//! assert!((f64::from(values.std(0.0)) - deviation(&digits)).abs() < 1e-4);
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::{bail, ensure};
use fm_core::source::Source;
use fm_data::cifar10;
use fm_data::named::CIFAR10;
use fm_data::npy::ValueRange;
use fm_data::{DataError, ImageSet, ImageSource, folder};
use fm_evaluation::images::Images;
use fm_fetch::cifar10::{Outcome, Request, URL};
use fm_run::sources;
use fm_terminal::eprintln;
use fm_train::checkpoint::DataMeta;
use ndarray::Array2;
use std::path::Path;

/// Reads the images of a run with the classes of its checkpoint: their numbers stay, however the
/// folder is sorted now.
///
/// # Errors
/// A class of the data that the run does not have.
pub fn open_again(name: &str, image_size: u32, classes: &[String]) -> anyhow::Result<ImageSet> {
    let Ok(ImageSource::Folder(folder)) = name.parse() else { return open(name, image_size) };
    if classes.is_empty() {
        return open(name, image_size);
    }
    Ok(folder::list(&folder)?.with_classes(classes)?.load(image_size)?.0)
}

/// Reads images; what was read and what was left out or assumed is printed.
///
/// # Errors
/// An unknown name, files that cannot be read, and CIFAR-10 that cannot be fetched.
pub fn open(name: &str, image_size: u32) -> anyhow::Result<ImageSet> {
    let mut notes = Vec::new();
    let source = name.parse::<ImageSource>()?;
    fetch_missing(&source)?;
    let set = source.open(image_size, &mut notes)?;
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    if let empty @ [first, ..] = set.empty_classes().as_slice() {
        eprintln!("note: {} of {} classes have no images, such as {first}", empty.len(), set.classes.len());
    }
    Ok(set)
}

/// Reads samples of a network. Floats whose values do not tell their range, as of a network that is
/// hardly trained, are taken to be nominally in [-1, 1], as networks draw them.
///
/// # Errors
/// As [`open`].
pub fn open_samples(name: &str, image_size: u32) -> anyhow::Result<ImageSet> {
    let source = name.parse::<ImageSource>()?;
    if let Err(DataError::UnknownRange { least, .. }) = source.open(image_size, &mut Vec::new())
        && least < -0.5
        && let Some(ranged) = nominal(&source)
        && ranged.open(image_size, &mut Vec::new()).is_ok()
    {
        let advice = "for other values of black and white, add :range=LOW..HIGH";
        eprintln!("note: {name}: read as samples of a network, with -1..1 as black..white; {advice}");
        return open(&ranged.to_string(), image_size);
    }
    open(name, image_size)
}

/// The images of a name for an evaluation. Those of a folder keep their sizes unless one is given.
///
/// # Errors
/// As [`open`].
pub fn images(name: &str, image_size: Option<u32>) -> anyhow::Result<Images> {
    of_folder(name, image_size).unwrap_or_else(|| Ok(Images::of_set(name, open(name, image_size.unwrap_or(0))?)))
}

/// As [`images`], for samples of a network.
///
/// # Errors
/// As [`open`].
pub fn sampled_images(name: &str, image_size: Option<u32>) -> anyhow::Result<Images> {
    of_folder(name, image_size)
        .unwrap_or_else(|| Ok(Images::of_set(name, open_samples(name, image_size.unwrap_or(0))?)))
}

/// The images of a folder, if the name is one and no size is given.
fn of_folder(name: &str, image_size: Option<u32>) -> Option<anyhow::Result<Images>> {
    let folder = name.strip_prefix("folder:").filter(|_| image_size.is_none())?;
    Some(Images::of_folder(name, Path::new(folder)))
}

/// An array without a range, with that of networks.
fn nominal(source: &ImageSource) -> Option<ImageSource> {
    match source {
        ImageSource::Npy { images, range: None, labels } => {
            let range = Some(ValueRange::new(-1.0, 1.0)?);
            Some(ImageSource::Npy { images: images.clone(), range, labels: labels.clone() })
        }
        ImageSource::Resized { origin, size } => {
            Some(ImageSource::Resized { origin: Box::new(nominal(origin)?), size: *size })
        }
        _ => None,
    }
}

/// Refuses data that would have to be fetched, for a plan that is only printed.
///
/// # Errors
/// CIFAR-10 that is missing in its default directory.
pub fn ensure_present(name: &str) -> anyhow::Result<()> {
    ensure!(
        missing(&name.parse()?).is_none(),
        "CIFAR-10 is not in {CIFAR10}, and --dry-run fetches nothing; run cargo xtask fetch-cifar10, or give --data digits"
    );
    Ok(())
}

/// The default directory of CIFAR-10, if that is the source and its files are missing.
fn missing(source: &ImageSource) -> Option<&Path> {
    let ImageSource::Cifar10 { folder, split } = source.origin() else { return None };
    (folder == Path::new(CIFAR10) && !cifar10::is_present(folder, *split)).then_some(folder.as_path())
}

/// Fetches CIFAR-10 if it is missing in its default directory. Another directory is the user's.
///
/// # Errors
/// No network, a full disk, and files with other hashes.
fn fetch_missing(source: &ImageSource) -> anyhow::Result<()> {
    let Some(folder) = missing(source) else { return Ok(()) };
    eprintln!("note: CIFAR-10 is not in {CIFAR10}; fetching 170 MB");
    let url = std::env::var("FM_CIFAR10_URL").unwrap_or_else(|_| URL.into());
    let fetched = Request { from: "auto", url: &url, out: folder, remedy: WITHOUT_NETWORK }
        .run(&mut |line| eprintln!("{line}"))?;
    if let Outcome::Fetched(from) = fetched {
        eprintln!("note: CIFAR-10 from {from}: 60,000 images in {CIFAR10}, all six hashes match");
    }
    Ok(())
}

/// Remedies of a fetch that fails.
const WITHOUT_NETWORK: &str = "connect to the network, give its unpacked batches as --data cifar10:DIR, or train on the \
                               embedded digits: --preset quickstart";

/// The largest size that a folder's images keep unless another is given.
pub const LARGEST_OWN_SIZE: u32 = 256;

/// The size of a folder's images, which replaces a preset's that belongs to other data; `None` if
/// the name is not that of a folder.
///
/// # Errors
/// Images of different sizes, or larger ones than networks usually take.
pub fn own_size(name: &str) -> anyhow::Result<Option<u32>> {
    let Ok(ImageSource::Folder(folder)) = name.parse() else { return Ok(None) };
    let sizes = folder::list(&folder)?.sizes()?;
    match sizes.square() {
        Some(side) if side <= LARGEST_OWN_SIZE => Ok(Some(side)),
        _ => bail!("at which size should {name} be read? The folder has {sizes}; give --image-size PIXELS"),
    }
}

/// The name of images at the size of a flag; images of a folder are read at any size.
pub fn at_size(name: &str, size: Option<u32>) -> String {
    match (name.parse::<ImageSource>(), size) {
        (Err(_) | Ok(ImageSource::Folder(_)), _) | (_, None) => name.to_owned(),
        (Ok(source), Some(size)) => format!("{}@{size}", source.origin()),
    }
}

/// The source with this name, for images of `dim` values; it can be another data set of images,
/// read at `image_size`. The name of a source that needs the deviation of the data gets it.
///
/// # Errors
/// As [`sources::open`].
pub fn open_source(
    name: &mut String,
    image_size: u32,
    dim: usize,
    deviation: impl FnOnce() -> f64,
) -> anyhow::Result<Source> {
    sources::open(name, dim, deviation, |name| Ok(matrix(&open(name, image_size)?)))
}

/// An image set without images, with the shape, pixel range and classes of a model's data.
pub fn without_images(data: &DataMeta, shape: &[i64]) -> ImageSet {
    let side = |i: usize| shape.get(i).copied().unwrap_or(1) as usize;
    ImageSet {
        shape: [side(0), side(1), side(2)],
        levels: data.levels,
        pixels: Vec::new(),
        labels: Vec::new(),
        classes: data.classes.clone(),
    }
}

/// Every image as a row of normalised values.
pub fn matrix(set: &ImageSet) -> Array2<f32> {
    let mut rows = Array2::zeros((set.len(), set.dim()));
    for (i, mut row) in rows.outer_iter_mut().enumerate() {
        if let Some(row) = row.as_slice_mut() {
            set.write_normalised(i, false, row);
        }
    }
    rows
}

/// The standard deviation of all normalised values, computed without a copy of them.
pub fn deviation(set: &ImageSet) -> f64 {
    let scale = 2.0 / f64::from(set.levels.max(1));
    scale * fm_core::source::deviation(set.pixels.iter().map(|p| f64::from(*p)))
}
