//! The states that a sampler saves.

use crate::{Grid, SaveAt, SolveError};

/// Which states a sampler saves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Save<'a> {
    End,
    /// After every step, or at equal times where steps differ between samples.
    Frames,
    /// At times from 0 to 1.
    At(&'a [f64]),
}

/// Number of states saved by an adaptive solve, because step times differ between samples.
const FRAMES: usize = 50;

impl<'a> Save<'a> {
    /// The times within a span at which interpolants are evaluated: the given ones, or those of the
    /// frames of samples with their own steps.
    pub(super) fn times(self, span: (f64, f64)) -> Result<Vec<f64>, SolveError> {
        match self {
            Self::End => Ok(Vec::new()),
            Self::Frames => Ok(within(&Grid::Uniform.times(FRAMES)?, span)),
            Self::At(times) => Ok(within(times, span)),
        }
    }

    /// The output of a solve whose samples share their steps.
    pub(super) fn of_steps(self, times: &'a [f64]) -> SaveAt<'a> {
        match self {
            Self::End => SaveAt::End,
            Self::Frames => SaveAt::Steps,
            Self::At(_) => SaveAt::At(times),
        }
    }
}

/// Times from 0 to 1, within a span.
pub(super) fn within(units: &[f64], (low, high): (f64, f64)) -> Vec<f64> {
    units.iter().map(|u| low * (1.0 - u) + high * u).collect()
}
