//! States that a solver can move: anything with linear combinations and a norm for errors.
//!
//! ```
//! use fm_core::state::{OdeState, Tolerance};
//! let (x, k) = (vec![1.0, 2.0], vec![10.0, -10.0]);
//! assert_eq!(Vec::linear_combination(&[(1.0, &x), (0.1, &k)]), [2.0, 1.0]);
//! // An error of exactly the tolerance has norm 1.
//! let tol = Tolerance { rtol: 0.0, atol: 1e-3 };
//! assert!((Vec::error_norm(&vec![1e-3, -1e-3], &x, &x, tol) - 1.0).abs() < 1e-12);
//! ```

use ndarray::{Array, Dimension, Zip};

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

impl<D: Dimension> OdeState for Array<f32, D> {
    fn linear_combination(terms: &[(f64, &Self)]) -> Self {
        let mut out = Array::zeros(terms.first().map_or_else(|| D::zeros(D::NDIM.unwrap_or(1)), |(_, s)| s.raw_dim()));
        for (c, s) in terms {
            out.scaled_add(*c as f32, s);
        }
        out
    }

    fn error_norm(error: &Self, before: &Self, after: &Self, tol: Tolerance) -> f64 {
        let mut sum = 0.0;
        Zip::from(error).and(before).and(after).for_each(|&e, &a, &b| {
            sum += (f64::from(e) / tol.scale(f64::from(a), f64::from(b))).powi(2);
        });
        (sum / error.len().max(1) as f64).sqrt()
    }
}
