//! Errors of this crate.

use fm_core::message::number;

/// A transport problem that cannot be solved as posed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OtError {
    /// An empty problem.
    #[error("cannot solve an empty problem: there are no rows or no columns; give at least one of each")]
    Empty,
    /// A tensor that is not a matrix.
    #[error(
        "cannot read a tensor of {dimensions} dimensions: a cost matrix has 2, a batch of points at least 1; reshape it"
    )]
    NotAMatrix {
        /// Its dimensions.
        dimensions: usize,
    },
    /// A problem whose matrices exceed the [limit](crate::memory) or the memory of the machine.
    #[error(
        "cannot solve a problem of {rows} x {columns}: its matrices need {} and the limit is {}, or what memory is free; take fewer rows{}, or \
         raise the limit by fm_ot::memory::set_limit", size(*bytes), size(*limit), fitting(*rows, *columns, *bytes, *limit)
    )]
    Memory {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
        /// The bytes that the matrices of the call need together.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A regularisation so small beside the costs that f64 cannot resolve it.
    #[error(
        "cannot regularise costs of up to {largest:.1e} by an epsilon of {epsilon:?}: f64 cannot resolve a quotient above \
         1e9, and the marginals would be wrong; give an epsilon of at least {least:.1e}, or take the exact plan"
    )]
    Resolution {
        /// The epsilon given.
        epsilon: f64,
        /// The least epsilon for these costs, in the unit of the one given.
        least: f64,
        /// The largest cost.
        largest: f64,
    },
    /// A plan that is not what its solver promises.
    #[error(
        "cannot use the plan: its marginals are off by {off:.1e} of a mass of {mass:.1e} that further iterations cannot \
         mend; give a larger epsilon, or take the exact plan"
    )]
    Marginals {
        /// The L1 distance from the promised masses.
        off: f64,
        /// The promised mass.
        mass: f64,
    },
    /// A Schroedinger-bridge coupling for another path.
    #[error(
        "cannot use the schroedinger-bridge coupling with the path {path}: it takes sigma from its own path; choose path \
         schroedinger-bridge or another coupling"
    )]
    BridgePath {
        /// The path.
        path: String,
    },
    /// A condition-aware coupling for a model without classes.
    #[error(
        "cannot use the {coupling} coupling: it compares the classes of rows, and this model has none; choose another"
    )]
    NoClasses {
        /// The coupling.
        coupling: String,
    },
    /// An invalid regularisation.
    #[error(
        "cannot regularise the plan: epsilon must be a finite number above 0 and within a factor of 1e290 of 1 and of \
         the costs, got {epsilon:?}; 0.05 of the mean cost is the default"
    )]
    Epsilon {
        /// The value given.
        epsilon: f64,
    },
    /// An invalid marginal penalty.
    #[error(
        "cannot penalise the marginals: reg_m must be above 0 and at most 1e290, got {reg_m:?}; \
         larger values keep the marginals more strictly"
    )]
    Strength {
        /// The value given.
        reg_m: f64,
    },
    /// A mass outside (0, 1].
    #[error("cannot transport a mass of {mass:?}: it is a share of all mass; give a number above 0 and at most 1")]
    Mass {
        /// The value given.
        mass: f64,
    },
    /// An invalid tolerance.
    #[error("cannot stop at a tolerance of {tolerance:?}: it bounds an L1 error; give a finite number, 0 or above")]
    Tolerance {
        /// The value given.
        tolerance: f64,
    },
    /// An invalid condition weight.
    #[error(
        "cannot weigh conditions by {weight:?}: a weight is a finite number, 0 or above, whose product with the mean \
         cost is finite; give 0 to ignore conditions"
    )]
    Weight {
        /// The value given.
        weight: f64,
    },
    /// A point without mass.
    #[error(
        "cannot use a mass of {mass:?} for {side} {index}: every point needs a finite mass above 0, and above 1e-300 of \
         the largest; drop the point, or change its mass"
    )]
    Marginal {
        /// Row or column.
        side: &'static str,
        /// Its index.
        index: usize,
        /// Its mass.
        mass: f64,
    },
    /// A number of masses that does not match the cost matrix.
    #[error("cannot use {masses} {side} masses: the cost matrix has {points} {side}s; give one mass to each")]
    Masses {
        /// Row or column.
        side: &'static str,
        /// Masses given.
        masses: usize,
        /// Rows or columns of the cost.
        points: usize,
    },
    /// A number of potentials that does not match the plan.
    #[error("cannot use {potentials} {side} potentials: the plan has {points} {side}s; give the plan as it was found")]
    Potentials {
        /// Row or column.
        side: &'static str,
        /// Potentials of the plan.
        potentials: usize,
        /// Rows or columns of the plan.
        points: usize,
    },
    /// A number of conditions that does not match the cost matrix.
    #[error(
        "cannot add {conditions} conditions to a cost matrix of {rows} x {columns}: row i and column i share condition i; \
         give one per row of a square matrix"
    )]
    Conditions {
        /// Conditions given.
        conditions: usize,
        /// Rows of the cost.
        rows: usize,
        /// Columns of the cost.
        columns: usize,
    },
    /// NaN or infinity in a condition.
    #[error("cannot compare conditions: the value at row {row}, column {column} is not finite; fix or drop the row")]
    Condition {
        /// Row of the first offending value.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// An iteration that ended above its tolerance.
    #[error(
        "cannot reach the tolerance of {tolerance:e}: the plan has an L1 error of {error:.3e} after {iterations} \
         iterations; allow more iterations, or choose a larger epsilon or tolerance"
    )]
    NotConverged {
        /// Iterations made.
        iterations: usize,
        /// The error reached.
        error: f64,
        /// The requested tolerance.
        tolerance: f64,
    },
    /// Two point sets of different dimensions.
    #[error("cannot compare points of {left} and of {right} dimensions: a cost needs one space; give both the same")]
    Dimension {
        /// Dimensions of the first set.
        left: usize,
        /// Dimensions of the second set.
        right: usize,
    },
    /// Source and target batches of different shapes.
    #[error(
        "cannot pair {x0:?} source values with {x1:?} target values: a batch has equal rows and dimensions on both sides; \
         give as many of each"
    )]
    Batch {
        /// Rows and dimensions of the source.
        x0: (usize, usize),
        /// Rows and dimensions of the target.
        x1: (usize, usize),
    },
    /// A coupling with a condition weight, and rows without conditions.
    #[error(
        "cannot weigh conditions: rows alone have none; give them to `couple`, or set the weight of conditions to 0"
    )]
    Unconditional,
    /// A cost that computes a matrix of a wrong shape.
    #[error("cannot use a cost matrix of {got:?}: the points need {expected:?}; correct the cost's `matrix`")]
    CostShape {
        /// Required rows and columns.
        expected: (usize, usize),
        /// Rows and columns of the computed matrix.
        got: (usize, usize),
    },
    /// More rows than columns.
    #[error(
        "cannot give each row a column of its own: the matrix is {rows} x {columns}; give its transpose, or fewer rows"
    )]
    MoreRows {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// Costs or masses whose sums would overflow.
    #[error("cannot add up the entries: one is above 1e278 in size; scale the data down")]
    TooLarge,
    /// NaN or infinity in the cost.
    #[error(
        "cannot solve the problem: the transport cost is not finite at row {row}, column {column}; look for NaN, infinite \
         or huge values in the data"
    )]
    NotFinite {
        /// Row of the first offending entry.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// A plan with an entry that is not a valid mass.
    #[error(
        "cannot use the plan: its entry at row {row}, column {column} is {mass:?}; masses are finite numbers, 0 or above"
    )]
    Plan {
        /// Row of the first offending entry.
        row: usize,
        /// Its column.
        column: usize,
        /// The entry.
        mass: f64,
    },
    /// A plan whose entries are all zero.
    #[error(
        "cannot take pairs from the plan: all of its entries are 0; give a plan with mass, or a larger reg_m if it is unbalanced"
    )]
    NoMass,
    /// A row of a plan without mass.
    #[error(
        "cannot draw a column for row {row}: the plan has no mass there; draw rows by their mass, or take a permutation"
    )]
    MasslessRow {
        /// The row.
        row: usize,
    },
    /// An option of a semidiscrete fit outside its domain.
    #[error("cannot fit potentials: {name} is {}; give {domain}", number(.value))]
    Fit {
        /// The option.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The values that are possible.
        domain: &'static str,
    },
    /// NaN or infinity in a data row.
    #[error("cannot pair noise with data row {row}: it has a value that is not finite; fix or drop the row")]
    DataRow {
        /// The first such row.
        row: usize,
    },
    /// Potentials that do not belong to the data rows.
    #[error(
        "cannot use {potentials} potentials for {rows} data rows: each row needs one finite potential; fit them to these rows"
    )]
    RowPotentials {
        /// Potentials given.
        potentials: usize,
        /// Data rows.
        rows: usize,
    },
    /// A number of classes that does not match the rows.
    #[error("cannot pair {rows} rows with {classes} class labels: each row needs one; give one label per row")]
    Labels {
        /// Classes given.
        classes: usize,
        /// Rows.
        rows: usize,
    },
    /// A noise row of a class without data rows.
    #[error("cannot pair a noise row of class {class}: no data row has this class; give a class of the data")]
    NoSuchClass {
        /// The class.
        class: i64,
    },
    /// A step of a fit that has made all its iterations.
    #[error("cannot continue the fit: all its iterations are made; take its potentials")]
    Complete,
    /// Data rows that were chosen outside a fit and do not fit it.
    #[error("cannot use chosen data rows: {problem}; choose one row of the fit's data for each noise row")]
    Chosen {
        /// What is wrong.
        problem: String,
    },
    /// Pairing of a batch with a coupling that needs the whole data set.
    #[error(
        "cannot pair the rows of a batch by the {coupling} coupling: it chooses among all rows of a data set; fit an fm_ot::Semidiscrete, or \
         choose another coupling"
    )]
    WholeData {
        /// The coupling.
        coupling: String,
    },
    /// A source that cannot be drawn from.
    #[error("cannot draw the noise of a fit: {problem}")]
    Noise {
        /// The error of the source.
        problem: String,
    },
    /// A row index outside the plan.
    #[error("cannot draw a column for row {row}: the plan has {rows} rows; count them from 0")]
    NoSuchRow {
        /// The requested row.
        row: usize,
        /// Rows of the plan.
        rows: usize,
    },
    /// A number of points that does not match the plan.
    #[error("cannot average {points} points: the plan has {columns} columns; give one point to each column")]
    Points {
        /// Points given.
        points: usize,
        /// Columns of the plan.
        columns: usize,
    },
    /// NaN or infinity in a point.
    #[error("cannot average the points: the value at row {row}, column {column} is not finite; fix or drop the row")]
    Point {
        /// Row of the first offending value.
        row: usize,
        /// Its column.
        column: usize,
    },
}

/// Bytes as text, in GiB if they are many.
fn size(bytes: u64) -> String {
    let giga = bytes as f64 / (1u64 << 30) as f64;
    if giga >= 0.1 { format!("{giga:.1} GiB") } else { format!("{bytes} bytes") }
}

/// The number of rows that would fit, for a square problem.
fn fitting(rows: usize, columns: usize, bytes: u64, limit: u64) -> String {
    if rows != columns || rows == 0 || bytes == u64::MAX {
        return String::new();
    }
    // A little less than the limit allows, because an exact plan adds a row and a column.
    let most = (limit.min(bytes) as f64 / bytes as f64).sqrt() * rows as f64;
    format!(" (up to {:.0} on each side)", (0.999 * most).floor())
}
