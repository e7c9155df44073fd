//! Minibatch optimal transport for flow matching, without libtorch.
//!
//! Pairing each noise row with the data row that is cheapest *overall* straightens the paths that a model has to learn
//! (Tong et al. 2024; Pooladian et al. 2023). Everything here is a plain function over arrays:
//!
//! | module | idea |
//! |---|---|
//! | [`cost`] | the matrix of squared Euclidean distances |
//! | [`assignment`] | the exact optimum for uniform marginals: a permutation |
//! | [`mod@sinkhorn`] | the entropic optimum, a plan |
//! | [`coupling`] | cost and plan together, as a training loop takes them |
//!
//! ```
//! use fm_ot::{assignment::assign, cost::squared_euclidean};
//! use ndarray::array;
//! let targets = array![[0.0f32, 0.0], [10.0, 0.0]];
//! let sources = array![[9.0f32, 1.0], [1.0, 0.0]];
//! let plan = assign(squared_euclidean(targets.view(), sources.view())?.view())?;
//! assert_eq!(plan.columns, [1, 0]); // target 0 takes source 1, target 1 takes source 0
//! assert_eq!(plan.cost, 1.0 + 2.0);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

pub mod assignment;
pub mod cost;
pub mod coupling;
pub mod sinkhorn;

/// A transport problem that cannot be solved as posed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OtError {
    /// Nothing to transport.
    #[error("the cost matrix is empty; give at least one row and one column")]
    Empty,
    /// A regularisation that is none.
    #[error("the entropic regularisation must be a finite number above 0, got {epsilon}")]
    Epsilon {
        /// The value given.
        epsilon: f64,
    },
    /// The two point sets live in different spaces.
    #[error("points have {left} dimensions on one side and {right} on the other; give both the same dimension")]
    Dimension {
        /// Dimensions of the first set.
        left: usize,
        /// Dimensions of the second set.
        right: usize,
    },
    /// An assignment needs as many rows as columns.
    #[error("the cost matrix is {rows} x {columns}; an assignment with uniform marginals needs a square one")]
    NotSquare {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// NaN or infinity in the cost.
    #[error(
        "the transport cost is not finite at row {row}, column {column}; look for NaN, infinite or huge values in the data"
    )]
    NotFinite {
        /// Row of the first offending entry.
        row: usize,
        /// Its column.
        column: usize,
    },
}
