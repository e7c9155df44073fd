//! The result of the iteration and its error.

use super::kernel::{Sums, finish};
use super::state::{Side, State};
use crate::OtError;
use crate::checked::{CheckedPlan, Promise};
use crate::marginals::Marginals;
use crate::report::{PlanReport, TransportCost};
use ndarray::{Array2, ArrayView2, Axis, Zip};

/// An entropic plan with its potentials and its error.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EntropicPlan {
    /// P, (rows, columns).
    pub plan: CheckedPlan,
    /// Row potentials, in the unit of the cost.
    pub f: Vec<f64>,
    /// Column potentials.
    pub g: Vec<f64>,
    /// The regularisation in the unit of the cost.
    pub epsilon: f64,
    /// sum P C. It may be below the optimum if the plan has not converged; print
    /// [`transport_cost`](Self::transport_cost).
    pub cost: f64,
    /// The L1 distance of the plan from its constraints: for `sinkhorn` sum_i |P_i - a_i| +
    /// sum_j |P_j - b_j|; for `partial` the mass above a, above b, and the deviation from the
    /// requested mass. For `unbalanced`, which has no constraints, the mass that another fit of the
    /// rows would move.
    pub error: f64,
    /// Iterations made.
    pub iterations: usize,
    /// Whether the error reached the tolerance.
    pub converged: bool,
}

/// The plan of the scalings, checked.
pub(super) fn assemble(mut state: State<'_>, iterations: usize, tolerance: f64) -> Result<EntropicPlan, OtError> {
    let shape = (state.u.len(), state.v.len());
    let scaled: Vec<f64> = state.u.iter().map(|u| u * state.factor).collect();
    let mut kernel = std::mem::take(&mut state.kernel);
    let mut sums = finish(&mut kernel, &state.cost, &scaled, &state.v);
    state.absorb();
    if let Some(mass) = state.problem.mass {
        fit_mass(mass, &mut kernel, &mut sums, &mut state);
    }
    let Sums { rows, columns, cost } = sums;
    let masses = Array2::from_shape_vec(shape, kernel).unwrap_or_else(|_| Array2::zeros(shape));
    let error = error(&state, &rows, &columns);
    let promise = match (state.problem.side, state.problem.mass) {
        (_, Some(mass)) => Promise::Mass(mass),
        (Side::Soft { reg_m }, None) => {
            Promise::Columns(state.b.iter().zip(&state.g).map(|(b, g)| b * (-g / reg_m).exp()).collect())
        }
        (Side::Exact | Side::AtMost, None) => Promise::Columns(state.b.to_vec()),
    };
    let report = PlanReport::new(error, tolerance, iterations);
    let plan = CheckedPlan::new(masses, &promise, report)?;
    state.f.iter_mut().for_each(|f| *f += state.shift);
    let converged = report.converged;
    Ok(EntropicPlan { plan, f: state.f, g: state.g, epsilon: state.epsilon, cost, error, iterations, converged })
}

/// Scales a plan to a total mass, which an iteration that ends in the log domain has not fitted.
fn fit_mass(mass: f64, plan: &mut [f64], sums: &mut Sums, state: &mut State<'_>) {
    let scale = mass / sums.rows.iter().sum::<f64>();
    if scale == 1.0 || !(scale > 0.0 && scale.is_finite()) {
        return;
    }
    plan.iter_mut().chain(&mut sums.rows).chain(&mut sums.columns).for_each(|p| *p *= scale);
    sums.cost *= scale;
    state.shift += state.epsilon * scale.ln();
}

/// The error of a plan with these row and column sums; see [`EntropicPlan::error`].
fn error(state: &State<'_>, rows: &[f64], columns: &[f64]) -> f64 {
    let (a, b) = (state.a, state.b);
    let total = |sums: &[f64], masses: &[f64], distance: fn(f64) -> f64| -> f64 {
        sums.iter().zip(masses).map(|(s, m)| distance(s - m)).sum()
    };
    match (state.problem.side, state.problem.mass) {
        (Side::Soft { reg_m }, _) => {
            // Another fit of row i would multiply its mass s by (a / s)^(epsilon's share) exp(-f /
            // (reg_m + epsilon)).
            let moved = |((s, a), f): ((&f64, &f64), &f64)| {
                if *s == 0.0 {
                    return 0.0;
                }
                let lambda = reg_m / (reg_m + state.epsilon);
                let next = lambda * (f + state.epsilon * (a / s).ln());
                s * (((next - f) / state.epsilon).exp() - 1.0).abs()
            };
            rows.iter().zip(a).zip(&state.f).map(moved).sum()
        }
        (Side::Exact, _) => total(rows, a, f64::abs) + total(columns, b, f64::abs),
        (Side::AtMost, mass) => {
            let above = |d: f64| d.max(0.0);
            total(rows, a, above) + total(columns, b, above) + (rows.iter().sum::<f64>() - mass.unwrap_or(1.0)).abs()
        }
    }
}

impl EntropicPlan {
    /// How well the plan keeps its marginals, for a program to print.
    pub fn report(&self) -> PlanReport {
        self.plan.report()
    }

    /// sum P C with the report, which `Display` appends if the plan has not converged.
    pub fn transport_cost(&self) -> TransportCost {
        TransportCost { value: self.cost, mass: self.plan.sum(), report: self.report() }
    }

    /// For a plan of `sinkhorn`: an upper bound on how far its objective is above the optimum, in
    /// the unit of the cost. It is the objective of the plan, rounded to exact marginals
    /// (Altschuler et al. 2017), minus the dual objective of its potentials.
    ///
    /// # Errors
    /// [`OtError::Masses`] if cost and marginals do not match the plan's shape;
    /// [`OtError::NotFinite`], [`OtError::TooLarge`], [`OtError::Potentials`], [`OtError::Epsilon`]
    /// if the cost is another one, or the fields were changed since the solve.
    pub fn duality_gap(&self, cost: ArrayView2<'_, f64>, marginals: &Marginals) -> Result<f64, OtError> {
        let (a, b) = marginals.of(self.plan.dim())?;
        marginals.of(cost.dim())?;
        crate::check_cost(cost)?;
        self.check()?;
        let feasible = round(&self.plan, &a, &b);
        let mut primal = 0.0;
        Zip::indexed(&feasible).and(cost).for_each(|(i, j), p, c| {
            let log = if *p > 0.0 { (p / (a[i] * b[j])).ln() } else { 0.0 };
            primal += p * (c + self.epsilon * log);
        });
        let value = |masses: &[f64], p: &[f64]| masses.iter().zip(p).map(|(m, p)| m * p).sum::<f64>();
        let dual = value(&a, &self.f) + value(&b, &self.g) - self.epsilon * (self.plan.sum() - 1.0);
        Ok(primal - dual)
    }

    fn check(&self) -> Result<(), OtError> {
        let (rows, columns) = self.plan.dim();
        for (side, potentials, points) in [("row", self.f.len(), rows), ("column", self.g.len(), columns)] {
            if potentials != points {
                return Err(OtError::Potentials { side, potentials, points });
            }
        }
        let legal = self.epsilon > 0.0 && self.epsilon.is_finite();
        if legal { Ok(()) } else { Err(OtError::Epsilon { epsilon: self.epsilon }) }
    }
}

/// The plan with rows and then columns scaled down to their masses, and the missing mass added as a
/// product.
fn round(plan: &Array2<f64>, a: &[f64], b: &[f64]) -> Array2<f64> {
    let mut rounded = plan.clone();
    for (axis, masses) in [(Axis(0), a), (Axis(1), b)] {
        for (mut line, mass) in rounded.axis_iter_mut(axis).zip(masses) {
            let sum = line.sum();
            line.mapv_inplace(|p| p * (mass / sum).min(1.0));
        }
    }
    let lacks = |sums: ndarray::Array1<f64>, masses: &[f64]| -> Vec<f64> {
        sums.iter().zip(masses).map(|(s, m)| (m - s).max(0.0)).collect()
    };
    let (rows, columns) = (lacks(rounded.sum_axis(Axis(1)), a), lacks(rounded.sum_axis(Axis(0)), b));
    let missing: f64 = rows.iter().sum();
    if missing > 0.0 {
        Zip::indexed(&mut rounded).for_each(|(i, j), p| *p += rows[i] * columns[j] / missing);
    }
    rounded
}
