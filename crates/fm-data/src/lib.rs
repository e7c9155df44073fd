//! Data sets, without libtorch.
//!
//! | module | data |
//! |---|---|
//! | [`digits`] | 1797 real handwritten 8x8 digits, embedded |
//! | [`cifar10`] | CIFAR-10 in its binary layout |
//! | `folder` | a folder of images, one sub-folder per class (feature `images`, on by default) |
//! | [`images`] | the image set type of the three modules above |
//! | [`augment`] | random crops, rotations and translations of images |
//! | [`points`] | toy distributions with parameters |
//! | [`table`] | tables with named columns and classes: embedded ones, and text files |
//! | [`series`] | windows of a time series, as sequences |
//! | [`columns`] | centring and scaling of the columns of a table, and its inverse |
//! | [`named`] | any of these data sets by name |
//! | [`npy`] | arrays, images and tables from NumPy files |
//!
//! Image sets and scaled tables implement [`Dataset`](fm_core::data::Dataset), the only trait that
//! training requires of data. Readers return their assumptions about a file as notes, one line
//! each, for a program to print.
//!
//! ```
//! let digits = fm_data::digits::load();
//! assert_eq!((digits.len(), digits.shape()), (1797, [1, 8, 8]));
//! assert_eq!(digits.labels[..4], [0, 1, 2, 3]);
//! ```

pub mod augment;
pub mod cifar10;
pub mod columns;
pub mod digits;
pub mod error;
#[cfg(feature = "images")]
pub mod folder;
mod foreign;
pub mod images;
mod input;
pub mod named;
pub mod npy;
pub mod points;
mod preprocess;
mod quantiles;
mod scaling;
pub mod series;
pub mod table;

pub use columns::Columns;
pub use error::DataError;
pub use images::ImageSet;
pub use named::{ImageSource, TableSource};
pub use preprocess::Preprocess;
pub use table::Table;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
