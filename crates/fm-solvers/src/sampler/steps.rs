//! The steps of a sampler.

use super::saving::within;
use crate::pace::Pace;
use crate::{AdaptiveOptions, Grid, SolveError};
use fm_core::choice::Choice;
use serde::{Deserialize, Serialize};

/// The steps of a sampler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Steps {
    /// A number of steps, divided according to a grid.
    Fixed(Grid, usize),
    /// Steps between the listed times, from 0 (source) to 1 (data).
    #[doc(alias = "StepTo")]
    Listed(Vec<f64>),
    /// Steps chosen by an error estimate.
    Adaptive(Pace, AdaptiveOptions),
}

impl From<usize> for Steps {
    /// Equal steps.
    fn from(steps: usize) -> Self {
        Self::Fixed(Grid::Uniform, steps)
    }
}

impl Grid {
    /// The steps of a sampler on this grid.
    pub fn steps(self, count: usize) -> Steps {
        Steps::Fixed(self, count)
    }

    /// Steps on the grid of Karras et al. (2022) with its default parameters ([`Grid::Edm`]).
    ///
    /// ```
    /// use fm_solvers::Grid;
    /// assert_eq!(Grid::edm(18), "edm".parse::<Grid>()?.steps(18));
    /// assert_eq!(Grid::edm(18), Grid::Edm { rho: 7.0, sigma_min: 0.002, sigma_max: 80.0 }.steps(18));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "karras")]
    #[doc(alias = "use_karras_sigmas")]
    pub fn edm(count: usize) -> Steps {
        // The table of names always has this one.
        Self::parse("edm").unwrap_or_default().steps(count)
    }
}

impl Steps {
    /// The step times within a span.
    pub(super) fn grid(&self, (low, high): (f64, f64)) -> Result<Vec<f64>, SolveError> {
        let units = match self {
            Self::Fixed(grid, steps) => grid.times(*steps)?,
            Self::Listed(times) => times.clone(),
            Self::Adaptive(..) => return Err(SolveError::Grid),
        };
        Ok(within(&units, (low, high)))
    }
}
