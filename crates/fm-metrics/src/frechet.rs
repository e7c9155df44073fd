//! The Fréchet distance between Gaussians.
//!
//! D(a, b) = |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), the squared 2-Wasserstein
//! distance of N(mu_a, S_a) and N(mu_b, S_b). The trace of the root is the sum of the square roots
//! of the eigenvalues of the symmetric matrix S_a^(1/2) S_b S_a^(1/2). This takes only real
//! arithmetic and no iteration that can fail, and eigenvalues made negative by rounding count as 0,
//! so covariances near rank deficiency are safe. Unit: that of the features, squared. On features
//! of the Inception network of its protocol this is FID; on others it is not. It decreases with the
//! number of samples by about a constant divided by that number, so only distances from equal
//! numbers of samples are comparable. Source: Dowson and Landau, "The Fréchet distance between
//! multivariate normal distributions" (1982); Heusel et al., "GANs trained by a two time-scale
//! update rule" (2017).
//!
//! ```
//! use fm_metrics::frechet::frechet;
//! use fm_metrics::moments::Gaussian;
//! use ndarray::{Array2, array};
//! let of = |mean, diagonal| Gaussian { mean, covariance: Array2::from_diag(&diagonal), count: None };
//! // With diagonal covariances: a difference of means and one of deviations per dimension.
//! let (a, b) = (of(array![0.0, 1.0], array![1.0, 4.0]), of(array![3.0, 1.0], array![1.0, 25.0]));
//! assert!((frechet(&a, &b)? - (9.0 + 0.0 + 0.0 + 9.0)).abs() < 1e-12);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::{count, fits, same_space};
use crate::estimate::{Estimate, jackknife};
use crate::moments::{Gaussian, Moments};
use faer::{Mat, Side};
use fm_core::rng::{Key, Stream, normal_rows};
use ndarray::Array2;

/// The distance D of two Gaussians, not its square root.
///
/// # Errors
/// [`MetricError::Gaussian`] for a mean and a covariance whose shapes do not match, that are not
/// finite, or that are not a valid covariance; different dimensions; a failed eigenvalue
/// computation.
#[doc(alias = "FrechetInceptionDistance")]
#[doc(alias = "sqrtm")]
pub fn frechet(a: &Gaussian, b: &Gaussian) -> Result<f64, MetricError> {
    Reference::new(a)?.to(b)
}

/// The distance of all groups of rows taken together, with its jackknife error over the groups that
/// have rows; NaN for fewer than two of them, or if too few rows are left without one.
///
/// # Errors
/// As [`frechet`]; too few rows for the number of features.
pub fn estimate(reference: &Gaussian, groups: &[Moments]) -> Result<Estimate, MetricError> {
    let from = Reference::new(reference)?;
    let Some(first) = groups.first() else { return Err(MetricError::Rank { dimensions: from.dim(), got: 0 }) };
    let all = groups.iter().try_fold(first.empty(), |sum, group| sum.with(group))?;
    let value = from.to(&all.gaussian()?)?;
    // Leaving out a group without rows changes nothing, and would make the error too small.
    let groups: Vec<&Moments> = groups.iter().filter(|group| group.count() > 0).collect();
    let error = match jackknife(groups.len(), |k| from.to(&all.without(groups[k])?.gaussian()?)) {
        Err(MetricError::Rank { .. } | MetricError::TooFew { .. }) => f64::NAN,
        other => other?,
    };
    Ok(Estimate { value, error })
}

/// A reference Gaussian, with the root of its covariance.
struct Reference<'a> {
    gaussian: &'a Gaussian,
    root: Mat<f64>,
}

impl<'a> Reference<'a> {
    fn new(gaussian: &'a Gaussian) -> Result<Self, MetricError> {
        gaussian.check()?;
        let d = gaussian.mean.len();
        let failed = |_| MetricError::Eigenvalues { dimensions: d };
        let eigen = mat(&gaussian.covariance).self_adjoint_eigen(Side::Lower).map_err(failed)?;
        let (u, s) = (eigen.U(), eigen.S());
        positive((0..d).map(|j| s[j]))?;
        let scaled = Mat::from_fn(d, d, |i, j| u[(i, j)] * s[j].max(0.0).sqrt());
        Ok(Self { gaussian, root: &scaled * u.transpose() })
    }

    fn dim(&self) -> usize {
        self.gaussian.mean.len()
    }

    fn to(&self, other: &Gaussian) -> Result<f64, MetricError> {
        let (left, right) = (other.mean.len(), self.dim());
        same_space(left, right)?;
        other.check()?;
        let product = &self.root * mat(&other.covariance) * &self.root;
        let symmetric = Mat::from_fn(right, right, |i, j| 0.5 * (product[(i, j)] + product[(j, i)]));
        let failed = |_| MetricError::Eigenvalues { dimensions: right };
        let eigenvalues = symmetric.self_adjoint_eigenvalues(Side::Lower).map_err(failed)?;
        positive(eigenvalues.iter().copied())?;
        let root_trace: f64 = eigenvalues.iter().map(|v| v.max(0.0).sqrt()).sum();
        let moved = (&self.gaussian.mean - &other.mean).mapv(|v| v * v).sum();
        let traces = self.gaussian.covariance.diag().sum() + other.covariance.diag().sum();
        Ok(moved + traces - 2.0 * root_trace)
    }
}

/// `rows` draws (rows, d) of a Gaussian: mean + R z with R the symmetric root of the covariance and
/// z normal, a function of the seed.
///
/// # Errors
/// A Gaussian that is not one, a number of rows of 0, and more numbers than fit into memory.
pub fn draw(gaussian: &Gaussian, rows: usize, seed: u64) -> Result<Array2<f64>, MetricError> {
    let reference = Reference::new(gaussian)?;
    let d = reference.dim();
    count("the number of rows", 1, 1 << 31, rows)?;
    fits(rows, d)?;
    let normal = normal_rows(Key::new(seed, 0, Stream::Sample), rows, d);
    let normal = Mat::from_fn(rows, d, |i, j| f64::from(normal[i * d + j]));
    let moved = normal * reference.root.transpose();
    Ok(Array2::from_shape_fn((rows, d), |(i, j)| gaussian.mean[j] + moved[(i, j)]))
}

/// Fails if an eigenvalue is more negative than rounding can explain.
fn positive(eigenvalues: impl Iterator<Item = f64> + Clone) -> Result<(), MetricError> {
    let largest = eigenvalues.clone().fold(0.0f64, |most, v| most.max(v.abs()));
    match eigenvalues.into_iter().find(|v| *v < -1e-3 * largest) {
        Some(value) => {
            Err(MetricError::Gaussian { problem: format!("its covariance has an eigenvalue of {value:.3e}") })
        }
        None => Ok(()),
    }
}

fn mat(array: &Array2<f64>) -> Mat<f64> {
    Mat::from_fn(array.nrows(), array.ncols(), |i, j| array[[i, j]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_gaussians_moments() {
        let covariance = array![[2.0, 0.6, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 0.0]];
        let wanted = Gaussian { mean: array![1.0, -2.0, 5.0], covariance, count: None };
        let rows = draw(&wanted, 40_000, 3).unwrap();
        let mut found = crate::moments::Moments::like(rows.view()).unwrap();
        found.add(rows.view()).unwrap();
        let found = found.gaussian().unwrap();
        // Standard errors: at most .007 of the means, .014 of the covariances.
        assert!((&found.mean - &wanted.mean).iter().all(|d| d.abs() < 0.035), "{}", found.mean);
        assert!((&found.covariance - &wanted.covariance).iter().all(|d| d.abs() < 0.07), "{}", found.covariance);
        assert_eq!(rows, draw(&wanted, 40_000, 3).unwrap());
        assert!(draw(&wanted, 0, 0).is_err());
    }
    use ndarray::{Array1, array};

    /// Half of the directions have no variance on either side; the covariances are diagonal in the
    /// others.
    #[test]
    fn covariances_without_full_rank_are_no_trouble() {
        let d = 40;
        let turn = |i: usize, j: usize| {
            // Orthonormal: the discrete cosine transform.
            let scale = if i == 0 { (1.0 / d as f64).sqrt() } else { (2.0 / d as f64).sqrt() };
            scale * (std::f64::consts::PI * i as f64 * (j as f64 + 0.5) / d as f64).cos()
        };
        let axes = Array2::from_shape_fn((d, d), |(i, j)| turn(i, j));
        let of = |deviation: &dyn Fn(usize) -> f64| Gaussian {
            mean: Array1::zeros(d),
            covariance: axes
                .t()
                .dot(&Array2::from_diag(&Array1::from_shape_fn(d, |i| deviation(i).powi(2))))
                .dot(&axes),
            count: None,
        };
        let flat = |i: usize, s: f64| if i.is_multiple_of(2) { s * (1.0 + i as f64) } else { 0.0 };
        let (a, b) = (of(&|i| flat(i, 1.0)), of(&|i| flat(i, 1.5)));
        let want: f64 = (0..d).map(|i| flat(i, 0.5).powi(2)).sum();
        let off = frechet(&a, &b).unwrap() / want - 1.0;
        // A value of 0 is accurate to 1e-16 of the largest, and its root to 1e-8.
        assert!(off.abs() < 1e-6, "{off}");
        let own = frechet(&a, &a).unwrap() / want;
        assert!(own.abs() < 1e-6, "{own}");
    }

    /// Groups whose sums are about different points give the same result as one group.
    #[test]
    fn groups_about_any_points_have_one_distance() {
        let rows = Array2::from_shape_fn((40, 2), |(i, j)| ((7 * i + 5 * j + i * j) % 13) as f32);
        let sums = |from: usize, to: usize, like: ndarray::ArrayView2<'_, f32>| {
            let mut sums = Moments::like(like).unwrap();
            sums.add(rows.slice(ndarray::s![from..to, ..])).unwrap();
            sums
        };
        let reference = Gaussian { mean: array![1.0, 2.0], covariance: array![[2.0, 1.0], [1.0, 3.0]], count: None };
        let near = |k: usize| sums(10 * k, 10 * k + 10, rows.view());
        let own = |k: usize| sums(10 * k, 10 * k + 10, rows.slice(ndarray::s![10 * k..10 * k + 3, ..]));
        let [one, other] = [(0..4).map(near).collect::<Vec<_>>(), (0..4).map(own).collect()]
            .map(|groups| estimate(&reference, &groups).unwrap());
        assert!((one.value - other.value).abs() < 1e-9 && (one.error - other.error).abs() < 1e-9, "{one:?} {other:?}");
    }

    /// Ten groups of which seven have no rows are three groups.
    #[test]
    fn groups_without_rows_do_not_count() {
        let rows = Array2::from_shape_fn((30, 2), |(i, j)| ((7 * i + 5 * j + i * j) % 13) as f32);
        let reference = Gaussian { mean: array![1.0, 2.0], covariance: array![[2.0, 1.0], [1.0, 3.0]], count: None };
        let empty = Moments::like(rows.view()).unwrap().empty();
        let mut groups = vec![empty.clone(); 3];
        for (k, sums) in groups.iter_mut().enumerate() {
            sums.add(rows.slice(ndarray::s![10 * k..10 * k + 10, ..])).unwrap();
        }
        let three = estimate(&reference, &groups).unwrap();
        groups.extend(vec![empty.clone(); 7]);
        assert_eq!(estimate(&reference, &groups).unwrap(), three);
        assert!(three.standard_error().is_some());
        let one = estimate(&reference, &[groups[0].with(&groups[1]).unwrap(), empty.clone(), empty]).unwrap();
        assert_eq!(one.standard_error(), None);
    }

    #[test]
    fn what_cannot_be_compared() {
        let of = |d: usize| Gaussian { mean: Array1::zeros(d), covariance: Array2::eye(d), count: None };
        assert!(matches!(frechet(&of(2), &of(3)), Err(MetricError::Dimension { left: 3, right: 2 })));
        let broken = |mean: usize, covariance: Array2<f64>| {
            let one = Gaussian { mean: Array1::zeros(mean), covariance, count: None };
            let told = |found: Result<f64, MetricError>| matches!(found, Err(MetricError::Gaussian { .. }));
            told(frechet(&one, &one)) && (mean != 2 || told(frechet(&of(2), &one)))
        };
        assert!(
            broken(0, Array2::zeros((0, 0))) && broken(2, Array2::zeros((2, 3))) && broken(2, Array2::zeros((3, 3)))
        );
        for value in [f64::NAN, f64::INFINITY, 1e200] {
            assert!(broken(2, array![[1.0, 0.0], [0.0, value]]));
        }
        // Not symmetric; a negative variance; a correlation above 1.
        assert!(broken(2, array![[1.0, 0.5], [0.0, 1.0]]));
        assert!(broken(2, array![[1.0, 0.0], [0.0, -1.0]]) && broken(2, array![[1.0, 2.0], [2.0, 1.0]]));
        let mut few = Moments::like(array![[0f32, 0.0]].view()).unwrap();
        few.add(array![[0f32, 0.0], [1.0, 1.0]].view()).unwrap();
        assert!(matches!(estimate(&of(2), &[few]), Err(MetricError::Rank { dimensions: 2, got: 2 })));
    }
}
