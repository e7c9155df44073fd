//! Numbers about samples, without libtorch.
//!
//! | module | question |
//! |---|---|
//! | [`nearest`] | do samples belong to the class that was asked for, and are they copies of training data? |
//! | [`palette`] | what does a palette of a few colours lose? |
//! | [`energy`], [`sliced`], [`mmd`] | how far apart are two distributions, from samples of both? |
//! | [`columns`] | do the columns of a table have the means and variances that they should? |
//! | [`two_sample`] | can a classifier tell samples from real rows? |
//!
//! ```
//! use fm_metrics::nearest::nearest;
//! use ndarray::array;
//! let hits = nearest(array![[0.9f32, 0.0]].view(), array![[0.0f32, 0.0], [1.0, 0.0]].view())?;
//! assert_eq!(hits[0].index, 1);
//! assert!((hits[0].distance - 0.1).abs() < 1e-6);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

pub mod columns;
pub mod energy;
pub mod mmd;
pub mod nearest;
mod pairs;
pub mod palette;
pub mod sliced;
pub mod two_sample;

/// Sample sets that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// A kernel without a width.
    #[error("a kernel's bandwidth is {value}; give one above 0, since points that all coincide have none of their own")]
    Bandwidth {
        /// What it is.
        value: String,
    },
}
