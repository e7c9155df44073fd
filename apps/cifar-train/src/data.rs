//! Opens the data set that `--data` names.

use anyhow::bail;
use fm_app::cli::nearest;
use fm_data::{ImageSet, cifar10, digits, folder};
use std::path::Path;

/// Where `cargo xtask fetch-cifar10` puts the batches.
const CIFAR10: &str = "data/cifar-10-batches-bin";

pub(crate) fn open(name: &str, image_size: u32) -> anyhow::Result<ImageSet> {
    let (kind, place) = name.split_once(':').map_or((name, None), |(kind, place)| (kind, Some(place)));
    Ok(match (kind, place) {
        ("digits", None) => digits::load(),
        ("cifar10", place) => cifar10::load(Path::new(place.unwrap_or(CIFAR10)), cifar10::Split::Train)?,
        ("folder", Some(place)) => folder::load(Path::new(place), image_size)?,
        ("folder", None) => bail!("--data folder needs a place: folder:DIR"),
        _ => {
            let hint = nearest(kind, ["digits", "cifar10", "folder"]).unwrap_or_default();
            bail!(
                "no data set is called '{name}'; did you mean '{hint}'? There are digits, cifar10, cifar10:DIR and folder:DIR"
            )
        }
    })
}
