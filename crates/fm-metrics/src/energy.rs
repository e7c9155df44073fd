//! The energy distance between two samples.
//!
//! D^2(X, Y) = 2 E|X - Y| - E|X - X'| - E|Y - Y'| with Euclidean norms: 0 exactly if both
//! distributions are equal. The estimate uses all pairs of different points and is unbiased, so an
//! estimate near 0 may be negative. Unit: that of the data. Source: Szekely and Rizzo, "Energy
//! statistics: a class of statistics based on distances" (2013).
//!
//! ```
//! use fm_metrics::energy::energy_distance;
//! use ndarray::array;
//! let (x, y) = (array![[0.0f32], [2.0]], array![[10.0f32], [12.0]]);
//! // 2 (10 + 12 + 8 + 10) / 4 - 2 - 2
//! assert_eq!(energy_distance(x.view(), y.view())?, 16.0);
//! # Ok::<(), fm_metrics::MetricError>(())
//! ```

use crate::MetricError;
use crate::checks::comparable;
use crate::distances::{mean_within, sum_over};
use crate::points::{Points, Scalar};
use ndarray::ArrayView2;

/// D^2 of two samples, (n, d) and (m, d).
///
/// # Errors
/// Different dimensions, fewer than two points on a side, values that are not finite.
#[doc(alias = "scipy.stats.energy_distance")]
pub fn energy_distance<T: Scalar>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<f64, MetricError> {
    between(x.into(), y.into())
}

fn between(x: Points<'_>, y: Points<'_>) -> Result<f64, MetricError> {
    comparable("the energy distance", 2, x, y)?;
    let (n, m) = (x.nrows(), y.nrows());
    let across = sum_over(x, y, f64::sqrt) / (n * m) as f64;
    Ok(2.0 * across - mean_within(x, f64::sqrt) - mean_within(y, f64::sqrt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};
    use rand::{Rng, SeedableRng};
    use rand_distr::StandardNormal;

    /// `scipy.stats.energy_distance([0, 2, 5], [1, 1.5, 7, 9]) ** 2` also counts the pair of each
    /// point with itself.
    #[test]
    fn is_scipys_but_for_the_bias() {
        let (x, y) = (array![[0.0f32], [2.0], [5.0]], array![[1.0f32], [1.5], [7.0], [9.0]]);
        let within = |z: &Array2<f32>| {
            let n = z.nrows() as f64;
            mean_within(z.view().into(), f64::sqrt) / n
        };
        let biased = energy_distance(x.view(), y.view()).unwrap() + within(&x) + within(&y);
        assert!((biased - 1.673_611_111_111_111_2).abs() < 1e-12, "{biased}");
    }

    #[test]
    fn shifted_normals_have_the_closed_form() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut normal = || Array2::from_shape_simple_fn((3000, 1), || rng.sample::<f32, _>(StandardNormal));
        let (x, y) = (normal(), normal());
        // X - Y ~ N(1, 2): E|X - Y| = 2 pi^-1/2 e^-1/4 + erf(1/2), and E|X - X'| = 2 pi^-1/2.
        let root = 2.0 / std::f64::consts::PI.sqrt();
        let want = 2.0 * (root * (-0.25f64).exp() + 0.520_499_877_813_046_5) - 2.0 * root;
        let got = energy_distance(x.view(), (&y + 1.0).view()).unwrap();
        assert!((got - want).abs() < 0.06, "{got} against {want}");
        assert!(energy_distance(x.view(), y.view()).unwrap().abs() < 0.005);
    }

    #[test]
    fn samples_that_cannot_be_compared() {
        let (one, two) = (array![[0.0f32]], array![[0.0f32, 1.0], [1.0, 0.0]]);
        assert!(matches!(energy_distance(one.view(), two.view()), Err(MetricError::Dimension { .. })));
        assert!(matches!(energy_distance(one.view(), one.view()), Err(MetricError::TooFew { .. })));
        let broken = array![[0.0f32, 1.0], [f32::NAN, 0.0]];
        let place = |found: Result<f64, MetricError>| match found {
            Err(MetricError::NotFinite { set, row, column, .. }) => (set, row, column),
            other => panic!("{other:?}"),
        };
        assert_eq!(place(energy_distance(broken.view(), two.view())), ("samples", 1, 0));
        assert_eq!(place(energy_distance(two.view(), broken.view())), ("reference", 1, 0));
    }
}
