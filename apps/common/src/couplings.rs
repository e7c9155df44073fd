//! The couplings that users can name.

use fm_core::choice::Domain;
use fm_core::coupling::{Coupling, Independent};
use fm_ot::coupling::{ExactOt, SinkhornOt};
use fm_ot::sinkhorn::Options;

fm_core::choice! {
    /// How noise and data are paired in training.
    #[derive(Default)]
    pub enum CouplingKind("coupling") {
        /// As drawn.
        #[default]
        Independent = "independent",
        /// Exact minibatch optimal transport.
        Exact = "exact" | "ot",
        /// A permutation drawn from the entropic plan of the minibatch, found in at most 300 iterations.
        Sinkhorn = "sinkhorn" {
            /// The regularisation, in the unit of the cost, squared distance.
            epsilon = 0.05, Domain::above(0.0, 1e9)
        },
    }
}

impl CouplingKind {
    /// The coupling itself.
    pub fn build(self) -> Box<dyn Coupling> {
        match self {
            CouplingKind::Independent => Box::new(Independent),
            CouplingKind::Exact => Box::new(ExactOt),
            CouplingKind::Sinkhorn { epsilon } => {
                // A plan that is not quite there pairs almost as well, and a step must not wait for the last digit.
                Box::new(SinkhornOt { options: Options { epsilon, max_iterations: 300, ..Options::default() } })
            }
        }
    }
}
