//! Butcher tableaux: explicit Runge-Kutta methods as constant data.
//!
//! A step from (x, t) of size h computes k_i = v(x + h sum_j a_ij k_j, t + c_i h) and x' = x + h
//! sum_i b_i k_i. The embedded error estimate, if there is one, is h sum_i e_i k_i. The state at
//! t + theta h is x + h sum_i b_i(theta) k_i, with polynomials b_i(theta) that belong to the method
//! (its dense output). Nodes and rows of A beyond the weights b are stages that only these
//! polynomials need; they are evaluated only in accepted steps that are interpolated.
//!
//! ```
//! use fm_solvers::tableau::{DOPRI5, RK4};
//! assert_eq!((RK4.stages(), RK4.order, RK4.fsal()), (4, 4, false));
//! assert_eq!((DOPRI5.stages(), DOPRI5.order, DOPRI5.fsal()), (7, 5, true)); // 6 new evaluations per step
//! // The interpolant passes through the end of the step.
//! assert!(DOPRI5.interpolate(1.0).iter().zip(DOPRI5.b).all(|(at_1, b)| (at_1 - b).abs() < 1e-14));
//! ```

mod dop853;
mod methods;

pub use dop853::DOP853;
pub use methods::*;

use crate::SolveError;

/// The maximum number of stages of a method.
pub const MAX_STAGES: usize = 16;

/// An explicit Runge-Kutta method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tableau {
    /// The name used on the command line.
    pub name: &'static str,
    /// Order of the global error.
    pub order: usize,
    /// Nodes c; those beyond the weights b are for the interpolant only.
    pub c: &'static [f64],
    /// The strictly lower triangle of A, row by row; row 0 is empty.
    pub a: &'static [&'static [f64]],
    /// Weights b.
    pub b: &'static [f64],
    /// Weights of the embedded error estimate.
    pub e: Option<&'static [f64]>,
    /// Weights of a second error estimate, of lower order. With the norms e and E of both
    /// estimates, the error of a step is e e / sqrt(e^2 + E^2 / 100), as in Hairer's dop853.
    pub e_low: Option<&'static [f64]>,
    /// For each stage, the coefficients of theta, theta^2, ... in b_i(theta).
    pub dense: &'static [&'static [f64]],
    /// Order q of the interpolant: within a step its error is O(h^(q + 1)).
    pub dense_order: usize,
}

impl Tableau {
    /// Number of stages of a step including its error estimate.
    pub fn stages(&self) -> usize {
        self.b.len()
    }

    /// Whether the last stage equals the first stage of the next step ("first same as last"): its
    /// row of A is b and its node is 1.
    pub fn fsal(&self) -> bool {
        let Some((b, before)) = self.b.split_last() else { return false };
        let (Some(a), Some(c)) = (self.a.get(before.len()), self.c.get(before.len())) else { return false };
        !before.is_empty() && *c == 1.0 && *b == 0.0 && *a == before
    }

    /// The number of stages that the new state depends on, without those only for the error
    /// estimate or the interpolant.
    pub fn stages_of_a_step(&self) -> usize {
        self.b.iter().rposition(|b| *b != 0.0).map_or(1, |last| last + 1)
    }

    /// The number of further stages that the interpolant needs.
    pub fn interpolant_stages(&self) -> usize {
        self.c.len().saturating_sub(self.b.len())
    }

    /// b_i(theta), zero beyond the last stage.
    pub fn interpolate(&self, theta: f64) -> [f64; MAX_STAGES] {
        let mut weights = [0.0; MAX_STAGES];
        for (w, coefficients) in weights.iter_mut().zip(self.dense) {
            *w = theta * coefficients.iter().rev().fold(0.0, |sum, c| sum * theta + c);
        }
        weights
    }

    /// Checks that the coefficients form a consistent explicit method.
    ///
    /// # Errors
    /// [`SolveError::Tableau`] if the coefficients are inconsistent.
    pub fn check(&self) -> Result<(), SolveError> {
        let (n, all) = (self.stages(), self.c.len());
        let why = if n == 0 || n.max(all) > MAX_STAGES {
            "it must have between 1 and 16 stages"
        } else if all < n || self.a.len() != all {
            "A and c must have one row per stage, b at most as many"
        } else if self.a.iter().enumerate().any(|(i, row)| row.len() != i) {
            "row i of A must have i entries"
        } else if self.c[0] != 0.0 {
            "the first node must be 0"
        } else if self.order == 0 {
            "its order must be at least 1"
        } else if self.estimates().any(|e| e.len() != n) {
            "the error estimate must have one weight per stage"
        } else if self.dense.len() != all {
            "the interpolant must have a polynomial per stage"
        } else if !self.numbers().all(|v| v.is_finite()) {
            "its numbers must be finite"
        } else if (sum(self.b) - 1.0).abs() > 1e-9 {
            "the weights b must add up to 1"
        } else if self.estimates().any(|e| sum(e).abs() > 1e-9) {
            "the weights of the error estimate must add up to 0"
        } else if all > n && !self.interpolant_ends_the_step() {
            "an interpolant with stages of its own must be b at theta = 1"
        } else {
            return Ok(());
        };
        Err(SolveError::Tableau { method: self.name, why })
    }

    fn numbers(&self) -> impl Iterator<Item = &'static f64> {
        let rows = self.a.iter().chain(self.dense).copied();
        rows.chain([self.c, self.b]).chain(self.estimates()).flatten()
    }

    /// Whether the interpolant passes through the end of the step.
    pub(crate) fn interpolant_ends_the_step(&self) -> bool {
        let b = self.b.iter().copied().chain(std::iter::repeat(0.0));
        self.interpolate(1.0).iter().zip(b).all(|(at_1, b)| (at_1 - b).abs() < 1e-9)
    }

    fn estimates(&self) -> impl Iterator<Item = &'static [f64]> {
        self.e.into_iter().chain(self.e_low)
    }
}

fn sum(weights: &[f64]) -> f64 {
    weights.iter().sum()
}
