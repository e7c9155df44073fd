//! Numbers about samples, without libtorch.
//!
//! | module | question |
//! |---|---|
//! | [`nearest`] | do samples belong to the class that was asked for, and are they copies of training data? |
//! | [`palette`] | what does a palette of a few colours lose? |
//! | [`energy`], [`sliced`], [`mmd`] | how far apart are two distributions, from samples of both? |
//! | [`columns`] | do the columns of a table have the means and variances that they should? |
//! | [`two_sample`] | can a classifier tell samples from real rows? |
//! | [`frechet`], [`kid`] | how far apart are two sets of features, as Gaussians and by a kernel? |
//! | [`manifold`] | precision and recall, density and coverage: are samples realistic, and do they reach everywhere? |
//! | [`inception_score`] | does a classifier find samples clear and varied? |
//! | [`moments`], [`statistics`] | means and covariances from a stream of features, and as `.npz` |
//! | [`estimate`] | how sure is a number? |
//! | [`resize`] | Pillow's bicubic resampling, to the last bit |
//!
//! Features come from outside: of images, `fm-models` has the networks that make them.
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
pub mod columns;
pub mod energy;
pub mod estimate;
pub mod frechet;
pub mod inception_score;
pub mod kid;
pub mod manifold;
pub mod mmd;
pub mod moments;
pub mod nearest;
mod pairs;
pub mod palette;
pub mod resize;
pub mod sliced;
pub mod statistics;
pub mod two_sample;

use std::path::PathBuf;

/// Sample sets that cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// The sets live in different spaces.
    #[error("samples have {left} dimensions and the reference {right}; compare like with like")]
    Dimension {
        /// Dimensions of the samples.
        left: usize,
        /// Dimensions of the reference.
        right: usize,
    },
    /// Too few points to say anything.
    #[error("{what} needs at least {least} points, got {got}; draw more")]
    TooFew {
        /// The quantity asked for.
        what: &'static str,
        /// Points it needs.
        least: usize,
        /// Points given.
        got: usize,
    },
    /// A covariance that cannot have full rank.
    #[error(
        "a covariance of {dimensions} features needs more than {dimensions} samples, got {got}; draw more, or take KID, which does without"
    )]
    Rank {
        /// Features.
        dimensions: usize,
        /// Samples given.
        got: usize,
    },
    /// A value that no distance can be taken to.
    #[error(
        "row {row}, column {column} (from 0) is {value}; the samples, or the network that made features of them, are broken"
    )]
    NotFinite {
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// It.
        value: f32,
    },
    /// Eigenvalues that were not found.
    #[error(
        "the eigenvalues of a covariance of {dimensions} features did not converge; look for features of absurd size"
    )]
    Eigenvalues {
        /// Features.
        dimensions: usize,
    },
    /// A file of statistics that cannot be used.
    #[error("{}: {problem}; give what `numpy.savez` wrote with a vector mu (d) and a matrix sigma (d, d), as pytorch-fid does", path.display())]
    Statistics {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A kernel without a width.
    #[error("a kernel's bandwidth is {value}; give one above 0, since points that all coincide have none of their own")]
    Bandwidth {
        /// What it is.
        value: String,
    },
}
