//! States: the values that solvers integrate ([`OdeState`], [`RowState`]) and that paths combine
//! ([`RowCombination`]).
//!
//! ```
//! use fm_core::state::{OdeState, Tolerance};
//! let (x, k) = (vec![1.0, 2.0], vec![10.0, -10.0]);
//! assert_eq!(Vec::linear_combination(&[(1.0, &x), (0.1, &k)]), [2.0, 1.0]);
//! // An error of exactly the tolerance has norm 1.
//! assert!((Vec::error_norm(&vec![1e-3, -1e-3], &x, &x, &Tolerance::new(0.0, 1e-3)) - 1.0).abs() < 1e-12);
//! // Each dimension may have its own tolerance.
//! assert!((Vec::error_norm(&vec![1e-3, -2.0], &x, &x, &Tolerance::new(0.0, vec![1e-3, 2.0])) - 1.0).abs() < 1e-12);
//! ```

mod arrays;
mod tolerance;

pub use tolerance::{Bound, Tolerance};

/// A value with a shape. Solvers and paths compare shapes before they combine states.
pub trait Shaped {
    /// The sizes of all axes, the batch axis first; empty for a single number.
    ///
    /// ```
    /// use fm_core::state::Shaped;
    /// assert_eq!((Shaped::shape(&vec![1.0, 2.0]), Shaped::shape(&1.0)), (vec![2], vec![]));
    /// ```
    fn shape(&self) -> Vec<usize>;

    /// Whether two values have the same shape. An implementation may avoid allocating the two
    /// shapes.
    fn same_shape(&self, other: &Self) -> bool {
        self.shape() == other.shape()
    }
}

/// The operations on states that a solver needs.
pub trait OdeState: Sized + Shaped {
    /// sum_i c_i s_i over at least one term; all states have the same shape.
    ///
    /// # Panics
    /// When a term's shape differs from the first term's.
    fn linear_combination(terms: &[(f64, &Self)]) -> Self;

    /// sqrt(mean((e / (atol + rtol max(|before|, |after|)))^2)): at most 1 for an acceptable step;
    /// 0 / 0 counts as 0. NaN if an error is NaN, and infinite if dividing an error by its
    /// tolerance overflows.
    ///
    /// Source: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", eq. II.4.11.
    ///
    /// # Panics
    /// When the three states have different shapes.
    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64;

    /// Overwrites `self` with the [`linear_combination`](Self::linear_combination) of the terms,
    /// reusing its memory.
    ///
    /// # Panics
    /// When a term's shape differs from the first term's.
    fn assign_combination(&mut self, terms: &[(f64, &Self)]) {
        *self = Self::linear_combination(terms);
    }

    /// The number of values that per-dimension tolerances must have; `None` if it is unknown.
    fn dimension(&self) -> Option<usize> {
        None
    }

    /// Runs a whole solve without recording gradients, for states that would record them (tensors).
    #[doc(alias = "no_grad")]
    fn untracked<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
}

/// A batch whose rows can be combined: the operations that paths, predictions and targets need of
/// arrays and tensors.
pub trait RowCombination: Sized + Shaped {
    /// The number of rows; 0 for a value without axes.
    fn rows(&self) -> usize {
        self.shape().first().copied().unwrap_or(0)
    }

    /// Row i of the result is sum_k c_k\[i\] s_k\[i\], over at least one term; all batches have the
    /// same shape, and all coefficients have one value per row.
    ///
    /// ```
    /// use fm_core::state::RowCombination;
    /// use ndarray::{Array2, array};
    /// let (x, y) = (array![[1.0, 2.0], [3.0, 4.0]], array![[10.0, 10.0], [10.0, 10.0]]);
    /// let z = Array2::row_combination(&[(&[1.0, 2.0], &x), (&[0.0, 0.1], &y)]);
    /// assert_eq!(z, array![[1.0, 2.0], [7.0, 9.0]]);
    /// ```
    ///
    /// # Panics
    /// When a term's shape differs from the first term's, or its number of coefficients is not the
    /// number of rows.
    fn row_combination(terms: &[(&[f64], &Self)]) -> Self;

    /// Overwrites `self` with the [`row_combination`](Self::row_combination) of the terms, reusing
    /// its memory.
    ///
    /// # Panics
    /// As [`row_combination`](Self::row_combination).
    fn assign_row_combination(&mut self, terms: &[(&[f64], &Self)]) {
        *self = Self::row_combination(terms);
    }
}

/// A batch, row by row: the operations that a solver with a step size per row needs beyond
/// [`RowCombination`].
pub trait RowState: RowCombination {
    /// [`OdeState::error_norm`] of each row.
    ///
    /// # Panics
    /// When the three states have different shapes.
    fn row_error_norms(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> Vec<f64>;

    /// The batch of the given rows, in this order.
    ///
    /// # Panics
    /// When a number in `rows` is not below [`rows`](RowCombination::rows), or the value has no
    /// axes.
    fn select_rows(&self, rows: &[usize]) -> Self;

    /// Row `rows[i]` becomes row i of `from`; the indices are distinct.
    ///
    /// # Panics
    /// When a number in `rows` is not below [`rows`](RowCombination::rows), or `from` has rows of
    /// another shape.
    fn put_rows(&mut self, rows: &[usize], from: &Self);
}

/// Sums over the values of each row, in f64: what guidance needs beyond [`RowCombination`]. Of
/// tensors they are read from the device.
///
/// ```
/// use fm_core::state::RowProducts;
/// let (x, y) = (ndarray::array![[1.0, 3.0], [2.0, 2.0]], ndarray::array![[1.0, 1.0], [0.5, 0.0]]);
/// assert_eq!((x.row_products(&y), x.row_variances()), (vec![4.0, 1.0], vec![2.0, 0.0]));
/// ```
pub trait RowProducts: RowCombination {
    /// The inner product of each row with the same row of `other`.
    ///
    /// # Panics
    /// When the shapes differ.
    #[doc(alias = "vecdot")]
    fn row_products(&self, other: &Self) -> Vec<f64>;

    /// The variance of the values of each row, with n - 1 in the denominator; NaN for rows of fewer
    /// than two values.
    fn row_variances(&self) -> Vec<f64>;
}

/// Panics unless term `k` of a combination has the first term's shape.
#[inline]
pub(crate) fn demand_shape<S: Shaped>(k: usize, first: &S, term: &S) {
    if !term.same_shape(first) {
        refuse_shape(k, first, term);
    }
}

/// The panic, in a cold function so that steps of a few nanoseconds stay fast.
#[cold]
#[inline(never)]
fn refuse_shape<S: Shaped>(k: usize, first: &S, term: &S) {
    assert!(
        term.same_shape(first),
        "term {k} has shape {}, the first {}",
        crate::message::shape(&term.shape()),
        crate::message::shape(&first.shape())
    );
}

/// The panic for a term whose shape differs from the first term's.
#[cold]
#[inline(never)]
pub(crate) fn refuse_term<S: Shaped>(first: &S, rest: &[(f64, &S)]) {
    rest.iter().enumerate().for_each(|(k, (_, term))| demand_shape(k + 1, first, *term));
}

/// Panics unless an error has the shape of the states before and after its step.
pub(crate) fn demand_shapes<S: Shaped>(error: &S, before: &S, after: &S) {
    demand_shape(1, error, before);
    demand_shape(2, error, after);
}

/// Panics unless every term has the first term's shape and one coefficient per row.
pub(crate) fn demand_terms<S: RowCombination>(terms: &[(&[f64], &S)], first: &S) {
    let rows = first.rows();
    for (k, (coefficients, state)) in terms.iter().enumerate() {
        demand_shape(k, first, *state);
        assert!(coefficients.len() == rows, "term {k} has {} coefficients, the batch {rows} rows", coefficients.len());
    }
}
