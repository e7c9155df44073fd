//! Couplings by name, with numeric parameters: `sinkhorn:epsilon=0.05`, `partial:0.9`.
//!
//! | name | plan |
//! |---|---|
//! | `independent` | none: rows stay as they were drawn |
//! | `exact` | the permutation of least total cost |
//! | `sinkhorn`, `sinkhorn-absolute` | entropic, with epsilon relative to the mean cost, or in the unit of the cost |
//! | `unbalanced` | entropic with relaxed marginals |
//! | `partial` | a fraction of the mass, exact or entropic |
//! | `c2ot` | exact, with a penalty on pairs of different classes |
//! | `schroedinger-bridge` | entropic, with epsilon 2 sigma^2 of the path |
//! | `semidiscrete` | none: each source row is paired with one of all data rows ([`semidiscrete`](crate::semidiscrete)) |
//!
//! ```
//! use fm_core::{choice::Choice, path::PathKind};
//! use fm_ot::{CouplingKind, Metric, PairSampling, Plan};
//! let kind = CouplingKind::parse("partial:0.75")?;
//! assert_eq!((kind, kind.to_string()), (CouplingKind::Partial { mass: 0.75, epsilon: 0.0 }, "partial:mass=0.75,epsilon=0".into()));
//! let coupling = kind.transport(Metric::Euclidean, PairSampling::Drawn, PathKind::Linear)?.ok_or("independent")?;
//! assert_eq!((coupling.plan, coupling.cost), (Plan::Partial { mass: 0.75 }, Metric::Euclidean));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::OtError;
use crate::cost::Metric;
use crate::coupling::{OtCoupling, Plan};
use crate::entropic::{Epsilon, SinkhornOptions};
use crate::pairs::PairSampling;
use crate::report::Reports;
use crate::reporting::Reporting;
use crate::semidiscrete::SemidiscreteOptions;
use fm_core::choice::Domain;
use fm_core::coupling::{Coupling, Independent};
use fm_core::path::PathKind;

fm_core::choice! {
    /// How source rows are paired with data rows in training.
    #[derive(Default)]
    pub enum CouplingKind("coupling") {
        /// As drawn.
        #[default]
        Independent = "independent",
        /// The optimal transport plan: the permutation of least total cost.
        Exact = "exact" | "ot",
        /// The entropic optimal transport plan.
        Sinkhorn = "sinkhorn" {
            /// Regularisation, relative to the mean cost of the batch.
            epsilon = 0.05, Domain::above(0.0, 1e6)
        },
        /// The entropic plan, with an absolute regularisation as in torchcfm and POT.
        SinkhornAbsolute = "sinkhorn-absolute" {
            /// Regularisation, in the unit of the cost.
            epsilon = 0.05, Domain::above(0.0, 1e9)
        },
        /// The entropic plan with relaxed marginals: a point may carry more or less than its share
        /// of the mass.
        Unbalanced = "unbalanced" {
            /// Regularisation, relative to the mean cost.
            epsilon = 0.05, Domain::above(0.0, 1e6);
            /// Penalty on deviations from the marginals, relative to the mean cost.
            reg_m = 1.0, Domain::above(0.0, 1e6)
        },
        /// The plan for a fraction of the mass; the rest is paired at random, or left out of drawn
        /// pairs.
        Partial = "partial" {
            /// The fraction.
            mass = 0.9, Domain::above(0.0, 1.0);
            /// Regularisation, relative to the mean cost; 0 for the plan of least cost.
            epsilon = 0.0, Domain::within(0.0, 1e6)
        },
        /// Condition-aware: the plan of least cost, with a penalty on pairs of source and data rows
        /// of different classes.
        C2ot = "c2ot" | "conditional" {
            /// The penalty, relative to the mean cost.
            weight = 10.0, Domain::above(0.0, 1e6)
        },
        /// The entropic plan with regularisation 2 sigma^2, for the sigma of the Schrödinger-bridge
        /// path; its pairs are always drawn.
        SchroedingerBridge = "schroedinger-bridge" | "bridge",
        /// Each source row is paired with one of all data rows, or of all rows of its class, by
        /// potentials that are fitted before the training.
        Semidiscrete = "semidiscrete" {
            /// Noise rows of the fit per data row.
            draws = 400.0, Domain::whole(1.0, 1e6)
        },
    }
}

/// An approximate plan pairs almost as well, and a training step must not wait for full
/// convergence.
const MAX_ITERATIONS: usize = 300;

impl CouplingKind {
    /// The optimal-transport coupling of this name; none for `independent`.
    ///
    /// # Errors
    /// [`OtError::BridgePath`] for `schroedinger-bridge` with another path, and
    /// [`OtError::WholeData`] for `semidiscrete`, which has no plans of batches.
    pub fn transport(self, cost: Metric, pairs: PairSampling, path: PathKind) -> Result<Option<OtCoupling>, OtError> {
        let iterate =
            |epsilon| SinkhornOptions { epsilon, max_iterations: MAX_ITERATIONS, ..SinkhornOptions::default() };
        let plan = |plan| OtCoupling { cost, pairs, plan, ..OtCoupling::default() };
        Ok(Some(match self {
            CouplingKind::Independent => return Ok(None),
            CouplingKind::Exact => plan(Plan::Exact),
            CouplingKind::Sinkhorn { epsilon } => plan(Plan::Sinkhorn(iterate(Epsilon::Relative(epsilon)))),
            CouplingKind::SinkhornAbsolute { epsilon } => plan(Plan::Sinkhorn(iterate(Epsilon::Absolute(epsilon)))),
            CouplingKind::Unbalanced { epsilon, reg_m } => {
                plan(Plan::Unbalanced { reg_m, options: iterate(Epsilon::Relative(epsilon)) })
            }
            CouplingKind::Partial { mass, epsilon: 0.0 } => plan(Plan::Partial { mass }),
            CouplingKind::Partial { mass, epsilon } => {
                plan(Plan::EntropicPartial { mass, options: iterate(Epsilon::Relative(epsilon)) })
            }
            CouplingKind::C2ot { weight } => OtCoupling { condition_weight: weight, ..plan(Plan::Exact) },
            CouplingKind::SchroedingerBridge => {
                let PathKind::Bridge { sigma } = path else {
                    return Err(OtError::BridgePath { path: path.to_string() });
                };
                let epsilon = Epsilon::Absolute(2.0 * sigma * sigma);
                OtCoupling { pairs: PairSampling::Drawn, ..plan(Plan::Sinkhorn(iterate(epsilon))) }
            }
            CouplingKind::Semidiscrete { .. } => return Err(OtError::WholeData { coupling: self.to_string() }),
        }))
    }

    /// The options of the fit of `semidiscrete`; none for couplings of batches.
    pub fn semidiscrete(self) -> Option<SemidiscreteOptions> {
        let CouplingKind::Semidiscrete { draws } = self else { return None };
        Some(SemidiscreteOptions { draws: draws as usize, ..SemidiscreteOptions::default() })
    }

    /// The coupling, for a model with classes (`conditional`) or without.
    ///
    /// # Errors
    /// Those of [`transport`](Self::transport), and [`OtError::NoClasses`] for a condition-aware
    /// coupling without classes.
    pub fn build(
        self,
        cost: Metric,
        pairs: PairSampling,
        path: PathKind,
        conditional: bool,
    ) -> Result<Box<dyn Coupling>, OtError> {
        self.build_reporting(cost, pairs, path, conditional, &Reports::default())
    }

    /// [`build`](Self::build) with the reports to which the coupling adds one per plan;
    /// `independent` has no plans.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_reporting(
        self,
        cost: Metric,
        pairs: PairSampling,
        path: PathKind,
        conditional: bool,
        reports: &Reports,
    ) -> Result<Box<dyn Coupling>, OtError> {
        let Some(coupling) = self.transport(cost, pairs, path)? else { return Ok(Box::new(Independent)) };
        if coupling.condition_weight > 0.0 && !conditional {
            return Err(OtError::NoClasses { coupling: self.to_string() });
        }
        Ok(Box::new(Reporting::new(coupling, reports)))
    }
}
