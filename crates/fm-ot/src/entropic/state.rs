//! The state of the iteration: a problem, its potentials and scalings, and one fit of both sides.

use super::kernel::{Matrix, Sweep, build, log_sums, sweep};
use crate::marginals::Marginals;

/// How strictly the plan must match the masses of a side.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Exact,
    Soft { reg_m: f64 },
    AtMost,
}

impl Side {
    /// The potential, given the one that would fit the masses exactly.
    fn settle(self, exact: f64, epsilon: f64) -> f64 {
        match self {
            Side::Exact => exact,
            Side::Soft { reg_m } => exact * (reg_m / (reg_m + epsilon)),
            Side::AtMost => exact.min(0.0),
        }
    }
}

pub(super) struct Problem<'a> {
    pub(super) marginals: &'a Marginals,
    pub(super) side: Side,
    /// The total mass of the plan, if it is fixed in addition to the marginals.
    pub(super) mass: Option<f64>,
}

/// Scalings beyond e^ABSORB are absorbed: the kernel's smallest entries stay negligible, and no
/// product overflows.
const ABSORB: f64 = 100.0;

/// Potentials in the unit of the cost, and their changes since the kernel absorbed them.
pub(super) struct State<'a> {
    pub(super) problem: &'a Problem<'a>,
    /// The masses of the rows and of the columns.
    pub(super) a: &'a [f64],
    pub(super) b: &'a [f64],
    pub(super) cost: Matrix<'a>,
    log_rows: Vec<f64>,
    log_columns: Vec<f64>,
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
    pub(super) kernel: Vec<f64>,
    pub(super) u: Vec<f64>,
    pub(super) v: Vec<f64>,
    /// The potential of a fixed total mass, the same for all entries, and its scaling.
    pub(super) shift: f64,
    pub(super) factor: f64,
    pub(super) epsilon: f64,
}

impl<'a> State<'a> {
    pub(super) fn new(
        problem: &'a Problem<'a>,
        (a, b): (&'a [f64], &'a [f64]),
        cost: &'a [f64],
        columns: usize,
    ) -> Self {
        let log = |masses: &[f64]| match problem.side {
            Side::AtMost => vec![0.0; masses.len()],
            _ => masses.iter().map(|m| m.ln()).collect(),
        };
        Self {
            log_rows: log(a),
            log_columns: log(b),
            problem,
            a,
            b,
            cost: Matrix { values: cost, columns },
            f: vec![0.0; a.len()],
            g: vec![0.0; b.len()],
            kernel: vec![0.0; cost.len()],
            u: vec![1.0; a.len()],
            v: vec![1.0; b.len()],
            shift: 0.0,
            factor: 1.0,
            epsilon: 1.0,
        }
    }

    /// Builds the kernel of the potentials for an epsilon, with each row divided by its largest
    /// entry; the row's scaling compensates for it.
    pub(super) fn enter(&mut self, epsilon: f64) {
        self.epsilon = epsilon;
        let exponents: Vec<f64> = self.g.iter().zip(&self.log_columns).map(|(g, log)| log + g / epsilon).collect();
        let tops = build(&mut self.kernel, &self.cost, &exponents, epsilon);
        for (((f, u), top), log) in self.f.iter_mut().zip(&mut self.u).zip(&tops).zip(&self.log_rows) {
            let absorbed = -epsilon * (top + log) - self.shift;
            // Too large only if epsilon has just decreased; the next fit of the rows does not use
            // this value. Small scalings are those of an unbalanced plan of little mass.
            *u = ((*f - absorbed) / epsilon).exp().clamp(f64::MIN_POSITIVE, ABSORB.exp());
            *f = absorbed;
        }
        self.v.fill(1.0);
    }

    /// Fits the rows and then the columns in the log domain, where no sum can leave the range of
    /// f64.
    fn refit(&mut self) {
        let (epsilon, side, shift) = (self.epsilon, self.problem.side, self.shift);
        let fit = |cost: &Matrix<'_>, logs: (&[f64], &[f64]), other: &[f64], masses: &[f64]| -> Vec<f64> {
            let exponents: Vec<f64> = other.iter().zip(logs.1).map(|(p, log)| log + p / epsilon).collect();
            let sums = log_sums(cost, &exponents, epsilon);
            let exact = sums.iter().zip(logs.0).zip(masses).map(|((s, log), m)| epsilon * (m.ln() - log - s) - shift);
            exact.map(|f| side.settle(f, epsilon)).collect()
        };
        let (a, b) = (self.a, self.b);
        self.factor = 1.0;
        self.f = fit(&self.cost, (&self.log_rows, &self.log_columns), &self.g, a);
        let (m, n) = (a.len(), b.len());
        let transposed: Vec<f64> = (0..m * n).map(|k| self.cost.values[k % m * n + k / m]).collect();
        self.g = fit(&Matrix { values: &transposed, columns: m }, (&self.log_columns, &self.log_rows), &self.f, b);
        self.enter(epsilon);
    }

    /// Fits the rows, then the columns, then the total mass; returns the L1 error left in rows and
    /// mass, and that of both sides before the fit.
    pub(super) fn iterate(&mut self, omega: f64) -> (f64, f64) {
        let (epsilon, side) = (self.epsilon, self.problem.side);
        let (a, b) = (self.a, self.b);
        let scale = |mass: f64, sum: f64, old: f64, absorbed: f64| match side {
            Side::Exact if omega == 1.0 => mass / sum,
            Side::Exact => old * (mass / (sum * old)).powf(omega),
            _ => ((side.settle(absorbed + epsilon * (mass / sum).ln(), epsilon) - absorbed) / epsilon).exp(),
        };
        let kernel = Matrix { values: &self.kernel, columns: self.cost.columns };
        let (f, g, factor) = (&self.f, &self.g, self.factor);
        let v: Vec<f64> = self.v.iter().map(|v| v * factor).collect();
        let Sweep { mut columns, mut error } = sweep(&kernel, &mut self.u, &v, |i, sum, u| scale(a[i], sum, u, f[i]));
        columns.iter_mut().for_each(|c| *c *= factor);
        let total = error + columns.iter().zip(&self.v).zip(b).map(|((c, v), b)| (c * v - b).abs()).sum::<f64>();
        for (j, v) in self.v.iter_mut().enumerate() {
            *v = scale(b[j], columns[j], *v, g[j]);
        }
        if let Some(mass) = self.problem.mass {
            let total: f64 = columns.iter().zip(&self.v).map(|(c, v)| c * v).sum();
            self.factor *= mass / total;
            error += (total - mass).abs();
        }
        self.keep_in_range();
        (error, total)
    }

    /// Moves scalings that have grown large into the potentials.
    fn keep_in_range(&mut self) {
        let range = (-ABSORB).exp()..ABSORB.exp();
        let all = |legal: &dyn Fn(f64) -> bool| self.u.iter().chain(&self.v).chain([&self.factor]).all(|s| legal(*s));
        if all(&|s| range.contains(&s)) {
            return;
        }
        if all(&|s| s > 0.0 && s.is_finite()) {
            self.absorb();
            self.enter(self.epsilon);
        } else {
            // The potentials in the kernel are valid; a sum over the kernel was not.
            self.refit();
        }
    }

    /// Moves the scalings into the potentials.
    pub(super) fn absorb(&mut self) {
        let take = |potential: &mut [f64], scalings: &[f64], epsilon: f64| {
            potential.iter_mut().zip(scalings).for_each(|(p, s)| *p += epsilon * s.ln());
        };
        take(&mut self.f, &self.u, self.epsilon);
        take(&mut self.g, &self.v, self.epsilon);
        self.shift += self.epsilon * self.factor.ln();
        self.factor = 1.0;
    }
}
