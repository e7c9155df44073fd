//! Cost matrices between two sets of points: what it costs to send row x_i to row y_j.
//!
//! | [`Metric`] | C_ij | unit |
//! |---|---|---|
//! | `squared-euclidean` | \|x_i - y_j\|^2 | of the data, squared |
//! | `euclidean` | \|x_i - y_j\| | of the data |
//! | `cosine` | 1 - x_i . y_j / (\|x_i\| \|y_j\|) | none, from 0 to 2; 1 beside a zero row |
//!
//! and [`pairwise`] takes any function of two rows. Squared distances are expanded to |x_i|^2 + |y_j|^2 - 2 x_i . y_j so that a matrix
//! product in f64 does the work, on points centred at their common mean, in blocks of rows on all cores. Where the terms nearly cancel the
//! distance is computed again by its definition: every entry has a relative error below 1e-10, and equal points have distance 0.
//!
//! [`add_conditions`] makes a cost condition-aware (Cheng and Schwing, "The curse of conditions: analyzing and improving optimal
//! transport for conditional flow-based generation", 2025): pairs whose conditions differ cost more.
//!
//! ```
//! use fm_ot::cost::{Metric, pairwise};
//! use ndarray::array;
//! let (x, y) = (array![[0.0f32, 3.0]], array![[4.0f32, 0.0], [0.0, 3.0]]);
//! assert_eq!(Metric::SquaredEuclidean.matrix(x.view(), y.view())?, array![[25.0, 0.0]]);
//! assert_eq!(Metric::Cosine.matrix(x.view(), y.view())?, array![[1.0, 0.0]]);
//! let city_block = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum();
//! assert_eq!(pairwise(x.view(), y.view(), city_block)?, array![[7.0, 0.0]]);
//! # Ok::<(), fm_ot::OtError>(())
//! ```

use crate::OtError;
use fm_core::coupling::Conditions;
use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, Axis, Zip};

fm_core::choice! {
    /// A cost by its name.
    #[derive(Default)]
    pub enum Metric("cost") {
        /// The cost of the 2-Wasserstein distance, whose optimal paths do not cross.
        #[default]
        SquaredEuclidean = "squared-euclidean" | "sqeuclidean",
        /// The distance itself.
        Euclidean = "euclidean",
        /// The angle, whatever the norms.
        Cosine = "cosine",
    }
}

impl Metric {
    /// The costs between the rows of `x` (n, d) and of `y` (m, d), as an (n, m) matrix. NaN in the points stays for the solver to report.
    ///
    /// # Errors
    /// [`OtError::Dimension`] when the dimensions differ.
    pub fn matrix(self, x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Result<Array2<f64>, OtError> {
        same_dimension(x, y)?;
        Ok(match self {
            Metric::SquaredEuclidean => squared_euclidean(x, y),
            Metric::Euclidean => squared_euclidean(x, y).mapv_into(f64::sqrt),
            Metric::Cosine => cosine(x, y),
        })
    }
}

/// The cost that `between` gives to each pair of rows, on all cores.
///
/// # Errors
/// [`OtError::Dimension`] when the dimensions differ.
pub fn pairwise(
    x: ArrayView2<'_, f32>,
    y: ArrayView2<'_, f32>,
    between: impl Fn(&[f32], &[f32]) -> f64 + Sync,
) -> Result<Array2<f64>, OtError> {
    same_dimension(x, y)?;
    let (x, y) = (x.as_standard_layout(), y.as_standard_layout());
    let mut cost = Array2::zeros((x.nrows(), y.nrows()));
    cost.axis_iter_mut(Axis(0)).into_par_iter().zip(x.axis_iter(Axis(0))).for_each(|(mut row, a)| {
        for (c, b) in row.iter_mut().zip(y.rows()) {
            *c = between(a.as_slice().unwrap_or(&[]), b.as_slice().unwrap_or(&[]));
        }
    });
    Ok(cost)
}

/// Adds to each entry `weight`, in units of the mean cost, times the distance of its row's and its column's conditions: 1 where classes
/// differ and 0 where they do not; for vectors the squared Euclidean distance, in units of its mean.
///
/// # Errors
/// [`OtError::Conditions`] when there is not one condition for each row and each column.
pub fn add_conditions(cost: &mut Array2<f64>, conditions: Conditions<'_>, weight: f64) -> Result<(), OtError> {
    let conditions_given = match &conditions {
        Conditions::None => return Ok(()),
        Conditions::Classes(classes) => classes.len(),
        Conditions::Values(values) => values.nrows(),
    };
    if cost.dim() != (conditions_given, conditions_given) {
        let (rows, columns) = cost.dim();
        return Err(OtError::Conditions { conditions: conditions_given, rows, columns });
    }
    let weight = weight * cost.mean().unwrap_or(0.0).abs();
    match conditions {
        Conditions::None => {}
        Conditions::Classes(classes) => {
            Zip::indexed(cost).for_each(|(i, j), c| *c += if classes[i] == classes[j] { 0.0 } else { weight });
        }
        Conditions::Values(values) => {
            let apart = squared_euclidean(values, values);
            let mean = apart.mean().unwrap_or(0.0);
            if mean > 0.0 {
                cost.scaled_add(weight / mean, &apart);
            }
        }
    }
    Ok(())
}

fn same_dimension(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Result<(), OtError> {
    let (left, right) = (x.ncols(), y.ncols());
    if left == right { Ok(()) } else { Err(OtError::Dimension { left, right }) }
}

/// Rows of the cost that are computed together.
const BLOCK: usize = 64;
/// A squared distance below this share of the norms that it is the difference of is computed again.
const CANCELLED: f64 = 1e-5;

fn squared_euclidean(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f64> {
    let (mut p, mut q) = (x.mapv(f64::from), y.mapv(f64::from));
    let rows = (p.nrows() + q.nrows()).max(1) as f64;
    let mean = (p.sum_axis(Axis(0)) + q.sum_axis(Axis(0))) / rows;
    p -= &mean;
    q -= &mean;
    let norms = q.map_axis(Axis(1), |row| row.dot(&row));
    let mut cost = Array2::zeros((p.nrows(), q.nrows()));
    cost.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().zip(p.axis_chunks_iter(Axis(0), BLOCK)).for_each(
        |(mut cost, p)| {
            ndarray::linalg::general_mat_mul(-2.0, &p, &q.t(), 0.0, &mut cost);
            for (mut row, a) in cost.rows_mut().into_iter().zip(p.rows()) {
                let norm = a.dot(&a);
                for ((c, b), other) in row.iter_mut().zip(&norms).zip(q.rows()) {
                    let scale = norm + b;
                    *c += scale;
                    if *c < CANCELLED * scale {
                        *c = a.iter().zip(other).map(|(a, b)| (a - b) * (a - b)).sum();
                    }
                }
            }
        },
    );
    cost
}

fn cosine(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f64> {
    let unit = |x: ArrayView2<'_, f32>| {
        let mut x = x.mapv(f64::from);
        for mut row in x.rows_mut() {
            let norm = row.dot(&row).sqrt();
            // NaN stays NaN; a row without direction is orthogonal to all.
            row.mapv_inplace(|v| if norm == 0.0 { 0.0 } else { v / norm });
        }
        x
    };
    let (p, q) = (unit(x), unit(y));
    let mut cost = Array2::zeros((p.nrows(), q.nrows()));
    cost.axis_chunks_iter_mut(Axis(0), BLOCK).into_par_iter().zip(p.axis_chunks_iter(Axis(0), BLOCK)).for_each(
        |(mut cost, p)| {
            ndarray::linalg::general_mat_mul(-1.0, &p, &q.t(), 0.0, &mut cost);
            cost.mapv_inplace(|c| if c < -1.0 { 0.0 } else { 1.0 + c });
        },
    );
    cost
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::rng::{Stream, normal_rows};

    fn points(step: u64, rows: usize, dim: usize) -> Array2<f32> {
        Array2::from_shape_vec((rows, dim), normal_rows(1, step, Stream::Data, 0, rows, dim)).unwrap()
    }

    fn squared(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
    }

    #[test]
    fn agrees_with_the_definition_far_from_the_origin_and_at_small_distances() {
        // Two clusters 2000 apart, each with pairs that are 1e-3 and 0 apart.
        let mut x = points(0, 150, 48) + 1000.0;
        x.slice_mut(ndarray::s![..75, ..]).mapv_inplace(|v| v - 2000.0);
        let mut y = x.clone();
        y.slice_mut(ndarray::s![10.., ..]).mapv_inplace(|v| v + 1e-3);
        let want = pairwise(x.view(), y.view(), squared).unwrap();
        let got = Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap();
        for ((got, want), root) in got.iter().zip(&want).zip(Metric::Euclidean.matrix(x.view(), y.view()).unwrap()) {
            assert!((got - want).abs() <= 1e-10 * want, "{got} against {want}");
            assert!((root * root - want).abs() <= 1e-10 * want);
        }
        assert!((0..10).all(|i| got[(i, i)] == 0.0));
    }

    #[test]
    fn cosine_is_its_definition() {
        let (x, y) = (points(0, 70, 5), points(1, 6, 5));
        let definition = |a: &[f32], b: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let want = pairwise(x.view(), y.view(), definition).unwrap();
        let got = Metric::Cosine.matrix(x.view(), y.view()).unwrap();
        assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-14));
        let zero = Array2::zeros((1, 5));
        assert_eq!(Metric::Cosine.matrix(zero.view(), y.view()).unwrap(), Array2::<f64>::ones((1, 6)));
    }

    #[test]
    fn conditions_cost_what_they_say() {
        let mut cost = ndarray::array![[1.0, 3.0], [3.0, 1.0]];
        add_conditions(&mut cost, Conditions::Classes(&[4, 5]), 10.0).unwrap();
        assert_eq!(cost, ndarray::array![[1.0, 23.0], [23.0, 1.0]]);
        let mut cost = ndarray::array![[1.0, 3.0], [3.0, 1.0]];
        // Mean cost 2; squared condition distances 0, 9, 9, 0 with mean 4.5.
        add_conditions(&mut cost, Conditions::Values(ndarray::array![[0.0f32], [3.0]].view()), 1.0).unwrap();
        assert_eq!(cost, ndarray::array![[1.0, 7.0], [7.0, 1.0]]);
        add_conditions(&mut cost, Conditions::None, 1.0).unwrap();
        assert_eq!(cost[(0, 1)], 7.0);
        let few = add_conditions(&mut cost, Conditions::Classes(&[4]), 1.0);
        assert_eq!(few, Err(OtError::Conditions { conditions: 1, rows: 2, columns: 2 }));
    }

    #[test]
    fn nan_is_kept_for_the_solver_to_report() {
        let (x, y) = (ndarray::array![[f32::NAN]], ndarray::array![[1.0f32]]);
        for entry in Metric::TABLE {
            let metric = Metric::parse(entry.name()).unwrap();
            assert!(metric.matrix(x.view(), y.view()).unwrap()[(0, 0)].is_nan(), "{metric}");
        }
        let wide = ndarray::array![[1.0f32, 2.0]];
        assert_eq!(Metric::Cosine.matrix(x.view(), wide.view()), Err(OtError::Dimension { left: 1, right: 2 }));
    }

    use fm_core::choice::Choice;
}
