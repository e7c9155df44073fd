//! Mixtures of Gaussians, and the posterior of component and target given a point on the path.

use super::eigen::symmetric_eigen;
use crate::Error;
use crate::path::Coefficients;
use crate::prediction::Target;
use ndarray::{Array1, Array2, ArrayView2};

/// A mixture of Gaussians in d dimensions.
#[derive(Debug, Clone)]
pub struct Mixture {
    log_weights: Vec<f64>,
    means: Array2<f64>,
    /// One per component, or one for all.
    shapes: Vec<Shape>,
}

#[derive(Debug, Clone)]
enum Shape {
    /// The same variance in every direction.
    Isotropic(f64),
    /// Eigenvectors as rows, and their variances.
    Full { basis: Array2<f64>, eigenvalues: Vec<f64> },
}

impl Shape {
    /// The variance along eigenvector i.
    fn eigenvalue(&self, i: usize) -> f64 {
        match self {
            Shape::Isotropic(v) => *v,
            Shape::Full { eigenvalues, .. } => eigenvalues[i],
        }
    }

    fn is_legal(&self) -> bool {
        let legal = |v: &f64| *v >= 0.0 && v.is_finite();
        match self {
            Shape::Isotropic(v) => legal(v),
            Shape::Full { eigenvalues, .. } => eigenvalues.iter().all(legal),
        }
    }

    /// Transforms into the eigenbasis.
    fn turn(&self, x: Vec<f64>) -> Vec<f64> {
        match self {
            Shape::Isotropic(_) => x,
            Shape::Full { basis, .. } => basis.dot(&Array1::from(x)).to_vec(),
        }
    }

    /// Transforms back from the eigenbasis.
    fn turn_back(&self, y: Vec<f64>) -> Vec<f64> {
        match self {
            Shape::Isotropic(_) => y,
            Shape::Full { basis, .. } => basis.t().dot(&Array1::from(y)).to_vec(),
        }
    }
}

/// The posterior of a target given a point on the path.
#[derive(Debug, Clone, PartialEq)]
pub struct Posterior {
    /// Its mean, d values.
    pub mean: Vec<f64>,
    /// Its variance, summed over the d dimensions.
    pub variance: f64,
    /// ln p_t(x), the log density of the point itself.
    pub log_density: f64,
}

/// Why a mixture cannot be made or used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MixtureError {
    /// Counts differ, or are zero.
    #[error(
        "a mixture needs as many weights and covariances as means, and at least one value in each; got {weights} weights, {covariances} covariances, means {means:?}"
    )]
    Shape {
        /// Number of weights.
        weights: usize,
        /// Number of covariances.
        covariances: usize,
        /// Rows and columns of the means.
        means: (usize, usize),
    },
    /// A weight, mean or covariance outside its domain.
    #[error("cannot use component {component} of the mixture: {problem}; correct or remove it")]
    Component {
        /// The component.
        component: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// An error of the path or prediction.
    #[error(transparent)]
    Core(#[from] Error),
}

impl Mixture {
    /// Components with covariance `variances[k]` I; weights are scaled to sum 1. `means` is
    /// (components, dimensions).
    ///
    /// # Errors
    /// Counts that differ, weights that are not above 0, means that are not finite, and variances
    /// below 0.
    pub fn isotropic(weights: &[f64], means: ArrayView2<'_, f64>, variances: &[f64]) -> Result<Self, MixtureError> {
        let shapes = variances.iter().map(|v| Shape::Isotropic(*v)).collect();
        Self::checked(weights, means, shapes)
    }

    /// Components with full covariances, each (dimensions, dimensions), symmetric and positive
    /// semi-definite.
    ///
    /// # Errors
    /// As [`isotropic`](Self::isotropic), and a covariance that is not square, symmetric and
    /// positive semi-definite.
    pub fn full(
        weights: &[f64],
        means: ArrayView2<'_, f64>,
        covariances: &[Array2<f64>],
    ) -> Result<Self, MixtureError> {
        let d = means.ncols();
        let decompose = |(component, s): (usize, &Array2<f64>)| {
            let symmetric =
                d > 0 && s.dim() == (d, d) && (s - &s.t()).iter().all(|e| e.abs() < 1e-9 * (1.0 + s[[0, 0]].abs()));
            if !symmetric || s.iter().any(|v| !v.is_finite()) {
                return Err(MixtureError::Component { component, problem: "its covariance is not a symmetric matrix" });
            }
            let (mut eigenvalues, basis) = symmetric_eigen(s);
            // Rounding may turn a zero eigenvalue slightly negative.
            let tiny = 1e-12 * eigenvalues.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            eigenvalues.iter_mut().filter(|v| v.abs() <= tiny).for_each(|v| *v = 0.0);
            Ok(Shape::Full { basis, eigenvalues })
        };
        let shapes = covariances.iter().enumerate().map(decompose).collect::<Result<_, _>>()?;
        Self::checked(weights, means, shapes)
    }

    /// A finite data set (points, dimensions), each point with the same probability.
    ///
    /// # Errors
    /// No points, or values that are not finite.
    pub fn empirical(points: ArrayView2<'_, f64>) -> Result<Self, MixtureError> {
        let n = points.nrows();
        let first = points.slice(ndarray::s![..n.min(1), ..]);
        let mut mixture = Self::checked(&vec![1.0; n.min(1)], first, vec![Shape::Isotropic(0.0); n.min(1)])?;
        if let Some(component) = points.outer_iter().position(|row| row.iter().any(|v| !v.is_finite())) {
            return Err(MixtureError::Component { component, problem: "its mean is not finite" });
        }
        mixture.means = points.to_owned();
        mixture.log_weights = vec![-(n as f64).ln(); n];
        Ok(mixture)
    }

    fn checked(weights: &[f64], means: ArrayView2<'_, f64>, shapes: Vec<Shape>) -> Result<Self, MixtureError> {
        let (k, d) = means.dim();
        if k == 0 || d == 0 || weights.len() != k || shapes.len() != k {
            let counts = (weights.len(), shapes.len());
            return Err(MixtureError::Shape { weights: counts.0, covariances: counts.1, means: (k, d) });
        }
        for component in 0..k {
            let problem = |problem| Err(MixtureError::Component { component, problem });
            if !(weights[component] > 0.0 && weights[component].is_finite()) {
                return problem("its weight is not a finite number above 0");
            }
            if means.row(component).iter().any(|v| !v.is_finite()) {
                return problem("its mean is not finite");
            }
            if !shapes[component].is_legal() {
                return problem("its covariance has a negative or infinite eigenvalue");
            }
        }
        // Divided by the largest, because the sum of the weights may overflow.
        let largest = weights.iter().copied().fold(0.0, f64::max);
        let total = weights.iter().map(|w| w / largest).sum::<f64>().ln();
        let log_weights = weights.iter().map(|w| w.ln() - largest.ln() - total).collect();
        Ok(Self { log_weights, means: means.to_owned(), shapes })
    }

    /// The number of dimensions.
    pub fn dim(&self) -> usize {
        self.means.ncols()
    }

    /// The number of components.
    pub fn components(&self) -> usize {
        self.means.nrows()
    }

    /// Whether some component is a point (zero variance), whose posterior has no limit where the
    /// path has no noise.
    pub fn has_points(&self) -> bool {
        self.shapes.iter().any(|s| (0..self.dim()).any(|i| s.eigenvalue(i) == 0.0))
    }

    /// The posterior of a target given the point x (d values) at a time of the path. Not finite
    /// where neither a component nor the path has any variance.
    ///
    /// # Errors
    /// [`Error::Width`] if the number of values is not d.
    pub fn posterior(&self, x: &[f64], c: &Coefficients, target: &Target) -> Result<Posterior, Error> {
        let (expected, got) = (self.dim(), x.len());
        if got != expected {
            return Err(Error::Width { what: "points", expected, got });
        }
        Ok(self.posterior_of(x, c, target))
    }

    /// [`posterior`](Self::posterior) for a point already known to have d values.
    pub(super) fn posterior_of(&self, x: &[f64], c: &Coefficients, target: &Target) -> Posterior {
        let logs: Vec<f64> = (0..self.components()).map(|k| self.log_joint(k, x, c)).collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logs.iter().map(|log| (log - top).exp()).sum();
        let (mut mean, mut square, mut variance) = (vec![0.0; self.dim()], 0.0, 0.0);
        for (k, log) in logs.iter().enumerate() {
            let r = (log - top).exp() / total;
            // Skip negligible components, but not NaN.
            if r < 1e-20 {
                continue;
            }
            let (m, own) = self.given_component(k, x, c, target);
            mean.iter_mut().zip(&m).for_each(|(sum, m)| *sum += r * m);
            square += r * m.iter().map(|m| m * m).sum::<f64>();
            variance += r * own;
        }
        let between = square - mean.iter().map(|m| m * m).sum::<f64>();
        Posterior { mean, variance: variance + between.max(0.0), log_density: top + total.ln() }
    }

    /// ln w_k N(x; alpha mu_k, V_k).
    fn log_joint(&self, k: usize, x: &[f64], c: &Coefficients) -> f64 {
        let (mu, log_of) = (self.means.row(k), |v: f64| (std::f64::consts::TAU * v).ln());
        let energy = match self.shape(k) {
            // Without allocations: this is the inner loop over the points of a data set.
            Shape::Isotropic(s) => {
                let v = variance(*s, c);
                let square: f64 = x.iter().zip(mu).map(|(x, m)| (x - c.alpha * m).powi(2)).sum();
                square / v + x.len() as f64 * log_of(v)
            }
            shape @ Shape::Full { .. } => {
                let y = shape.turn(self.difference(k, x, c));
                let v = |i| variance(shape.eigenvalue(i), c);
                y.iter().enumerate().map(|(i, y)| y * y / v(i) + log_of(v(i))).sum()
            }
        };
        self.log_weights[k] - 0.5 * energy
    }

    /// x - alpha mu_k.
    fn difference(&self, k: usize, x: &[f64], c: &Coefficients) -> Vec<f64> {
        x.iter().zip(self.means.row(k)).map(|(x, m)| x - c.alpha * m).collect()
    }

    /// Mean and summed variance of the target given the component.
    fn given_component(&self, k: usize, x: &[f64], c: &Coefficients, target: &Target) -> (Vec<f64>, f64) {
        let shape = self.shape(k);
        let kappa = target.x0 * c.sigma + target.eps * c.gamma;
        let own_noise = target.x0 * target.x0 + target.eps * target.eps;
        let mut pulled = shape.turn(self.difference(k, x, c));
        let mut variance_sum = 0.0;
        for (i, y) in pulled.iter_mut().enumerate() {
            let s = shape.eigenvalue(i);
            let (v, covariance) = (variance(s, c), target.x1 * c.alpha * s + kappa);
            variance_sum += target.x1 * target.x1 * s + own_noise - covariance * covariance / v;
            *y *= covariance / v;
        }
        let mut mean = shape.turn_back(pulled);
        mean.iter_mut().zip(self.means.row(k)).for_each(|(m, mu)| *m += target.x1 * mu);
        (mean, variance_sum.max(0.0))
    }

    /// The point alpha mu_k + Q sqrt(V_k) z of the path.
    pub(super) fn place(&self, k: usize, z: &[f64], c: &Coefficients) -> Vec<f64> {
        let shape = self.shape(k);
        let scaled = z.iter().enumerate().map(|(i, z)| variance(shape.eigenvalue(i), c).sqrt() * z).collect();
        shape.turn_back(scaled).iter().zip(self.means.row(k)).map(|(x, mu)| x + c.alpha * mu).collect()
    }

    /// The probability of a component.
    pub(super) fn weight(&self, k: usize) -> f64 {
        self.log_weights[k].exp()
    }

    /// The component at position u in (0, 1) of the cumulative weights.
    pub(super) fn component_at(&self, u: f64) -> usize {
        let mut before = 0.0;
        let last = self.components() - 1;
        (0..last)
            .find(|k| {
                before += self.weight(*k);
                u < before
            })
            .unwrap_or(last)
    }

    fn shape(&self, k: usize) -> &Shape {
        self.shapes.get(k).unwrap_or(&self.shapes[0])
    }
}

/// Variance of x_t along an eigenvector whose data variance is s.
fn variance(s: f64, c: &Coefficients) -> f64 {
    c.alpha * c.alpha * s + c.noise_variance()
}
