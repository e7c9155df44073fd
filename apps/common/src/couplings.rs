//! The couplings that users can name.

use anyhow::ensure;
use fm_core::choice::Domain;
use fm_core::coupling::{Coupling, Independent};
use fm_core::path::PathKind;
use fm_ot::cost::Metric;
use fm_ot::coupling::{OtCoupling, Plan};
use fm_ot::entropic::{Epsilon, SinkhornOptions};
use fm_ot::pairs::PairSampling;

fm_core::choice! {
    /// How noise and data are paired in training.
    #[derive(Default)]
    pub enum CouplingKind("coupling") {
        /// As drawn.
        #[default]
        Independent = "independent",
        /// The plan of least cost, a permutation.
        Exact = "exact" | "ot",
        /// The entropic plan.
        Sinkhorn = "sinkhorn" {
            /// The regularisation, in units of the batch's mean cost.
            epsilon = 0.05, Domain::above(0.0, 1e6)
        },
        /// The same, for a regularisation that was chosen elsewhere.
        SinkhornAbsolute = "sinkhorn-absolute" {
            /// The regularisation, in the unit of the cost.
            epsilon = 0.05, Domain::above(0.0, 1e9)
        },
        /// The entropic plan that may give a point more or less than its share.
        Unbalanced = "unbalanced" {
            /// The regularisation, in units of the mean cost.
            epsilon = 0.05, Domain::above(0.0, 1e6);
            /// What a deviation from the shares costs, in units of the mean cost.
            reg_m = 1.0, Domain::above(0.0, 1e6)
        },
        /// The plan of a part of the mass; the rest is paired at random, or left out of drawn pairs.
        Partial = "partial" {
            /// The part.
            mass = 0.9, Domain::above(0.0, 1.0);
            /// The regularisation, in units of the mean cost; 0 for the plan of least cost.
            epsilon = 0.0, Domain::within(0.0, 1e6)
        },
        /// Condition-aware: least cost, where a source costs more for a target of another class than the one that it was drawn with.
        C2ot = "c2ot" | "conditional" {
            /// How much more, in units of the mean cost.
            weight = 10.0, Domain::above(0.0, 1e6)
        },
        /// The plan whose entropic regularisation is 2 sigma^2 of the schroedinger-bridge path, always drawn with replacement.
        SchroedingerBridge = "schroedinger-bridge" | "bridge",
    }
}

/// A plan that is not quite there pairs almost as well, and a step must not wait for the last digit.
const MAX_ITERATIONS: usize = 300;

impl CouplingKind {
    /// The coupling by optimal transport that this names, if it is one.
    ///
    /// # Errors
    /// A bridge on another path.
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
                        "the schroedinger-bridge coupling takes sigma from the path of that name, and the path is {path}; \
                         choose --path schroedinger-bridge, or another coupling"
                    )
                };
                let epsilon = Epsilon::Absolute(2.0 * sigma * sigma);
                OtCoupling { pairs: PairSampling::Drawn, ..plan(Plan::Sinkhorn(iterate(epsilon))) }
            }
        }))
    }

    /// The coupling itself, for a model that is or is not told classes.
    ///
    /// # Errors
    /// As [`CouplingKind::transport`], and a condition-aware coupling without classes.
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
            "the {self} coupling weighs the classes of the rows, and this model is not told any; choose another coupling"
        );
        Ok(Box::new(coupling))
    }
}
