//! Mixtures of Gaussians, and what a point on the path says about the component and the target.

use crate::Error;
use crate::path::Coefficients;
use crate::prediction::Target;
use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// A mixture of Gaussians in d dimensions.
#[derive(Debug, Clone)]
pub struct Mixture {
    log_weights: Vec<f64>,
    means: Array2<f64>,
    /// One a component, or one for all.
    shapes: Vec<Shape>,
}

/// A covariance by its eigenvalues; without a basis it is diagonal.
#[derive(Debug, Clone)]
struct Shape {
    /// Eigenvectors as rows.
    basis: Option<Array2<f64>>,
    eigenvalues: Vec<f64>,
}

/// A target given a point on the path.
#[derive(Debug, Clone, PartialEq)]
pub struct Posterior {
    /// Its mean, d values.
    pub mean: Vec<f64>,
    /// Its variance, summed over the d dimensions.
    pub variance: f64,
    /// ln p_t(x), the log density of the point itself.
    pub log_density: f64,
}

/// A mixture that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MixtureError {
    /// Counts differ, or are zero.
    #[error(
        "a mixture needs as many weights and covariances as means, and at least one value in each; got {weights} weights, {covariances} covariances, means {means:?}"
    )]
    Shape {
        /// Weights.
        weights: usize,
        /// Covariances.
        covariances: usize,
        /// Rows and columns of the means.
        means: (usize, usize),
    },
    /// A weight, mean or covariance that is none.
    #[error("component {component}: {problem}")]
    Component {
        /// Which.
        component: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// An error of the path or prediction.
    #[error(transparent)]
    Core(#[from] Error),
}

impl Mixture {
    /// Components with covariance `variances[k]` I; weights are scaled to sum 1. `means` is (components, dimensions).
    ///
    /// # Errors
    /// Counts that differ; weights that are not above 0; means that are not finite; variances below 0.
    pub fn isotropic(weights: &[f64], means: ArrayView2<'_, f64>, variances: &[f64]) -> Result<Self, MixtureError> {
        let shapes = variances.iter().map(|v| Shape { basis: None, eigenvalues: vec![*v; means.ncols()] }).collect();
        Self::checked(weights, means, shapes)
    }

    /// Components with full covariances, each (dimensions, dimensions), symmetric and without negative eigenvalues.
    ///
    /// # Errors
    /// As [`isotropic`](Self::isotropic), and a covariance that is not square, symmetric and positive semi-definite.
    pub fn full(
        weights: &[f64],
        means: ArrayView2<'_, f64>,
        covariances: &[Array2<f64>],
    ) -> Result<Self, MixtureError> {
        let d = means.ncols();
        let decompose = |(component, s): (usize, &Array2<f64>)| {
            let symmetric = s.dim() == (d, d) && (s - &s.t()).iter().all(|e| e.abs() < 1e-9 * (1.0 + s[[0, 0]].abs()));
            if !symmetric || s.iter().any(|v| !v.is_finite()) {
                return Err(MixtureError::Component { component, problem: "its covariance is not a symmetric matrix" });
            }
            let eigen = SymmetricEigen::new(DMatrix::from_fn(d, d, |i, j| s[[i, j]]));
            let basis = Array2::from_shape_fn((d, d), |(i, j)| eigen.eigenvectors[(j, i)]);
            // A zero eigenvalue may come out as a rounding error below zero.
            let tiny = 1e-12 * eigen.eigenvalues.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            let eigenvalues = eigen.eigenvalues.iter().map(|v| if v.abs() <= tiny { 0.0 } else { *v }).collect();
            Ok(Shape { basis: Some(basis), eigenvalues })
        };
        let shapes = covariances.iter().enumerate().map(decompose).collect::<Result<_, _>>()?;
        Self::checked(weights, means, shapes)
    }

    /// A finite data set, each point with the same probability: (points, dimensions).
    ///
    /// # Errors
    /// No points, or values that are not finite.
    pub fn empirical(points: ArrayView2<'_, f64>) -> Result<Self, MixtureError> {
        let (n, d) = points.dim();
        let mut mixture = Self::checked(
            &[1.0],
            points.slice(ndarray::s![..n.min(1), ..]),
            vec![Shape { basis: None, eigenvalues: vec![0.0; d] }],
        )?;
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
            if shapes[component].eigenvalues.iter().any(|v| !(*v >= 0.0 && v.is_finite())) {
                return problem("its covariance has a negative or infinite eigenvalue");
            }
        }
        let total: f64 = weights.iter().sum();
        let log_weights = weights.iter().map(|w| (w / total).ln()).collect();
        Ok(Self { log_weights, means: means.to_owned(), shapes })
    }

    /// Dimensions.
    pub fn dim(&self) -> usize {
        self.means.ncols()
    }

    /// Components.
    pub fn components(&self) -> usize {
        self.means.nrows()
    }

    /// Whether some component is a point, whose posterior has no limit where the path has no noise.
    pub fn has_points(&self) -> bool {
        self.shapes.iter().any(|s| s.eigenvalues.contains(&0.0))
    }

    /// What the point x (d values) at a time of the path says about a target. Not finite where a component and the path have no
    /// variance at all.
    pub fn posterior(&self, x: &[f64], c: &Coefficients, target: &Target) -> Posterior {
        let given = self.log_joint(x, c);
        let top = given.iter().map(|g| g.0).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = given.iter().map(|g| (g.0 - top).exp()).sum();
        let d = self.dim();
        let (mut mean, mut square, mut variance) = (vec![0.0; d], 0.0, 0.0);
        for (k, (log, y)) in given.iter().enumerate() {
            let r = (log - top).exp() / total;
            // What has no weight at all may be skipped; a NaN may not.
            if r == 0.0 {
                continue;
            }
            let (m, own) = self.given_component(k, y, c, target);
            mean.iter_mut().zip(&m).for_each(|(sum, m)| *sum += r * m);
            square += r * m.iter().map(|m| m * m).sum::<f64>();
            variance += r * own;
        }
        let between = square - mean.iter().map(|m| m * m).sum::<f64>();
        Posterior { mean, variance: variance + between.max(0.0), log_density: top + total.ln() }
    }

    /// For each component the log of w_k N(x; alpha mu_k, V_k), and x - alpha mu_k in the eigenbasis.
    fn log_joint(&self, x: &[f64], c: &Coefficients) -> Vec<(f64, Vec<f64>)> {
        let x = Array1::from(x.to_vec());
        let joint = |(k, mu): (usize, ndarray::ArrayView1<'_, f64>)| {
            let shape = self.shape(k);
            let difference = &x - &(&mu * c.alpha);
            let y = shape.basis.as_ref().map_or_else(|| difference.to_vec(), |q| q.dot(&difference).to_vec());
            let terms = y.iter().zip(&shape.eigenvalues).map(|(y, s)| {
                let v = variance(*s, c);
                y * y / v + (std::f64::consts::TAU * v).ln()
            });
            (self.log_weights[k] - 0.5 * terms.sum::<f64>(), y)
        };
        self.means.axis_iter(Axis(0)).enumerate().map(joint).collect()
    }

    /// Mean and summed variance of the target given the component, from y = Q (x - alpha mu).
    fn given_component(&self, k: usize, y: &[f64], c: &Coefficients, target: &Target) -> (Vec<f64>, f64) {
        let (shape, mu) = (self.shape(k), self.means.row(k));
        let kappa = target.x0 * c.sigma + target.eps * c.gamma;
        // The velocity's kappa is half the slope of the noise variance, finite even where sigma' is not.
        let kappa = if kappa.is_finite() { kappa } else { c.noise_covariance() };
        let own_noise = target.x0 * target.x0 + target.eps * target.eps;
        let mut variance_sum = 0.0;
        let pulled: Array1<f64> = y
            .iter()
            .zip(&shape.eigenvalues)
            .map(|(y, s)| {
                let (v, covariance) = (variance(*s, c), target.x1 * c.alpha * s + kappa);
                variance_sum += target.x1 * target.x1 * s + own_noise - covariance * covariance / v;
                covariance / v * y
            })
            .collect();
        let back = shape.basis.as_ref().map_or_else(|| pulled.clone(), |q| q.t().dot(&pulled));
        ((&mu * target.x1 + back).to_vec(), variance_sum.max(0.0))
    }

    /// The point alpha mu_k + Q sqrt(V_k) z of the path.
    pub(super) fn place(&self, k: usize, z: &[f64], c: &Coefficients) -> Vec<f64> {
        let shape = self.shape(k);
        let scaled: Array1<f64> = z.iter().zip(&shape.eigenvalues).map(|(z, s)| variance(*s, c).sqrt() * z).collect();
        let spread = shape.basis.as_ref().map_or_else(|| scaled.clone(), |q| q.t().dot(&scaled));
        (&self.means.row(k) * c.alpha + spread).to_vec()
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
