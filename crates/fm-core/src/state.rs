//! States: what a solver can move ([`OdeState`]), and what a path can place ([`RowState`]).
//!
//! ```
//! use fm_core::state::{OdeState, Tolerance};
//! let (x, k) = (vec![1.0, 2.0], vec![10.0, -10.0]);
//! assert_eq!(Vec::linear_combination(&[(1.0, &x), (0.1, &k)]), [2.0, 1.0]);
//! // An error of exactly the tolerance has norm 1.
//! let tol = Tolerance { rtol: 0.0, atol: 1e-3 };
//! assert!((Vec::error_norm(&vec![1e-3, -1e-3], &x, &x, tol) - 1.0).abs() < 1e-12);
//! ```

use ndarray::{Array, Axis, Dimension, NdFloat, RemoveAxis, Zip};
use num_traits::cast::cast;

/// How much error per step is acceptable: atol + rtol |x|, elementwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Relative to the state.
    pub rtol: f64,
    /// Absolute, in the unit of the state.
    pub atol: f64,
}

impl Tolerance {
    /// The scale that an element's error is divided by.
    pub fn scale(self, before: f64, after: f64) -> f64 {
        self.atol + self.rtol * before.abs().max(after.abs())
    }
}

/// The two operations that a solver needs.
pub trait OdeState: Sized {
    /// sum_i c_i s_i over at least one term; all states have one shape.
    fn linear_combination(terms: &[(f64, &Self)]) -> Self;

    /// sqrt(mean((e / (atol + rtol max(|before|, |after|)))^2)): at most 1 when the step is good. NaN when anything is.
    ///
    /// Source: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", eq. II.4.11.
    fn error_norm(error: &Self, before: &Self, after: &Self, tol: Tolerance) -> f64;
}

impl OdeState for Vec<f64> {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        let mut out = vec![0.0; terms.first().map_or(0, |(_, s)| s.len())];
        for (c, s) in terms {
            out.iter_mut().zip(*s).for_each(|(o, v)| *o += c * v);
        }
        out
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: Tolerance) -> f64 {
        let squares = error.iter().zip(before.iter().zip(after)).map(|(e, (a, b))| (e / tol.scale(*a, *b)).powi(2));
        (squares.sum::<f64>() / error.len().max(1) as f64).sqrt()
    }
}

/// A batch, row by row: the one operation that paths, predictions and targets need of it.
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
        terms.iter().for_each(|(c, s)| out.scaled_add(narrow(*c), s));
        out
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: Tolerance) -> f64 {
        let mut sum = 0.0;
        Zip::from(error).and(before).and(after).for_each(|&e, &a, &b| {
            sum += (widen(e) / tol.scale(widen(a), widen(b))).powi(2);
        });
        (sum / error.len().max(1) as f64).sqrt()
    }
}

impl<A: NdFloat, D: RemoveAxis> RowState for Array<A, D> {
    fn rows(&self) -> usize {
        self.len_of(Axis(0))
    }

    fn row_combination(terms: &[(&[f64], &Self)]) -> Self {
        let mut out = zeros_like(terms.first().map(|(_, s)| *s));
        for (coefficients, state) in terms {
            let rows = out.outer_iter_mut().zip(state.outer_iter()).zip(*coefficients);
            rows.for_each(|((mut out, row), c)| out.scaled_add(narrow(*c), &row));
        }
        out
    }
}
