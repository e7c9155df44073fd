//! Entropic optimal transport between uniform marginals, in the log domain.
//!
//! The plan P minimises sum P C + epsilon sum P (ln P - 1) over all P with row sums 1/m and column sums 1/n. It has the form
//! P_ij = exp((f_i + g_j - C_ij) / epsilon); Sinkhorn's iteration fits the potentials f to the rows and g to the columns in turn, here as
//! log-sum-exp in f64, so no epsilon overflows. Epsilon falls from the mean cost to its value by halves, each level starting from the
//! potentials of the one before, which is what lets a small epsilon converge.
//!
//! Cost, potentials and epsilon share one unit, that of the cost. Source: Cuturi (2013); Peyre and Cuturi, "Computational Optimal
//! Transport" (2019), sections 4.2 and 4.4.
//!
//! ```
//! use fm_ot::sinkhorn::{Options, sinkhorn};
//! // Two points each, epsilon 1: P is proportional to exp(-C) on this symmetric cost.
//! let plan = sinkhorn(ndarray::array![[0.0, 1.0], [1.0, 0.0]].view(), &Options { epsilon: 1.0, ..Options::default() })?;
//! let stay = 0.5 / (1.0 + (-1.0f64).exp());
//! assert!((plan.plan[[0, 0]] - stay).abs() < 1e-9);
//! assert!(plan.converged && plan.marginal_error < 1e-3);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::OtError;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};

/// How to iterate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The regularisation, above 0, in the unit of the cost.
    pub epsilon: f64,
    /// L1 error of the row sums at which to stop; the column sums are exact after each iteration.
    pub tolerance: f64,
    /// Iterations, over all levels of epsilon, after which the plan reached is returned.
    pub max_iterations: usize,
}

impl Default for Options {
    /// Epsilon 0.05, an L1 error of 1e-3, 2,000 iterations.
    fn default() -> Self {
        Self { epsilon: 0.05, tolerance: 1e-3, max_iterations: 2000 }
    }
}

/// An entropic plan and how well it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct EntropicPlan {
    /// P, (rows, columns); it sums to 1.
    pub plan: Array2<f64>,
    /// sum P C.
    pub cost: f64,
    /// sum_i |sum_j P_ij - 1/m|.
    pub marginal_error: f64,
    /// Iterations made.
    pub iterations: usize,
    /// Whether the error came down to the tolerance.
    pub converged: bool,
}

/// The entropic plan of a cost matrix.
///
/// # Errors
/// [`OtError::NotFinite`], [`OtError::Empty`], [`OtError::Epsilon`].
pub fn sinkhorn(cost: ArrayView2<'_, f64>, options: &Options) -> Result<EntropicPlan, OtError> {
    let (m, n) = cost.dim();
    if m == 0 || n == 0 {
        return Err(OtError::Empty);
    }
    if !(options.epsilon > 0.0 && options.epsilon.is_finite()) {
        return Err(OtError::Epsilon { epsilon: options.epsilon });
    }
    if let Some(((row, column), _)) = cost.indexed_iter().find(|(_, c)| !c.is_finite()) {
        return Err(OtError::NotFinite { row, column });
    }
    let cost = cost.to_owned();
    let transposed = cost.t().as_standard_layout().into_owned();
    let (mut f, mut g) = (Array1::zeros(m), Array1::zeros(n));
    let mut iterations = 0;
    for epsilon in levels(cost.mean().unwrap_or(0.0), options.epsilon) {
        let out_of_patience = iterations >= options.max_iterations;
        // The plan must be of the epsilon asked for, however rough.
        let epsilon = if out_of_patience { options.epsilon } else { epsilon };
        // A level on the way need only come close.
        let tolerance = options.tolerance.max(if epsilon == options.epsilon { 0.0 } else { 0.05 });
        loop {
            fit(&mut f, &g, &cost, epsilon);
            fit(&mut g, &f, &transposed, epsilon);
            iterations += 1;
            // What the next fit of f would change is the error of the row sums, exp((f - next) / epsilon) / m.
            let mut next = f.clone();
            fit(&mut next, &g, &cost, epsilon);
            let ratio = |e: f64, f: &f64, next: &f64| e + (((f - next) / epsilon).exp() - 1.0).abs() / m as f64;
            if Zip::from(&f).and(&next).fold(0.0, ratio) <= tolerance || iterations >= options.max_iterations {
                break;
            }
        }
        if out_of_patience {
            break;
        }
    }
    let plan = Array2::from_shape_fn((m, n), |(i, j)| ((f[i] + g[j] - cost[[i, j]]) / options.epsilon).exp());
    let rows = plan.sum_axis(Axis(1));
    let marginal_error = rows.iter().map(|r| (r - 1.0 / m as f64).abs()).sum::<f64>();
    let spent = (&plan * &cost).sum();
    Ok(EntropicPlan { plan, cost: spent, marginal_error, iterations, converged: marginal_error <= options.tolerance })
}

/// The mean cost, halved until it is below epsilon, then epsilon.
fn levels(mean: f64, epsilon: f64) -> Vec<f64> {
    let halves = std::iter::successors(Some(mean), |e| Some(e / 2.0)).take_while(|e| *e > epsilon);
    halves.chain([epsilon]).collect()
}

/// f_i = -epsilon (ln m + lse_j((g_j - C_ij) / epsilon)): the row sums become 1/m.
fn fit(f: &mut Array1<f64>, g: &Array1<f64>, cost: &Array2<f64>, epsilon: f64) {
    let log_rows = (f.len() as f64).ln();
    Zip::from(f).and(cost.rows()).for_each(|f, row| {
        let exponent = |(g, c): (&f64, &f64)| (g - c) / epsilon;
        let top = g.iter().zip(row).map(exponent).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = g.iter().zip(row).map(|pair| (exponent(pair) - top).exp()).sum();
        *f = -epsilon * (log_rows + top + sum.ln());
    });
}
