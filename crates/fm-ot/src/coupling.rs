//! Optimal transport as a coupling of training batches: a cost, a plan, and pairs from it.
//!
//! ```
//! use fm_core::{coupling::{Conditions, Coupling, Pairing, CouplingInput}, rng};
//! use fm_ot::coupling::OtCoupling;
//! use ndarray::array;
//! let (x0, x1) = (array![[5.0f32], [1.0]], array![[0.0f32], [6.0]]);
//! let batch = CouplingInput { x0: x0.view(), x1: x1.view(), conditions: Conditions::None };
//! let mut rng = rng::stream(0, 0, rng::Stream::Coupling, 0);
//! // Source row 1 goes to target 0, source row 0 to target 1.
//! assert_eq!(OtCoupling::default().couple(&batch, &mut rng)?, Pairing::Permutation(vec![1, 0]));
//! # Ok::<(), fm_core::coupling::CouplingError>(())
//! ```

use crate::cost::{Metric, add_conditions, check_weight};
use crate::entropic::{self, EntropicPlan, SinkhornOptions, sinkhorn, unbalanced};
use crate::marginals::Marginals;
use crate::pairs::{self, PairSampling};
use crate::{OtError, assignment, transport};
use fm_core::coupling::{Conditions, Coupling, CouplingError, CouplingInput, Pairing};
use ndarray::{Array2, ArrayView2};
use rand::{Rng, RngCore};

/// Which plan, between uniform masses.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Plan {
    /// The optimum, a permutation.
    #[default]
    Exact,
    /// The entropic plan.
    Sinkhorn(SinkhornOptions),
    /// The entropic plan whose marginals may deviate.
    Unbalanced {
        /// What a deviation costs, in units of the mean cost.
        reg_m: f64,
        /// How to iterate.
        options: SinkhornOptions,
    },
    /// The optimum of this share of the mass.
    Partial {
        /// The share, in (0, 1].
        mass: f64,
    },
    /// The entropic plan of this share of the mass.
    EntropicPartial {
        /// The share, in (0, 1].
        mass: f64,
        /// How to iterate.
        options: SinkhornOptions,
    },
}

/// A coupling by minibatch optimal transport. An entropic plan that has not converged is used as it is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OtCoupling {
    /// What it costs to go from a source to a target.
    pub metric: Metric,
    /// What it costs, in units of the mean cost, to give a target a source that was drawn with a target of another condition.
    pub condition_weight: f64,
    /// The plan.
    pub plan: Plan,
    /// Pairs from it.
    pub pairs: PairSampling,
}

/// A plan whose rows are targets and whose columns are sources.
#[derive(Debug, Clone, PartialEq)]
pub enum Solved {
    /// The source of each target.
    Permutation(Vec<usize>),
    /// The mass of each pair.
    Masses(Array2<f64>),
}

impl OtCoupling {
    /// The plan of a batch.
    ///
    /// # Errors
    /// [`CouplingError::Unsolved`] with the solver's reason, and [`CouplingError::Unconditional`].
    pub fn solve(&self, batch: &CouplingInput<'_>) -> Result<Solved, CouplingError> {
        batch.check()?;
        check_weight(self.condition_weight).map_err(unsolved)?;
        if self.condition_weight > 0.0 && matches!(batch.conditions, Conditions::None) {
            return Err(CouplingError::Unconditional);
        }
        let solved = self.metric.matrix(batch.x1, batch.x0).and_then(|mut cost| {
            if self.condition_weight > 0.0 {
                add_conditions(&mut cost, batch.conditions.view(), self.condition_weight)?;
            }
            self.plan.solve(cost.view())
        });
        solved.map_err(unsolved)
    }
}

/// What a coupling says of a problem that its solver refuses.
pub(crate) fn unsolved(problem: OtError) -> CouplingError {
    CouplingError::Unsolved(problem.to_string())
}

impl Plan {
    /// The plan of a square cost matrix.
    ///
    /// # Errors
    /// What the solver says.
    pub fn solve(&self, cost: ArrayView2<'_, f64>) -> Result<Solved, OtError> {
        let marginals = Marginals::uniform(cost.nrows(), cost.ncols());
        let entropic = |found: Result<EntropicPlan, OtError>| found.map(|f| Solved::Masses(f.plan));
        match self {
            Plan::Exact => Ok(Solved::Permutation(assignment::assign(cost)?.columns)),
            Plan::Sinkhorn(options) => entropic(sinkhorn(cost, &marginals, options)),
            Plan::Unbalanced { reg_m, options } => {
                let mean = cost.mean().unwrap_or(0.0).abs();
                let unit = if mean > 0.0 && mean.is_finite() { mean } else { 1.0 };
                entropic(unbalanced(cost, &marginals, reg_m * unit, options))
            }
            Plan::Partial { mass } => Ok(Solved::Masses(transport::partial(cost, &marginals, *mass)?.dense())),
            Plan::EntropicPartial { mass, options } => entropic(entropic::partial(cost, &marginals, *mass, options)),
        }
    }
}

impl Coupling for OtCoupling {
    fn couple(&self, batch: &CouplingInput<'_>, rng: &mut dyn RngCore) -> Result<Pairing, CouplingError> {
        let n = batch.x1.nrows();
        if n == 0 {
            batch.check()?;
            return Ok(Pairing::Identity);
        }
        Ok(match (self.solve(batch)?, self.pairs) {
            (Solved::Permutation(p), PairSampling::Permutation) => Pairing::Permutation(p),
            (Solved::Permutation(p), PairSampling::Drawn) => {
                let targets: Vec<usize> = (0..n).map(|_| rng.random_range(0..n)).collect();
                Pairing::Resampled { sources: targets.iter().map(|&t| p[t]).collect(), targets }
            }
            (Solved::Masses(plan), PairSampling::Permutation) => {
                Pairing::Permutation(pairs::permutation(plan.view(), rng).map_err(unsolved)?)
            }
            (Solved::Masses(plan), PairSampling::Drawn) => {
                let (targets, sources) = pairs::draw(plan.view(), n, rng).map_err(unsolved)?.into_iter().unzip();
                Pairing::Resampled { sources, targets }
            }
        })
    }
}
