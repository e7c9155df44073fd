//! States: what a solver can move ([`OdeState`], [`RowState`]), and what a path can place ([`RowCombination`]).
//!
//! ```
//! use fm_core::state::{OdeState, Tolerance};
//! let (x, k) = (vec![1.0, 2.0], vec![10.0, -10.0]);
//! assert_eq!(Vec::linear_combination(&[(1.0, &x), (0.1, &k)]), [2.0, 1.0]);
//! // An error of exactly the tolerance has norm 1.
//! assert!((Vec::error_norm(&vec![1e-3, -1e-3], &x, &x, &Tolerance::new(0.0, 1e-3)) - 1.0).abs() < 1e-12);
//! // Each dimension may have its own.
//! assert!((Vec::error_norm(&vec![1e-3, -2.0], &x, &x, &Tolerance::new(0.0, vec![1e-3, 2.0])) - 1.0).abs() < 1e-12);
//! ```

mod arrays;
mod tolerance;

pub use tolerance::{Bound, Tolerance};

/// A value with a shape. Solvers and paths compare shapes before they combine two states.
pub trait Shaped {
    /// The sizes of all axes, the batch's first; empty for a single number.
    ///
    /// ```
    /// use fm_core::state::Shaped;
    /// assert_eq!((Shaped::shape(&vec![1.0, 2.0]), Shaped::shape(&1.0)), (vec![2], vec![]));
    /// ```
    fn shape(&self) -> Vec<usize>;

    /// Whether two values have one shape. An implementation may answer without making two lists.
    fn same_shape(&self, other: &Self) -> bool {
        self.shape() == other.shape()
    }
}

/// What a solver needs of a state: two operations, of which the first has a form that reuses memory.
pub trait OdeState: Sized + Shaped {
    /// sum_i c_i s_i over at least one term; all states have one shape.
    ///
    /// # Panics
    /// When a term has another shape than the first.
    fn linear_combination(terms: &[(f64, &Self)]) -> Self;

    /// sqrt(mean((e / (atol + rtol max(|before|, |after|)))^2)): at most 1 when the step is good; 0 / 0 counts as 0. NaN when an error
    /// is, and infinite when one is too large to be divided by its tolerance.
    ///
    /// Source: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", eq. II.4.11.
    ///
    /// # Panics
    /// When the three states have different shapes.
    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64;

    /// Becomes [`linear_combination`](Self::linear_combination) of the terms, in the memory that it has.
    ///
    /// # Panics
    /// When a term has another shape than the first.
    fn assign_combination(&mut self, terms: &[(f64, &Self)]) {
        *self = Self::linear_combination(terms);
    }

    /// The number of values that per-dimension tolerances must have; none: not known.
    fn dimension(&self) -> Option<usize> {
        None
    }

    /// Runs a whole solve; states that could record how they came about (tensors) do not, within.
    fn untracked<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
}

/// A batch whose rows can be combined: what paths, predictions and targets need of the tensors of any framework.
pub trait RowCombination: Sized + Shaped {
    /// The number of rows; 0 for a value without axes.
    fn rows(&self) -> usize {
        self.shape().first().copied().unwrap_or(0)
    }

    /// Row i of the result is sum_k c_k\[i\] s_k\[i\], over at least one term; all batches have one shape, all coefficients one value
    /// per row.
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
    /// When a term has another shape than the first, or another number of coefficients than rows.
    fn row_combination(terms: &[(&[f64], &Self)]) -> Self;

    /// Becomes [`row_combination`](Self::row_combination) of the terms, in the memory that it has.
    ///
    /// # Panics
    /// As [`row_combination`](Self::row_combination).
    fn assign_row_combination(&mut self, terms: &[(&[f64], &Self)]) {
        *self = Self::row_combination(terms);
    }
}

/// A batch, row by row: what a solver with a step size per row needs beyond [`RowCombination`].
pub trait RowState: RowCombination {
    /// [`OdeState::error_norm`] of each row.
    ///
    /// # Panics
    /// When the three states have different shapes.
    fn row_error_norms(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> Vec<f64>;

    /// The batch of these rows, in this order.
    ///
    /// # Panics
    /// When a number in `rows` is not below [`rows`](RowCombination::rows), or the value has no axes.
    fn select_rows(&self, rows: &[usize]) -> Self;

    /// Row `rows[i]` becomes row i of `from`; the indices are distinct.
    ///
    /// # Panics
    /// When a number in `rows` is not below [`rows`](RowCombination::rows), or `from` has rows of another shape.
    fn put_rows(&mut self, rows: &[usize], from: &Self);
}

/// Panics unless term `k` of a combination has the first one's shape.
#[inline]
pub(crate) fn demand_shape<S: Shaped>(k: usize, first: &S, term: &S) {
    if !term.same_shape(first) {
        refuse_shape(k, first, term);
    }
}

/// The panic, out of the way of steps that take nanoseconds.
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

/// The panic of a combination in which a term after the first has another shape.
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

/// Panics unless every term has the first one's shape and one coefficient per row.
pub(crate) fn demand_terms<S: RowCombination>(terms: &[(&[f64], &S)], first: &S) {
    let rows = first.rows();
    for (k, (coefficients, state)) in terms.iter().enumerate() {
        demand_shape(k, first, *state);
        assert!(coefficients.len() == rows, "term {k} has {} coefficients, the batch {rows} rows", coefficients.len());
    }
}
