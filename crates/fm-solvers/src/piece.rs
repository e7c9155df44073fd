//! The pieces of a dense solution: each accepted step as a polynomial of time.

use crate::record::Interpolant;
use fm_core::state::OdeState;

/// One step as a polynomial of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece<S> {
    pub(crate) t: f64,
    h: f64,
    x: S,
    /// c_1, c_2, ...
    powers: Vec<S>,
}

impl<S: OdeState> Piece<S> {
    pub(crate) fn new(step: &Interpolant<'_, S>) -> Self {
        let dense = step.tableau.dense;
        let power = |j: usize| {
            let terms: Vec<(f64, &S)> = dense.iter().zip(step.k).filter_map(|(c, k)| Some((*c.get(j)?, k))).collect();
            S::linear_combination(&terms)
        };
        let degree = dense.iter().map(|c| c.len()).max().unwrap_or(0);
        let x = S::linear_combination(&[(1.0, step.x)]);
        Self { t: step.t, h: step.h, x, powers: (0..degree).map(power).collect() }
    }

    pub(crate) fn at(&self, time: f64) -> S {
        let theta = (time - self.t) / self.h;
        let mut weight = self.h;
        let powers = self.powers.iter().map(|power| {
            weight *= theta;
            (weight, power)
        });
        S::linear_combination(&std::iter::once((1.0, &self.x)).chain(powers).collect::<Vec<_>>())
    }
}
