//! Couplings by name.

use anyhow::ensure;
use fm_core::choice::Domain;
use fm_core::coupling::{Coupling, Independent};
use fm_core::path::PathKind;
use fm_ot::cost::Metric;
use fm_ot::coupling::{OtCoupling, Plan};
use fm_ot::entropic::{Epsilon, SinkhornOptions};
use fm_ot::pairs::PairSampling;

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
        /// of unlike classes.
        C2ot = "c2ot" | "conditional" {
            /// The penalty, relative to the mean cost.
            weight = 10.0, Domain::above(0.0, 1e6)
        },
        /// The entropic plan with regularisation 2 sigma^2, for the sigma of the Schrödinger-bridge
        /// path; its pairs are always drawn.
        SchroedingerBridge = "schroedinger-bridge" | "bridge",
    }
}

/// An approximate plan pairs almost as well, and a training step must not wait for full
/// convergence.
const MAX_ITERATIONS: usize = 300;

impl CouplingKind {
    /// The optimal-transport coupling of this name; none for `independent`.
    ///
    /// # Errors
    /// `schroedinger-bridge` with another path.
    pub fn transport(self, cost: Metric, pairs: PairSampling, path: PathKind) -> anyhow::Result<Option<OtCoupling>> {
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
                    anyhow::bail!(
                        "cannot use the schroedinger-bridge coupling with the {path} path: it takes sigma from the \
                         schroedinger-bridge path; choose --path schroedinger-bridge or another coupling"
                    )
                };
                let epsilon = Epsilon::Absolute(2.0 * sigma * sigma);
                OtCoupling { pairs: PairSampling::Drawn, ..plan(Plan::Sinkhorn(iterate(epsilon))) }
            }
        }))
    }

    /// The coupling, for a model with classes (`conditional`) or without.
    ///
    /// # Errors
    /// Those of [`CouplingKind::transport`], and a condition-aware coupling without classes.
    pub fn build(
        self,
        cost: Metric,
        pairs: PairSampling,
        path: PathKind,
        conditional: bool,
    ) -> anyhow::Result<Box<dyn Coupling>> {
        let Some(coupling) = self.transport(cost, pairs, path)? else { return Ok(Box::new(Independent)) };
        ensure!(
            conditional || coupling.condition_weight == 0.0,
            "cannot use the {self} coupling: it compares the classes of rows, and this model has none; choose another"
        );
        Ok(Box::new(coupling))
    }
}
