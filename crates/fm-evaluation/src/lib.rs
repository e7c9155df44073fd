//! Evaluation of images: features of samples and of real images, and metrics on them. Evaluation of
//! tables: distances between rows.
//!
//! | module | content |
//! |---|---|
//! | [`images`] | the images to measure, in memory or in files, read in batches |
//! | [`extract`] | features of a batch: pixels, ResNet-20, Inception |
//! | [`cache`], [`rows`] | a cache on disk, one checked row per image |
//! | [`features`] | features of many images, through the cache |
//! | [`metrics`] | the metrics by name, one file each |
//! | [`request`] | requested metrics, and the extractors that they use |
//! | [`reference`](mod@reference) | features and Gaussians of the real images |
//! | [`neighbours`] | nearest training images: class agreement, and copies |
//! | [`measured`], [`table`] | a number with its protocol; numbers as a table and as JSON |
//! | [`sweep`] | numbers over evaluations, scales or averages, as a table and as a plot |
//! | [`tables`] | distances between samples and real rows of a table |

pub mod cache;
pub mod extract;
pub mod features;
pub mod images;
pub mod measured;
pub mod metrics;
pub mod neighbours;
pub mod reference;
pub mod request;
pub mod rows;
pub mod sweep;
pub mod table;
pub mod tables;
