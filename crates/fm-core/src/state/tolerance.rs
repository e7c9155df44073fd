//! The acceptable error per step, and the norm of an error relative to it.

use ndarray::NdFloat;
use num_traits::cast;
use serde::{Deserialize, Serialize};

/// A bound on errors: one for all dimensions, or one per dimension. In files, a number or a list of
/// numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    /// The same bound for all dimensions.
    All(f64),
    /// One per dimension, in the order of the row's values.
    Each(Vec<f64>),
}

impl Bound {
    /// The bound of a row's i-th value. A list shorter than the row repeats; an empty list gives
    /// NaN.
    pub fn at(&self, i: usize) -> f64 {
        match self {
            Self::All(bound) => *bound,
            Self::Each(bounds) => bounds.get(i % bounds.len().max(1)).copied().unwrap_or(f64::NAN),
        }
    }

    /// The bounds as given.
    pub fn values(&self) -> &[f64] {
        match self {
            Self::All(bound) => std::slice::from_ref(bound),
            Self::Each(bounds) => bounds,
        }
    }
}

impl From<f64> for Bound {
    fn from(bound: f64) -> Self {
        Self::All(bound)
    }
}

impl From<Vec<f64>> for Bound {
    fn from(bounds: Vec<f64>) -> Self {
        Self::Each(bounds)
    }
}

/// The acceptable error per step: atol + rtol |x|, elementwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Relative to the state.
    pub rtol: Bound,
    /// Absolute, in the unit of the state.
    pub atol: Bound,
}

impl Tolerance {
    /// Both bounds, each a number or a vector with one value per dimension.
    pub fn new(rtol: impl Into<Bound>, atol: impl Into<Bound>) -> Self {
        Self { rtol: rtol.into(), atol: atol.into() }
    }

    /// The scale by which the error of a row's i-th value is divided.
    pub fn scale(&self, i: usize, before: f64, after: f64) -> f64 {
        self.atol.at(i) + self.rtol.at(i) * before.abs().max(after.abs())
    }

    /// sqrt(mean((e / scale)^2)) over the values of one row.
    pub(super) fn norm<A: NdFloat>(&self, values: impl ExactSizeIterator<Item = (A, A, A)> + Clone) -> f64 {
        let count = values.len().max(1) as f64;
        let again = values.clone();
        let squares = match (&self.rtol, &self.atol) {
            (Bound::All(rtol), Bound::All(atol)) => values
                .map(|(e, a, b)| {
                    let scaled = widen(e) / (atol + rtol * widen(a).abs().max(widen(b).abs()));
                    scaled * scaled
                })
                .sum::<f64>(),
            _ => values.enumerate().map(|(i, (e, a, b))| (widen(e) / self.scale(i, widen(a), widen(b))).powi(2)).sum(),
        };
        if squares.is_finite() { (squares / count).sqrt() } else { self.careful_norm(again) }
    }

    /// The same with 0 / 0 = 0.
    fn careful_norm<A: NdFloat>(&self, values: impl ExactSizeIterator<Item = (A, A, A)>) -> f64 {
        let count = values.len().max(1) as f64;
        let square = |(i, (e, a, b)): (usize, (A, A, A))| {
            let (e, a, b) = (widen(e), widen(a), widen(b));
            let scale = self.scale(i, a, b);
            if e == 0.0 && scale == 0.0 { 0.0 } else { (e / scale).powi(2) }
        };
        (values.enumerate().map(square).sum::<f64>() / count).sqrt()
    }
}

fn widen<A: NdFloat>(value: A) -> f64 {
    cast(value).unwrap_or(f64::NAN)
}
