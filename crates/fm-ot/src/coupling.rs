//! Optimal transport as a coupling of training batches: a cost, a plan, and pairs sampled from it.
//!
//! ```
//! use fm_core::{coupling::{Conditions, Coupling, Pairing, CouplingInput}, rng};
//! use fm_ot::coupling::OtCoupling;
//! use ndarray::array;
//! let (x0, x1) = (array![[5.0f32], [1.0]], array![[0.0f32], [6.0]]);
//! let batch = CouplingInput { x0: x0.view(), x1: x1.view(), conditions: Conditions::None };
//! let mut rng = rng::Key::new(0, 0, rng::Stream::Coupling).generator(0);
//! // Source row 1 is paired with target 0, source row 0 with target 1.
//! assert_eq!(OtCoupling::default().couple(&batch, &mut rng)?, Pairing::Permutation(vec![1, 0]));
//! # Ok::<(), fm_core::coupling::CouplingError>(())
//! ```

use crate::checked::{CheckedPlan, Promise};
use crate::cost::{Cost, Metric, add_conditions, check_weight};
use crate::entropic::{self, EntropicPlan, SinkhornOptions, sinkhorn, unbalanced};
use crate::marginals::Marginals;
use crate::pairs::{self, PairSampling};
use crate::report::{PlanReport, TransportCost};
use crate::scalar::Scalar;
use crate::{OtError, assignment, memory, transport};
use fm_core::coupling::{Conditions, Coupling, CouplingError, CouplingInput, Pairing};
use ndarray::{Array2, ArrayView2};
use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

/// The kind of plan, between uniform masses.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// The exact optimum, a permutation.
    #[default]
    Exact,
    /// The entropic plan (Sinkhorn).
    Sinkhorn(SinkhornOptions),
    /// The entropic plan with relaxed marginals.
    Unbalanced {
        /// The penalty of a marginal deviation, in units of the mean cost.
        reg_m: f64,
        /// Options of the iteration.
        options: SinkhornOptions,
    },
    /// The exact optimum that transports a fraction of the mass.
    Partial {
        /// The fraction, in (0, 1].
        mass: f64,
    },
    /// The entropic plan that transports a fraction of the mass.
    EntropicPartial {
        /// The fraction, in (0, 1].
        mass: f64,
        /// Options of the iteration.
        options: SinkhornOptions,
    },
}

/// A coupling by minibatch optimal transport. An entropic plan that has not converged is still
/// used, because it pairs almost as well: [`couple_reported`](OtCoupling::couple_reported) and
/// [`Reporting`](crate::reporting::Reporting) say how far it is from convergence.
///
/// ```
/// use fm_ot::{Metric, OtCoupling, PairSampling, SinkhornOptions};
/// let coupling = OtCoupling::sinkhorn(SinkhornOptions::default()).cost(Metric::Euclidean).pairs(PairSampling::Drawn);
/// assert_eq!((coupling.cost, coupling.condition_weight), (Metric::Euclidean, 0.0));
/// let _own = OtCoupling::exact().cost(|x: &[f32], y: &[f32]| f64::from((x[0] - y[0]).abs()));
/// ```
#[doc(alias = "OTPlanSampler")]
#[doc(alias = "ExactOptimalTransportConditionalFlowMatcher")]
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtCoupling<C = Metric> {
    /// The cost between a source and a target.
    pub cost: C,
    /// The added cost, in units of the mean cost, of pairing a target with a source that was drawn
    /// with a target of another condition.
    pub condition_weight: f64,
    /// The plan.
    pub plan: Plan,
    /// How pairs are sampled from the plan.
    pub pairs: PairSampling,
}

impl Default for OtCoupling {
    /// [`OtCoupling::exact`].
    fn default() -> Self {
        Self { cost: Metric::default(), condition_weight: 0.0, plan: Plan::default(), pairs: PairSampling::default() }
    }
}

impl OtCoupling {
    /// The exact optimum for squared Euclidean costs, as a permutation.
    pub fn exact() -> Self {
        Self::default()
    }

    /// The entropic plan for squared Euclidean costs. Accepts options or an
    /// [`Epsilon`](entropic::Epsilon).
    pub fn sinkhorn(options: impl Into<SinkhornOptions>) -> Self {
        Self { plan: Plan::Sinkhorn(options.into()), ..Self::default() }
    }
}

impl<C> OtCoupling<C> {
    /// The same coupling with another cost: a [`Metric`], a closure over two rows, or any [`Cost`].
    pub fn cost<D>(self, cost: D) -> OtCoupling<D> {
        OtCoupling { cost, condition_weight: self.condition_weight, plan: self.plan, pairs: self.pairs }
    }

    /// The same coupling with another plan.
    pub fn plan(self, plan: Plan) -> Self {
        Self { plan, ..self }
    }

    /// The same coupling with another way to sample pairs.
    pub fn pairs(self, pairs: PairSampling) -> Self {
        Self { pairs, ..self }
    }

    /// The same coupling with another condition weight.
    pub fn condition_weight(self, condition_weight: f64) -> Self {
        Self { condition_weight, ..self }
    }
}

/// A plan whose rows are targets and whose columns are sources.
#[derive(Debug, Clone, PartialEq)]
pub enum Solved {
    /// The source of each target.
    Permutation(Vec<usize>),
    /// The mass of each pair.
    Masses(CheckedPlan),
}

impl Solved {
    /// How well the plan keeps its marginals.
    pub fn report(&self) -> PlanReport {
        match self {
            Solved::Permutation(_) => PlanReport::EXACT,
            Solved::Masses(plan) => plan.report(),
        }
    }

    /// sum P C for a cost whose rows are targets, between masses of 1/n per point. Its text says
    /// so if the plan has not converged: such a cost may be below the optimum.
    ///
    /// # Errors
    /// [`OtError::CostShape`] for a cost of another shape.
    pub fn cost(&self, cost: ArrayView2<'_, f64>) -> Result<TransportCost, OtError> {
        let (expected, got) = (self.shape(cost.ncols()), cost.dim());
        if got != expected {
            return Err(OtError::CostShape { expected, got });
        }
        let (value, mass) = match self {
            Solved::Permutation(p) => {
                let sum: f64 = p.iter().enumerate().filter_map(|(t, s)| cost.get((t, *s))).sum();
                (sum / p.len().max(1) as f64, 1.0)
            }
            Solved::Masses(plan) => (plan.iter().zip(cost).map(|(p, c)| p * c).sum(), plan.sum()),
        };
        Ok(TransportCost { value, mass, report: self.report() })
    }

    /// Rows and columns; a permutation has at least as many columns as its largest entry needs.
    fn shape(&self, columns: usize) -> (usize, usize) {
        match self {
            Solved::Permutation(p) => (p.len(), p.iter().map(|s| s + 1).max().unwrap_or(0).max(columns)),
            Solved::Masses(plan) => plan.dim(),
        }
    }
}

impl<C: Cost> OtCoupling<C> {
    /// The plan of a batch.
    ///
    /// # Errors
    /// [`CouplingError::Unsolved`] with the solver's reason, and [`CouplingError::Unconditional`].
    pub fn solve(&self, batch: &CouplingInput<'_>) -> Result<Solved, CouplingError> {
        batch.check()?;
        self.check_conditions(&batch.conditions)?;
        let cost = self.costs_of_targets(batch.x0, batch.x1).map_err(unsolved)?;
        self.solve_costs(cost, &batch.conditions).map_err(unsolved)
    }

    /// [`couple`](Coupling::couple) with the report of the plan.
    ///
    /// # Errors
    /// As [`solve`](Self::solve), and a plan without mass.
    pub fn couple_reported(
        &self,
        batch: &CouplingInput<'_>,
        rng: &mut dyn RngCore,
    ) -> Result<(Pairing, PlanReport), CouplingError> {
        let n = batch.x1.nrows();
        if n == 0 {
            batch.check()?;
            return Ok((Pairing::Identity, PlanReport::EXACT));
        }
        let solved = self.solve(batch)?;
        let report = solved.report();
        Ok((self.sample(solved, n, rng).map_err(unsolved)?, report))
    }
}

impl<C> OtCoupling<C> {
    /// Fails if conditions have a weight and the batch has none.
    pub(crate) fn check_conditions(&self, conditions: &Conditions<'_>) -> Result<(), CouplingError> {
        check_weight(self.condition_weight).map_err(unsolved)?;
        let missing = self.condition_weight > 0.0 && matches!(conditions, Conditions::None);
        if missing { Err(CouplingError::Unconditional) } else { Ok(()) }
    }

    /// The cost matrix of a batch, whose rows are targets and whose columns are sources.
    pub(crate) fn costs_of_targets<T: Scalar>(
        &self,
        x0: ArrayView2<'_, T>,
        x1: ArrayView2<'_, T>,
    ) -> Result<Array2<f64>, OtError>
    where
        C: Cost<T>,
    {
        if self.cost.is_symmetric() {
            return self.costs(x1, x0);
        }
        Ok(self.costs(x0, x1)?.t().as_standard_layout().into_owned())
    }

    /// The cost matrix. Its shape is checked, because a custom cost may compute the whole matrix.
    pub(crate) fn costs<T: Scalar>(&self, x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<Array2<f64>, OtError>
    where
        C: Cost<T>,
    {
        // Before the cost is computed, not after.
        memory::check((x.nrows(), y.nrows()), self.plan.matrices())?;
        let cost = self.cost.matrix(x, y)?;
        let (expected, got) = ((x.nrows(), y.nrows()), cost.dim());
        if got == expected { Ok(cost) } else { Err(OtError::CostShape { expected, got }) }
    }

    /// The plan of a square cost matrix, with the conditions added to the cost.
    pub(crate) fn solve_costs(&self, mut cost: Array2<f64>, conditions: &Conditions<'_>) -> Result<Solved, OtError> {
        if self.condition_weight > 0.0 {
            add_conditions(&mut cost, conditions.view(), self.condition_weight)?;
        }
        self.plan.solve(cost.view())
    }

    /// Pairs from the plan of `n` targets.
    pub(crate) fn sample(&self, solved: Solved, n: usize, rng: &mut dyn RngCore) -> Result<Pairing, OtError> {
        Ok(match (solved, self.pairs) {
            (Solved::Permutation(p), PairSampling::Permutation) => Pairing::Permutation(p),
            (Solved::Permutation(p), PairSampling::Drawn) => {
                let targets: Vec<usize> = (0..n).map(|_| rng.random_range(0..n)).collect();
                Pairing::Resampled { sources: targets.iter().map(|&t| p[t]).collect(), targets }
            }
            (Solved::Masses(plan), PairSampling::Permutation) => {
                Pairing::Permutation(pairs::permutation(plan.view(), rng)?)
            }
            (Solved::Masses(plan), PairSampling::Drawn) => {
                let (targets, sources) = pairs::draw(plan.view(), n, rng)?.into_iter().unzip();
                Pairing::Resampled { sources, targets }
            }
        })
    }
}

/// Wraps an error of the solver in the error of the coupling.
pub(crate) fn unsolved(problem: OtError) -> CouplingError {
    CouplingError::Unsolved(problem.to_string())
}

impl Plan {
    /// The plan of a cost matrix, between equal masses on each side; with unequal sides, the exact
    /// plan splits masses instead of pairing each row with one other.
    ///
    /// # Errors
    /// Errors of the solver.
    pub fn solve(&self, cost: ArrayView2<'_, f64>) -> Result<Solved, OtError> {
        let marginals = Marginals::uniform(cost.nrows(), cost.ncols());
        let entropic = |found: Result<EntropicPlan, OtError>| found.map(|f| Solved::Masses(f.plan));
        memory::check(cost.dim(), self.matrices())?;
        match self {
            Plan::Exact if cost.is_square() => Ok(Solved::Permutation(assignment::assign(cost)?.columns)),
            Plan::Exact => {
                let plan = transport::transport(cost, &marginals)?.dense();
                CheckedPlan::new(
                    plan,
                    &Promise::Columns(vec![1.0 / cost.ncols() as f64; cost.ncols()]),
                    PlanReport::EXACT,
                )
                .map(Solved::Masses)
            }
            Plan::Sinkhorn(options) => entropic(sinkhorn(cost, &marginals, options)),
            Plan::Unbalanced { reg_m, options } => {
                let mean = cost.mean().unwrap_or(0.0).abs();
                let unit = if mean > 0.0 && mean.is_finite() { mean } else { 1.0 };
                entropic(unbalanced(cost, &marginals, reg_m * unit, options))
            }
            Plan::Partial { mass } => {
                let plan = transport::partial(cost, &marginals, *mass)?.dense();
                CheckedPlan::new(plan, &Promise::Mass(*mass), PlanReport::EXACT).map(Solved::Masses)
            }
            Plan::EntropicPartial { mass, options } => entropic(entropic::partial(cost, &marginals, *mass, options)),
        }
    }

    /// Matrices that a solve holds at once, with the cost.
    fn matrices(&self) -> usize {
        if matches!(self, Plan::Exact) { 2 } else { 3 }
    }
}

impl<C: Cost + Send> Coupling for OtCoupling<C> {
    fn couple(&self, batch: &CouplingInput<'_>, rng: &mut dyn RngCore) -> Result<Pairing, CouplingError> {
        self.couple_reported(batch, rng).map(|(pairing, _)| pairing)
    }
}
