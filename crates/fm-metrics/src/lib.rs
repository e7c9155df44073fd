//! Metrics of samples, without libtorch.
//!
//! | module | question |
//! |---|---|
//! | [`nearest`] | are samples of the requested class, and are they copies of training data? |
//! | [`palette`] | what is the error of a palette of a few colours? |
//! | [`energy`], [`sliced`], [`mmd`] | how far apart are two distributions, from samples of both? |
//! | [`columns`] | do the columns of a table have the right means and variances? |
//! | [`series`] | do sequences have the right autocorrelation and spectrum? |
//! | [`two_sample`] | can a classifier distinguish samples from real rows? |
//! | [`frechet`], [`kid`] | how far apart are two sets of features, as Gaussians and by a kernel? |
//! | [`manifold`] | precision and recall, density and coverage: are samples realistic, and do they cover the data? |
//! | [`inception_score`] | does a classifier find samples clear and varied? |
//! | [`moments`], [`statistics`] | means and covariances of a stream of features, and as `.npz` |
//! | [`estimate`] | what is the standard error of a number? |
//! | [`space`] | are two sets of one shape and one range of values? |
//! | [`evaluation`] | a list of metrics on samples and a reference, as one report |
//! | [`resize`] | bicubic resampling, bit-identical to Pillow |
//!
//! Features are computed elsewhere: `fm-models` contains the feature networks for images.
//!
//! Points are f32, f64 or bytes ([`Scalar`]), and every sum is f64. Every metric rejects samples
//! that contain NaN, infinity, or a value above 1e48 in magnitude: [`MetricError::NotFinite`] names
//! the first such row and column.
//!
//! ```
//! use fm_metrics::nearest::nearest;
//! use ndarray::array;
//! let hits = nearest(array![[0.9f32, 0.0]].view(), array![[0.0f32, 0.0], [1.0, 0.0]].view())?;
//! assert_eq!(hits[0].index, 1);
//! assert!((hits[0].distance - 0.1).abs() < 1e-6);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

mod blocks;
mod checks;
pub mod columns;
mod distances;
pub mod energy;
pub mod estimate;
pub mod evaluation;
pub mod frechet;
pub mod inception_score;
pub mod kid;
pub mod manifold;
pub mod mmd;
pub mod moments;
pub mod nearest;
pub mod palette;
mod points;
pub mod resize;
pub mod series;
pub mod sliced;
pub mod space;
pub mod statistics;
pub mod two_sample;

pub use ndarray;
pub use points::{Real, Scalar};

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// Sets of different dimensions.
    #[error(
        "cannot compare samples of {left} dimensions with a reference of {right}: a distance needs one space; give both the same"
    )]
    Dimension {
        /// Dimensions of the samples.
        left: usize,
        /// Dimensions of the reference.
        right: usize,
    },
    /// Points without dimensions.
    #[error("cannot use the {set}: its rows have no columns; give at least one dimension")]
    NoColumns {
        /// The set: samples, reference.
        set: &'static str,
    },
    /// Too few points for a metric.
    #[error("cannot compute {what}: it needs at least {least} points, got {got} {set}; give more {set}")]
    TooFew {
        /// The requested quantity.
        what: &'static str,
        /// The set that has too few: samples, reference rows.
        set: &'static str,
        /// Required points.
        least: usize,
        /// Given points.
        got: usize,
    },
    /// A number outside its range.
    #[error("cannot take {got} as {what}: it must be at least {least} and at most {most}; give another number")]
    Count {
        /// The quantity.
        what: &'static str,
        /// Least number.
        least: usize,
        /// Largest number.
        most: usize,
        /// Number given.
        got: usize,
    },
    /// A number of labels that does not match the number of rows.
    #[error("cannot match {labels} labels to {rows} rows of the {set}: each row has one class; give one label per row")]
    Labels {
        /// The set: samples, reference.
        set: &'static str,
        /// Labels given.
        labels: usize,
        /// Rows given.
        rows: usize,
    },
    /// A matrix too large to allocate.
    #[error(
        "cannot allocate a matrix of {rows} x {columns}: it needs {:.1} GiB, and the limit is {:.1} GiB, or what memory is \
         free; take fewer rows or fewer dimensions", checks::gibibytes(*rows, *columns), checks::gibibytes(1, checks::MOST_BYTES / 8)
    )]
    Memory {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// A covariance that cannot have full rank.
    #[error(
        "cannot estimate a covariance: {dimensions} features needs more than {dimensions} samples, got {got}; give more, or take \
         KID, which needs two"
    )]
    Rank {
        /// Number of features.
        dimensions: usize,
        /// Number of samples.
        got: usize,
    },
    /// A mean and a covariance that do not form a Gaussian.
    #[error(
        "cannot use a Gaussian: {}; give a finite mean (d) and a covariance (d, d), d at least 1",
        checks::brief(problem, 160)
    )]
    Gaussian {
        /// What is wrong.
        problem: String,
    },
    /// A value that is not finite or too large.
    #[error(
        "cannot use the {set}: row {row}, column {column} (from 0) is {value:?}; fix the rows, or the network that computed them"
    )]
    NotFinite {
        /// The set: samples, reference.
        set: &'static str,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// An eigenvalue computation that failed.
    #[error(
        "cannot find the eigenvalues of a covariance of {dimensions} features: the iteration did not converge; look for \
         features of absurd size"
    )]
    Eigenvalues {
        /// Number of features.
        dimensions: usize,
    },
    /// An invalid file of statistics.
    #[error(
        "cannot read {}: {}; give a file that `numpy.savez` wrote with a vector mu (d) and a matrix sigma (d, d)",
        checks::brief_path(path, 100),
        checks::brief(problem, 100)
    )]
    Statistics {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A kernel with an invalid bandwidth.
    #[error(
        "cannot use a kernel of bandwidth {value:?}: it must be between 1e-150 and 1e150; give another, or leave the metric \
         out where most rows coincide"
    )]
    Bandwidth {
        /// The bandwidth.
        value: f64,
    },
    /// Rows whose median distance gives no bandwidth.
    #[error(
        "cannot choose a bandwidth: the median distance between rows is 0, because at least half of their pairs coincide; give \
         a bandwidth above 0, or leave the metric out"
    )]
    NoSpread,
    /// A metric whose number is undefined on these rows.
    #[error(
        "cannot report {}: its value is {value} on these rows; leave it out, or give other rows",
        checks::brief(name, 100)
    )]
    Undefined {
        /// The number.
        name: String,
        /// NaN or infinity.
        value: f64,
    },
    /// Rows whose values mean different things.
    #[error(
        "cannot compare {} with {}: a distance needs one shape and one range of values; convert one of the sets",
        checks::brief(left, 100),
        checks::brief(right, 100)
    )]
    Space {
        /// The space of the samples.
        left: String,
        /// The space of the reference.
        right: String,
    },
    /// A value outside the range that its space declares.
    #[error(
        "cannot use the {set} as {}: row {row}, column {column} (from 0) is {value:?}; declare the range that the values have, \
         or convert them",
        checks::brief(space, 100)
    )]
    Range {
        /// The set: samples, reference.
        set: &'static str,
        /// The declared space.
        space: String,
        /// Row of the first value outside.
        row: usize,
        /// Its column.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A space that cannot be.
    #[error(
        "cannot declare values of shape {} from {low:?} to {high:?}: sizes are 1 or more, with a product of at most 2^31, and \
         the ends finite, the lower one first; correct them",
        checks::brief(&fm_core::message::shape(shape), 60)
    )]
    NoSpace {
        /// The shape of a row.
        shape: Vec<usize>,
        /// The lower end of the range.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// An unsupported order of a Wasserstein distance.
    #[error("cannot compute a Wasserstein distance of order {p}: only 1 and 2 are offered; give one of them")]
    Order {
        /// The order.
        p: i32,
    },
    /// A direction that is not a unit vector.
    #[error("cannot project on direction {row}: its norm is {norm:?}, not 1; divide it by its norm")]
    Direction {
        /// Its row.
        row: usize,
        /// Its norm.
        norm: f64,
    },
    /// A custom metric that failed.
    #[error("cannot compute a metric: {}; see its definition", checks::brief(problem, 200))]
    Own {
        /// The error of the metric.
        problem: String,
    },
    /// An image whose number of values does not match its size.
    #[error(
        "cannot resize {values} values from {from:?} to {to:?}: the first size must have that many values, and both sizes a \
         height and a width of at least 1; give (height, width)"
    )]
    Size {
        /// Values given.
        values: usize,
        /// Given height and width.
        from: (usize, usize),
        /// The requested height and width.
        to: (usize, usize),
    },
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
