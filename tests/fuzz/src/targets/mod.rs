//! The targets.

mod archives;
mod arrays;
mod choices;
mod cifar10;
mod images;
mod names;
mod sampler;
mod statistics;
mod tables;

#[cfg(feature = "tch")]
mod caches;
#[cfg(feature = "tch")]
mod checkpoints;
// The included files have tests, which need the rest of their programs.
#[cfg(all(feature = "tch", not(test)))]
mod configs;
#[cfg(feature = "tch")]
mod grids;
#[cfg(feature = "tch")]
mod logs;
#[cfg(feature = "tch")]
mod networks;
#[cfg(feature = "tch")]
mod pairs;
#[cfg(feature = "tch")]
mod potentials;
#[cfg(feature = "tch")]
mod weights;

use crate::target::Target;

/// All targets: one per format.
pub const TARGETS: &[Target] = &[
    images::PNG,
    images::JPEG,
    images::GIF,
    images::WEBP,
    images::BMP,
    images::TIFF,
    images::PNM,
    arrays::NPY,
    arrays::NPZ,
    arrays::PACKED,
    arrays::LABELS,
    tables::TABLE,
    tables::OPTIONS,
    tables::GZIP,
    tables::COLUMNS,
    cifar10::RECORDS,
    cifar10::ARCHIVE,
    cifar10::PACKAGE,
    statistics::STATISTICS,
    archives::WHEEL,
    archives::LIBTORCH,
    names::NAMES,
    names::READING,
    choices::CHOICES,
    sampler::SAMPLER,
    #[cfg(feature = "tch")]
    weights::ZIP,
    #[cfg(feature = "tch")]
    weights::LEGACY,
    #[cfg(feature = "tch")]
    weights::SAFETENSORS,
    #[cfg(feature = "tch")]
    weights::HEADER,
    #[cfg(feature = "tch")]
    weights::SHARDS,
    #[cfg(feature = "tch")]
    weights::DESCRIPTION,
    #[cfg(feature = "tch")]
    weights::INCEPTION,
    #[cfg(feature = "tch")]
    networks::NETWORK,
    #[cfg(feature = "tch")]
    networks::ENCODER,
    #[cfg(feature = "tch")]
    networks::DEVICE,
    #[cfg(feature = "tch")]
    checkpoints::META,
    #[cfg(feature = "tch")]
    checkpoints::TENSORS,
    #[cfg(feature = "tch")]
    grids::GRID,
    #[cfg(feature = "tch")]
    logs::LOG,
    #[cfg(feature = "tch")]
    pairs::INDEX,
    #[cfg(feature = "tch")]
    pairs::SHARD,
    #[cfg(feature = "tch")]
    potentials::POTENTIALS,
    #[cfg(all(feature = "tch", not(test)))]
    configs::IMAGES,
    #[cfg(all(feature = "tch", not(test)))]
    configs::TABLES,
    #[cfg(all(feature = "tch", not(test)))]
    configs::ENCODERS,
    #[cfg(all(feature = "tch", not(test)))]
    configs::SAVED,
    #[cfg(feature = "tch")]
    caches::ROWS,
];
