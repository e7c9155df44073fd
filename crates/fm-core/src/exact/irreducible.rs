//! The irreducible loss: the loss of a perfect network.

use super::eigen::symmetric_eigen;
use super::{Mixture, MixtureError};
use crate::Error;
use crate::loss::Loss;
use crate::objective::Objective;
use crate::path::{Coefficients, ProbPath};
use crate::prediction::Target;
use crate::rng::{Key, Stream};
use ndarray::Array2;
use rand::Rng;
use rand_distr::{Open01, StandardNormal};
use std::sync::LazyLock;

/// A Monte Carlo estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean over samples.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// Nodes per dimension; the integrand is as smooth as the mixture, and 48 nodes agree with 96.
const NODES: usize = 48;

/// E ||T - E[T | x_t]||^2 at one time, summed over dimensions: exact for a single Gaussian, by
/// Gauss-Hermite quadrature over x_t for a mixture of up to three dimensions.
///
/// # Errors
/// A mixture of more than three dimensions ([`estimate`] has no such limit), and coefficients for
/// which the loss is not finite.
pub fn irreducible_at(mixture: &Mixture, c: &Coefficients, target: &Target) -> Result<f64, Error> {
    let value = quadrature(mixture, c, target)?;
    let what = || "the irreducible loss".into();
    if value.is_finite() { Ok(value) } else { Err(Error::SingularPrediction { what: what(), t: c.t }) }
}

fn quadrature(mixture: &Mixture, c: &Coefficients, target: &Target) -> Result<f64, Error> {
    let d = mixture.dim();
    if mixture.components() == 1 {
        return Ok(mixture.posterior_of(&mixture.place(0, &vec![0.0; d], c), c, target).variance);
    }
    if d > 3 {
        let (what, with) = ("quadrature".into(), format!("{d} dimensions"));
        return Err(Error::Combination { what, with, why: "it is for 3 at most; use the Monte Carlo estimate" });
    }
    let (nodes, weights) = &*GAUSS_HERMITE;
    let mut sum = 0.0;
    for index in 0..NODES.pow(d as u32) {
        let digits = (0..d as u32).map(|i| index / NODES.pow(i) % NODES);
        let (z, w): (Vec<f64>, Vec<f64>) = digits.map(|i| (nodes[i], weights[i])).unzip();
        for k in 0..mixture.components() {
            let variance = mixture.posterior_of(&mixture.place(k, &z, c), c, target).variance;
            sum += mixture.weight(k) * w.iter().product::<f64>() * variance;
        }
    }
    Ok(sum)
}

/// The irreducible loss of an objective: the mean of w(t) Var(T | x_t) over `samples` draws of t
/// and x_t. Only the draws are random; the variance at each draw is exact, so the error is far
/// below that of averaging losses.
///
/// # Errors
/// An invalid objective, one whose loss is not the squared error, and one of a velocity and a
/// score; fewer than 2 samples, or more
/// than memory can hold; and a loss that is not finite.
pub fn estimate<P: ProbPath>(
    mixture: &Mixture,
    objective: &Objective<P>,
    samples: usize,
    seed: u64,
) -> Result<Estimate, MixtureError> {
    if objective.loss != Loss::Mse {
        let (what, with) = ("the irreducible loss".into(), objective.loss.to_string());
        return Err(Error::Combination {
            what,
            with,
            why: "it is known for the squared error only; use that loss, or leave the estimate out",
        }
        .into());
    }
    if objective.prediction.score_weight().is_some() {
        let (what, with) = ("the irreducible loss".into(), format!("{} prediction", objective.prediction));
        let why = "it is known for one quantity; leave the estimate out, or predict the velocity alone";
        return Err(Error::Combination { what, with, why }.into());
    }
    if samples < 2 {
        let (name, domain) = ("the number of samples", "at least 2, for a standard error");
        return Err(Error::Value { name, domain, value: samples as f64 }.into());
    }
    let drawn = objective.draw(Key::new(seed, 0, Stream::Time), samples, None)?;
    let scale = objective.reduction.scale(mixture.dim());
    let mut values = Vec::with_capacity(samples);
    for (row, (t, weight)) in drawn.times.iter().zip(&drawn.weights).enumerate() {
        let c = objective.path.at(*t)?;
        let target = objective.prediction.target(&c)?;
        let mut rng = Key::new(seed, 0, Stream::Estimate).generator(row);
        let k = mixture.component_at(rng.sample(Open01));
        let z: Vec<f64> = (0..mixture.dim()).map(|_| rng.sample(StandardNormal)).collect();
        let variance = mixture.posterior_of(&mixture.place(k, &z, &c), &c, &target).variance;
        values.push(weight * scale * variance);
        if !values[row].is_finite() {
            return Err(Error::SingularPrediction { what: "the irreducible loss".into(), t: *t }.into());
        }
    }
    let n = samples as f64;
    let value = values.iter().sum::<f64>() / n;
    let spread = values.iter().map(|v| (v - value).powi(2)).sum::<f64>() / (n - 1.0);
    Ok(Estimate { value, standard_error: (spread / n).sqrt() })
}

/// The quadrature rule, computed once and shared by all times.
static GAUSS_HERMITE: LazyLock<(Vec<f64>, Vec<f64>)> = LazyLock::new(|| gauss_hermite(NODES));

/// Nodes and weights for E g(z), z standard normal, from the eigenvalues of the Jacobi matrix
/// (Golub and Welsch, 1969).
fn gauss_hermite(n: usize) -> (Vec<f64>, Vec<f64>) {
    let beside = |i: usize, j: usize| if i.abs_diff(j) == 1 { (i.max(j) as f64).sqrt() } else { 0.0 };
    let (nodes, vectors) = symmetric_eigen(&Array2::from_shape_fn((n, n), |(i, j)| beside(i, j)));
    (nodes, vectors.column(0).iter().map(|v| v * v).collect())
}
