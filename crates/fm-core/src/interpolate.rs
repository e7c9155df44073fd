//! Batches on their path: x_t, the training target at x_t, and conversions between predictions.
//!
//! Each function computes one set of scalar coefficients per row on the host, and then one
//! [`RowCombination::row_combination`] per result. The same formulas serve arrays and tensors, and
//! nothing is read back from a device.
//!
//! ```
//! use fm_core::interpolate::{coefficients, convert, interpolate};
//! use fm_core::path::PathKind;
//! use fm_core::prediction::Prediction::{Data, Velocity};
//! use ndarray::array;
//! let (x0, x1) = (array![[1.0, 2.0], [3.0, 4.0]], array![[5.0, 6.0], [7.0, 8.0]]);
//! let c = coefficients(&PathKind::Linear, &[0.0, 0.75])?;
//! let sample = interpolate(&c, Velocity, &x0, &x1, None)?;
//! assert_eq!(sample.x_t, array![[1.0, 2.0], [6.0, 7.0]]);
//! assert_eq!(sample.target, array![[4.0, 4.0], [4.0, 4.0]]);
//! // From the velocity back to the data.
//! assert_eq!(convert(&c, Velocity, Data, &sample.x_t, &sample.target)?, x1);
//! # Ok::<(), fm_core::Error>(())
//! ```

use crate::Error;
use crate::path::{Coefficients, ProbPath};
use crate::prediction::Prediction;
use crate::state::RowCombination;

/// A batch on its path.
#[derive(Debug, Clone, PartialEq)]
pub struct PathSample<S> {
    /// x_t, shaped as the data.
    pub x_t: S,
    /// The training target at x_t, shaped as the data.
    pub target: S,
}

/// The coefficients of a path at the times of a batch.
///
/// # Errors
/// See [`ProbPath::check`] and [`ProbPath::at`].
pub fn coefficients(path: &(impl ProbPath + ?Sized), times: &[f64]) -> Result<Vec<Coefficients>, Error> {
    path.check()?;
    times.iter().map(|t| path.at(*t)).collect()
}

/// The weights of a batch's rows: x_t and the target are weighted sums of x1, x0 and noise, in this
/// order.
#[derive(Debug, Clone, PartialEq)]
pub struct PathWeights {
    /// Weights for x_t.
    pub position: [Vec<f64>; 3],
    /// Weights for the target.
    pub target: [Vec<f64>; 3],
}

impl PathWeights {
    /// The weights of a prediction's target on a path.
    ///
    /// # Errors
    /// A singular target.
    pub fn new(c: &[Coefficients], prediction: Prediction) -> Result<Self, Error> {
        let targets: Vec<_> = c.iter().map(|c| prediction.target(c)).collect::<Result<_, _>>()?;
        let column = |f: fn(&Coefficients) -> f64| c.iter().map(f).collect::<Vec<_>>();
        let position = [column(|c| c.alpha), column(|c| c.sigma), column(|c| c.gamma)];
        let target = [0, 1, 2].map(|i| targets.iter().map(|t| [t.x1, t.x0, t.eps][i]).collect::<Vec<_>>());
        Ok(Self { position, target })
    }

    /// Whether the path has extra noise, so that `eps` is needed.
    pub fn need_noise(&self) -> bool {
        self.position[2].iter().chain(&self.target[2]).any(|g| *g != 0.0)
    }
}

/// Computes x_t and the target of `prediction` for rows x0 and x1. `eps` is required on a path with
/// extra noise.
///
/// # Errors
/// A singular target, missing noise, batches of different shapes, and a number of rows other than
/// that of `c`.
pub fn interpolate<S: RowCombination>(
    c: &[Coefficients],
    prediction: Prediction,
    x0: &S,
    x1: &S,
    eps: Option<&S>,
) -> Result<PathSample<S>, Error> {
    same_rows(x1, c.len())?;
    same_shape("source rows", x1, x0)?;
    let weights = PathWeights::new(c, prediction)?;
    let extra = weights.need_noise();
    let PathWeights { position, target } = weights;
    let eps = match eps {
        Some(eps) => same_shape("noise", x1, eps).map(|()| Some(eps))?,
        None if extra => return Err(Error::MissingNoise { path: "of this batch".into() }),
        None => None,
    };
    let combine = |weights: &[Vec<f64>; 3]| {
        let states = [Some(x1), Some(x0), eps.filter(|_| extra)];
        let terms = weights.iter().zip(states).filter_map(|(w, s)| Some((w.as_slice(), s?)));
        let mut terms: Vec<_> = terms.filter(|(w, _)| w.iter().any(|w| *w != 0.0)).collect();
        if terms.is_empty() {
            // If every weight is 0 (a constant path), the sum is 0 in the shape of the data.
            terms.push((&weights[0], x1));
        }
        S::row_combination(&terms)
    };
    Ok(PathSample { x_t: combine(&position), target: combine(&target) })
}

/// Converts one prediction at x_t to another, row by row.
///
/// # Errors
/// As [`Prediction::to`]; also batches of different shapes, and a number of rows other than that of
/// `c`.
pub fn convert<S: RowCombination>(
    c: &[Coefficients],
    from: Prediction,
    to: Prediction,
    x_t: &S,
    p: &S,
) -> Result<S, Error> {
    same_rows(x_t, c.len())?;
    same_shape("the prediction", x_t, p)?;
    let conversions: Vec<_> = c.iter().map(|c| from.to(to, c)).collect::<Result<_, _>>()?;
    let (on_x, on_p): (Vec<f64>, Vec<f64>) = conversions.iter().map(|k| (k.x, k.prediction)).unzip();
    Ok(S::row_combination(&[(&on_x, x_t), (&on_p, p)]))
}

/// Checks that there is one time per row of a state.
fn same_rows<S: RowCombination>(state: &S, times: usize) -> Result<(), Error> {
    if state.shape().is_empty() {
        return Err(Error::Shape { what: "rows on a path", expected: vec![times], got: Vec::new() });
    }
    let rows = state.rows();
    if rows == times { Ok(()) } else { Err(Error::Rows { what: "times, one per row", expected: rows, got: times }) }
}

fn same_shape<S: RowCombination>(what: &'static str, expected: &S, state: &S) -> Result<(), Error> {
    if state.same_shape(expected) {
        return Ok(());
    }
    Err(Error::Shape { what, expected: expected.shape(), got: state.shape() })
}
