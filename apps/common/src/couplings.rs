//! The couplings that users can name.

use fm_core::coupling::{Coupling, Independent};
use fm_ot::coupling::ExactOt;
use serde::{Deserialize, Serialize};

/// How noise and data are paired in training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CouplingKind {
    /// As drawn.
    #[default]
    Independent,
    /// Exact minibatch optimal transport.
    Exact,
}

impl CouplingKind {
    /// The coupling itself.
    pub fn build(self) -> Box<dyn Coupling> {
        match self {
            CouplingKind::Independent => Box::new(Independent),
            CouplingKind::Exact => Box::new(ExactOt),
        }
    }
}
