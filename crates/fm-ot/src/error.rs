//! What can be wrong with a transport problem.

/// A transport problem that cannot be solved as posed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OtError {
    /// Nothing to transport.
    #[error("the cost matrix is empty; give at least one row and one column")]
    Empty,
    /// A tensor that holds no matrix.
    #[error("the tensor has {dimensions} dimensions; a cost matrix has 2, a batch of points at least 1")]
    NotAMatrix {
        /// Its dimensions.
        dimensions: usize,
    },
    /// A regularisation that is none.
    #[error("the entropic regularisation must be a finite number above 0, got {epsilon}")]
    Epsilon {
        /// The value given.
        epsilon: f64,
    },
    /// A marginal penalty that is none.
    #[error("the strength of the marginal penalty, reg_m, must be a finite number above 0, got {reg_m}")]
    Strength {
        /// The value given.
        reg_m: f64,
    },
    /// A mass that no plan between probability measures has.
    #[error("the mass to transport is a share above 0 and at most 1, got {mass}")]
    Mass {
        /// The value given.
        mass: f64,
    },
    /// A point without mass.
    #[error(
        "the mass of {side} {index} is {mass}; every point needs a finite mass above 0: drop the point, or fix its weight"
    )]
    Marginal {
        /// Row or column.
        side: &'static str,
        /// Its index.
        index: usize,
        /// Its mass.
        mass: f64,
    },
    /// Masses that do not belong to the cost matrix.
    #[error("there are {masses} {side} masses for {points} {side}s of the cost matrix; give one each")]
    Masses {
        /// Row or column.
        side: &'static str,
        /// Masses given.
        masses: usize,
        /// Rows or columns of the cost.
        points: usize,
    },
    /// Conditions that do not belong to the cost matrix.
    #[error(
        "there are {conditions} conditions for a cost matrix of {rows} x {columns}; give one to each row, and its own column"
    )]
    Conditions {
        /// Conditions given.
        conditions: usize,
        /// Rows of the cost.
        rows: usize,
        /// Columns of the cost.
        columns: usize,
    },
    /// An iteration that ended above its tolerance.
    #[error(
        "the plan has an L1 error of {error:.3e} after {iterations} iterations, above the tolerance of {tolerance:e}; \
         allow more iterations, or choose a larger epsilon or tolerance"
    )]
    NotConverged {
        /// Iterations made.
        iterations: usize,
        /// The error reached.
        error: f64,
        /// The error asked for.
        tolerance: f64,
    },
    /// The two point sets live in different spaces.
    #[error("points have {left} dimensions on one side and {right} on the other; give both the same dimension")]
    Dimension {
        /// Dimensions of the first set.
        left: usize,
        /// Dimensions of the second set.
        right: usize,
    },
    /// An assignment gives each row a column of its own.
    #[error("the cost matrix is {rows} x {columns}: each row needs a column of its own; give its transpose")]
    MoreRows {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// Costs whose sum is no longer a number.
    #[error("the costs are so large that their sum is infinite; scale the data down")]
    TooLarge,
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
