//! States: what a solver can move ([`OdeState`]), and what a path can place ([`RowState`]).
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

use ndarray::{Array, Axis, Dimension, NdFloat, RemoveAxis};
use num_traits::cast::cast;

/// A bound on errors: one for all dimensions, or one for each dimension of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// The same everywhere.
    All(f64),
    /// One a dimension, in the order of the row's values.
    Each(Vec<f64>),
}

impl Bound {
    /// The bound of a row's i-th value. Bounds given for fewer dimensions repeat.
    pub fn at(&self, i: usize) -> f64 {
        match self {
            Self::All(bound) => *bound,
            Self::Each(bounds) => bounds.get(i % bounds.len().max(1)).copied().unwrap_or(f64::NAN),
        }
    }

    /// The bounds as they were given.
    pub fn values(&self) -> &[f64] {
        match self {
            Self::All(bound) => std::slice::from_ref(bound),
            Self::Each(bounds) => bounds,
        }
    }
}

impl From<f64> for Bound {
    fn from(bound: f64) -> Self {
        Self::All(bound)
    }
}

impl From<Vec<f64>> for Bound {
    fn from(bounds: Vec<f64>) -> Self {
        Self::Each(bounds)
    }
}

/// How much error per step is acceptable: atol + rtol |x|, elementwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Tolerance {
    /// Relative to the state.
    pub rtol: Bound,
    /// Absolute, in the unit of the state.
    pub atol: Bound,
}

impl Tolerance {
    /// Both bounds, each a number or a vector with a value a dimension.
    pub fn new(rtol: impl Into<Bound>, atol: impl Into<Bound>) -> Self {
        Self { rtol: rtol.into(), atol: atol.into() }
    }

    /// The scale that the error of a row's i-th value is divided by.
    pub fn scale(&self, i: usize, before: f64, after: f64) -> f64 {
        self.atol.at(i) + self.rtol.at(i) * before.abs().max(after.abs())
    }

    /// sqrt(mean((e / scale)^2)) over the values of a row.
    fn norm<A: NdFloat>(&self, values: impl ExactSizeIterator<Item = (A, A, A)>) -> f64 {
        let count = values.len().max(1) as f64;
        let squares = match (&self.rtol, &self.atol) {
            (Bound::All(rtol), Bound::All(atol)) => values
                .map(|(e, a, b)| {
                    let scaled = widen(e) / (atol + rtol * widen(a).abs().max(widen(b).abs()));
                    scaled * scaled
                })
                .sum::<f64>(),
            _ => values.enumerate().map(|(i, (e, a, b))| (widen(e) / self.scale(i, widen(a), widen(b))).powi(2)).sum(),
        };
        (squares / count).sqrt()
    }
}

/// What a solver needs of a state: two operations, of which the first has a form that reuses memory.
pub trait OdeState: Sized {
    /// sum_i c_i s_i over at least one term; all states have one shape.
    fn linear_combination(terms: &[(f64, &Self)]) -> Self;

    /// sqrt(mean((e / (atol + rtol max(|before|, |after|)))^2)): at most 1 when the step is good. NaN when anything is.
    ///
    /// Source: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", eq. II.4.11.
    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64;

    /// Becomes [`linear_combination`](Self::linear_combination) of the terms, in the memory that it has.
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

impl OdeState for f64 {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        terms.iter().map(|(c, s)| c * **s).sum()
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64 {
        tol.norm(std::iter::once((*error, *before, *after)))
    }

    fn dimension(&self) -> Option<usize> {
        Some(1)
    }
}

impl<A: NdFloat> OdeState for Vec<A> {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        let mut out = vec![A::zero(); terms.first().map_or(0, |(_, s)| s.len())];
        out.assign_combination(terms);
        out
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64 {
        tol.norm(error.iter().zip(before).zip(after).map(|((e, a), b)| (*e, *a, *b)))
    }

    fn assign_combination(&mut self, terms: &[(f64, &Self)]) {
        let Some(((c, first), rest)) = terms.split_first() else { return };
        let c = narrow::<A>(*c);
        self.clear();
        self.extend(first.iter().map(|v| c * *v));
        for (c, s) in rest {
            let c = narrow::<A>(*c);
            self.iter_mut().zip(*s).for_each(|(o, v)| *o += c * *v);
        }
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.len())
    }
}

/// A batch, row by row: what paths, predictions and targets need of it, and a solver whose rows go at their own pace.
pub trait RowState: Sized {
    /// The number of rows.
    fn rows(&self) -> usize;

    /// Row i of the result is sum_k c_k\[i\] s_k\[i\], over at least one term; all batches have one shape, all coefficients a value a
    /// row.
    ///
    /// ```
    /// use fm_core::state::RowState;
    /// use ndarray::{Array2, array};
    /// let (x, y) = (array![[1.0, 2.0], [3.0, 4.0]], array![[10.0, 10.0], [10.0, 10.0]]);
    /// let z = Array2::row_combination(&[(&[1.0, 2.0], &x), (&[0.0, 0.1], &y)]);
    /// assert_eq!(z, array![[1.0, 2.0], [7.0, 9.0]]);
    /// ```
    fn row_combination(terms: &[(&[f64], &Self)]) -> Self;

    /// Becomes [`row_combination`](Self::row_combination) of the terms, in the memory that it has.
    fn assign_row_combination(&mut self, terms: &[(&[f64], &Self)]) {
        *self = Self::row_combination(terms);
    }

    /// [`OdeState::error_norm`] of each row.
    fn row_error_norms(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> Vec<f64>;

    /// The batch of these rows, in this order.
    fn select_rows(&self, rows: &[usize]) -> Self;

    /// Row `rows[i]` becomes row i of `from`; the indices are distinct.
    fn put_rows(&mut self, rows: &[usize], from: &Self);
}

/// A coefficient in the precision of an array.
fn narrow<A: NdFloat>(value: f64) -> A {
    cast(value).unwrap_or_else(A::nan)
}

fn widen<A: NdFloat>(value: A) -> f64 {
    cast(value).unwrap_or(f64::NAN)
}

/// Zeros shaped as the first of some terms.
fn zeros_like<A: NdFloat, D: Dimension>(first: Option<&Array<A, D>>) -> Array<A, D> {
    Array::zeros(first.map_or_else(|| D::zeros(D::NDIM.unwrap_or(1)), Array::raw_dim))
}

impl<A: NdFloat, D: Dimension> OdeState for Array<A, D> {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        let mut out = zeros_like(terms.first().map(|(_, s)| *s));
        out.assign_combination(terms);
        out
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> f64 {
        tol.norm(error.iter().zip(before).zip(after).map(|((e, a), b)| (*e, *a, *b)))
    }

    fn assign_combination(&mut self, terms: &[(f64, &Self)]) {
        let Some(((c, first), rest)) = terms.split_first() else { return };
        let c = narrow::<A>(*c);
        self.zip_mut_with(first, |o, v| *o = c * *v);
        rest.iter().for_each(|(c, s)| self.scaled_add(narrow(*c), s));
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.shape().iter().skip(1).product())
    }
}

impl<A: NdFloat, D: RemoveAxis> RowState for Array<A, D> {
    fn rows(&self) -> usize {
        self.len_of(Axis(0))
    }

    fn row_combination(terms: &[(&[f64], &Self)]) -> Self {
        let mut out = zeros_like(terms.first().map(|(_, s)| *s));
        out.assign_row_combination(terms);
        out
    }

    fn assign_row_combination(&mut self, terms: &[(&[f64], &Self)]) {
        let Some(((c, first), rest)) = terms.split_first() else { return };
        for ((mut out, row), c) in self.outer_iter_mut().zip(first.outer_iter()).zip(*c) {
            let c = narrow::<A>(*c);
            out.zip_mut_with(&row, |o, v| *o = c * *v);
        }
        for (coefficients, state) in rest {
            let rows = self.outer_iter_mut().zip(state.outer_iter()).zip(*coefficients);
            rows.for_each(|((mut out, row), c)| out.scaled_add(narrow(*c), &row));
        }
    }

    fn row_error_norms(error: &Self, before: &Self, after: &Self, tol: &Tolerance) -> Vec<f64> {
        let rows = error.outer_iter().zip(before.outer_iter()).zip(after.outer_iter());
        rows.map(|((e, a), b)| tol.norm(e.iter().zip(&a).zip(&b).map(|((e, a), b)| (*e, *a, *b)))).collect()
    }

    fn select_rows(&self, rows: &[usize]) -> Self {
        self.select(Axis(0), rows)
    }

    fn put_rows(&mut self, rows: &[usize], from: &Self) {
        for (row, from) in rows.iter().zip(from.outer_iter()) {
            self.index_axis_mut(Axis(0), *row).assign(&from);
        }
    }
}
