//! Cost matrices between two sets of points: what it costs to send row x_i to row y_j.
//!
//! | [`Metric`] | C_ij | unit |
//! |---|---|---|
//! | `squared-euclidean` | \|x_i - y_j\|^2 | of the data, squared |
//! | `euclidean` | \|x_i - y_j\| | of the data |
//! | `cosine` | 1 - x_i . y_j / (\|x_i\| \|y_j\|) | none, from 0 to 2; 1 beside a zero row |
//!
//! and [`pairwise`] takes any function of two rows. Squared distances of more than a few dimensions are expanded to
//! |x_i|^2 + |y_j|^2 - 2 x_i . y_j so that a matrix product in f64 does the work, on points centred at their common mean, in blocks of rows
//! on all cores. Where the terms nearly cancel the distance is computed again by its definition: every entry has a relative error below
//! 1e-10, and equal points have distance 0.
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

use crate::{OtError, pages};
use fm_core::coupling::Conditions;
use fm_core::product;
use multiversion::multiversion;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, Zip, s};
use rayon::prelude::*;

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
    /// [`OtError::Dimension`] when the dimensions differ, [`OtError::Memory`] for a matrix that cannot be allocated.
    pub fn matrix(self, x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Result<Array2<f64>, OtError> {
        let shape = shape(x, y)?;
        if shape.0 == 0 || shape.1 == 0 {
            return Ok(Array2::zeros(shape));
        }
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
/// [`OtError::Dimension`] when the dimensions differ, [`OtError::Memory`] for a matrix that cannot be allocated.
pub fn pairwise(
    x: ArrayView2<'_, f32>,
    y: ArrayView2<'_, f32>,
    between: impl Fn(&[f32], &[f32]) -> f64 + Sync,
) -> Result<Array2<f64>, OtError> {
    let mut cost = Array2::zeros(shape(x, y)?);
    if cost.is_empty() {
        return Ok(cost);
    }
    let (x, y) = (x.as_standard_layout(), y.as_standard_layout());
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
/// [`OtError::Weight`] for a weight that is negative, not finite or too large for these costs, [`OtError::Conditions`] when there is not one
/// condition for each row and each column, [`OtError::Condition`] for a vector that is not finite.
pub fn add_conditions(cost: &mut Array2<f64>, conditions: Conditions<'_>, weight: f64) -> Result<(), OtError> {
    check_weight(weight)?;
    let conditions_given = match &conditions {
        Conditions::None => return Ok(()),
        Conditions::Classes(classes) => classes.len(),
        Conditions::Values(values) => values.nrows(),
    };
    if cost.dim() != (conditions_given, conditions_given) {
        let (rows, columns) = cost.dim();
        return Err(OtError::Conditions { conditions: conditions_given, rows, columns });
    }
    let mean = cost.mean().unwrap_or(0.0).abs();
    if !mean.is_finite() {
        // Costs that are not finite stay for the solver to report.
        return Ok(());
    }
    let scaled = weight * mean;
    check_weight(scaled).map_err(|_| OtError::Weight { weight })?;
    match conditions {
        Conditions::None => {}
        Conditions::Classes(classes) => {
            Zip::indexed(cost).for_each(|(i, j), c| *c += if classes[i] == classes[j] { 0.0 } else { scaled });
        }
        Conditions::Values(values) => {
            if let Some(((row, column), _)) = values.indexed_iter().find(|(_, v)| !v.is_finite()) {
                return Err(OtError::Condition { row, column });
            }
            let apart = squared_euclidean(values, values);
            let mean = apart.mean().unwrap_or(0.0);
            if mean > 0.0 {
                cost.scaled_add(scaled / mean, &apart);
            }
        }
    }
    Ok(())
}

/// Fails unless a weight of conditions is a finite number, 0 or above.
pub(crate) fn check_weight(weight: f64) -> Result<(), OtError> {
    if weight >= 0.0 && weight.is_finite() { Ok(()) } else { Err(OtError::Weight { weight }) }
}

/// The shape of the cost between two sets of points of one dimension, which can be allocated.
fn shape(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Result<(usize, usize), OtError> {
    let (left, right) = (x.ncols(), y.ncols());
    if left != right {
        return Err(OtError::Dimension { left, right });
    }
    let shape = (x.nrows(), y.nrows());
    pages::check(shape)?;
    Ok(shape)
}

/// Rows of the cost that are computed together, at least and at most: as many blocks as threads, if that leaves enough to do in each. How rows are
/// shared out changes no bit of the result.
const BLOCK: (usize, usize) = (32, 512);
/// Dimensions that are multiplied at a time: the sides as f64 are never in memory as a whole.
const PANEL: usize = 512;
/// Rows of a side that say where the points are.
const SOME: usize = 64;
/// Up to so many dimensions distances are computed by their definition, which writing them down then takes longer than.
const FEW: usize = 8;
/// A squared distance below this share of the norms that it is the difference of is computed again.
const CANCELLED: f64 = 1e-5;

fn squared_euclidean(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f64> {
    if x.ncols() <= FEW {
        return by_definition(x, y);
    }
    let amid = amid(x, y);
    let (mut own, mut others) = (vec![0.0; x.nrows()], vec![0.0; y.nrows()]);
    let mut cost = pages::zeros((x.nrows(), y.nrows()));
    let block = rows_of_a_block(x.nrows());
    for start in (0..x.ncols()).step_by(PANEL) {
        let panel = s![.., start..x.ncols().min(start + PANEL)];
        let (x_panel, y_panel, amid) =
            (x.slice(panel), y.slice(panel), amid.slice(s![start..x.ncols().min(start + PANEL)]));
        let q = centred(y_panel, amid, &mut others);
        let blocks = cost.axis_chunks_iter_mut(Axis(0), block).into_par_iter();
        blocks.zip(x_panel.axis_chunks_iter(Axis(0), block)).zip(own.par_chunks_mut(block)).for_each(
            |((cost, x), own)| {
                product::gemm(cost, -2.0, centred(x, amid, own).view(), q.t());
            },
        );
    }
    let blocks = cost.axis_chunks_iter_mut(Axis(0), block).into_par_iter();
    blocks.zip(x.axis_chunks_iter(Axis(0), block)).zip(own.par_chunks(block)).for_each(|((mut cost, x), own)| {
        for ((mut row, a), norm) in cost.rows_mut().into_iter().zip(x.rows()).zip(own) {
            let mut cancelled = false;
            for (c, other) in row.iter_mut().zip(&others) {
                let scale = norm + other;
                *c += scale;
                cancelled |= *c < CANCELLED * scale;
            }
            if cancelled {
                for ((c, other), b) in row.iter_mut().zip(&others).zip(y.rows()) {
                    if *c < CANCELLED * (norm + other) {
                        *c = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
                    }
                }
            }
        }
    });
    cost
}

/// A point amid the points, so that far from the origin fewer distances cancel.
fn amid(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array1<f64> {
    let (mut sum, mut rows) = (Array1::zeros(x.ncols()), 0);
    for row in x.rows().into_iter().take(SOME).chain(y.rows().into_iter().take(SOME)) {
        sum.zip_mut_with(&row, |sum, v| *sum += f64::from(*v));
        rows += 1;
    }
    sum / f64::from(rows.max(1))
}

/// Rows about a point; adds to each row's squared norm.
fn centred(rows: ArrayView2<'_, f32>, point: ArrayView1<'_, f64>, norms: &mut [f64]) -> Array2<f64> {
    let mut centred = pages::zeros(rows.dim());
    let parts = centred.axis_iter_mut(Axis(0)).into_par_iter().zip(rows.axis_iter(Axis(0))).zip(norms);
    parts.for_each(|((mut to, from), norm)| {
        Zip::from(&mut to).and(&from).and(point).for_each(|to, v, p| *to = f64::from(*v) - p);
        *norm += to.dot(&to);
    });
    centred
}

fn rows_of_a_block(rows: usize) -> usize {
    rows.div_ceil(rayon::current_num_threads()).clamp(BLOCK.0, BLOCK.1)
}

/// A matrix of as many rows as `x`, filled by blocks of rows, on all cores.
fn by_blocks(
    x: ArrayView2<'_, f32>,
    columns: usize,
    fill: impl Fn(ArrayView2<'_, f32>, ArrayViewMut2<'_, f64>) + Sync,
) -> Array2<f64> {
    let mut cost = pages::zeros((x.nrows(), columns));
    let block = rows_of_a_block(x.nrows());
    let blocks = cost.axis_chunks_iter_mut(Axis(0), block).into_par_iter().zip(x.axis_chunks_iter(Axis(0), block));
    blocks.for_each(|(cost, x)| fill(x, cost));
    cost
}

fn by_definition(x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f64> {
    let columns: Vec<Vec<f64>> = y.columns().into_iter().map(|c| c.iter().map(|v| f64::from(*v)).collect()).collect();
    by_blocks(x, y.nrows(), |x, mut cost| {
        for (mut row, a) in cost.rows_mut().into_iter().zip(x.rows()) {
            if let Some(row) = row.as_slice_mut() {
                a.iter().zip(&columns).for_each(|(a, column)| add_squares(f64::from(*a), column, row));
            }
        }
    })
}

/// Adds the squared difference of a coordinate from that of each point.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn add_squares(a: f64, column: &[f64], squared: &mut [f64]) {
    squared.iter_mut().zip(column).for_each(|(to, b)| *to += (a - b) * (a - b));
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
    let q = unit(y);
    by_blocks(x, y.nrows(), |x, mut cost| {
        product::gemm(cost.view_mut(), -1.0, unit(x).view(), q.t());
        cost.mapv_inplace(|c| if c < -1.0 { 0.0 } else { 1.0 + c });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fm_core::rng::{Key, Stream, normal_rows};

    fn points(step: u64, rows: usize, dim: usize) -> Array2<f32> {
        Array2::from_shape_vec((rows, dim), normal_rows(Key::new(1, step, Stream::Data), rows, dim)).unwrap()
    }

    fn squared(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
    }

    #[test]
    fn agrees_with_the_definition_far_from_the_origin_and_at_small_distances() {
        for dim in [1, 2, FEW, FEW + 1, 48, PANEL, 2 * PANEL + 3] {
            // Two clusters 2000 apart, each with pairs that are 1e-3 and 0 apart.
            let mut x = points(0, 150, dim) + 1000.0;
            x.slice_mut(ndarray::s![..75, ..]).mapv_inplace(|v| v - 2000.0);
            let mut y = x.clone();
            y.slice_mut(ndarray::s![10.., ..]).mapv_inplace(|v| v + 1e-3);
            let want = pairwise(x.view(), y.view(), squared).unwrap();
            let got = Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap();
            let roots = Metric::Euclidean.matrix(x.view(), y.view()).unwrap();
            for ((got, want), root) in got.iter().zip(&want).zip(roots) {
                assert!((got - want).abs() <= 1e-10 * want, "{got} against {want}");
                assert!((root * root - want).abs() <= 1e-10 * want);
            }
            assert!((0..10).all(|i| got[(i, i)] == 0.0));
        }
    }

    #[test]
    fn threads_change_no_bit() {
        for dim in [2, 40, PANEL + 7] {
            let (x, y) = (points(0, 333, dim), points(1, 150, dim));
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap())
            };
            let one = with(1);
            assert!([2, 3, 7].iter().all(|n| with(*n) == one));
        }
    }

    #[test]
    fn empty_sides_have_empty_costs() {
        for (n, m, dim) in [(0, 3, 2), (3, 0, 2), (0, 0, 40), (3, 0, 40), (2, 2, 0)] {
            let got = Metric::SquaredEuclidean.matrix(points(0, n, dim).view(), points(1, m, dim).view()).unwrap();
            assert_eq!(got, Array2::<f64>::zeros((n, m)));
        }
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

    /// None of these may turn the conditions off.
    #[test]
    fn weights_and_conditions_without_meaning_are_errors() {
        let mut cost = ndarray::array![[1.0, 3.0], [3.0, 1.0]];
        for weight in [-1.0, f64::NAN, f64::INFINITY, f64::MAX] {
            let found = add_conditions(&mut cost, Conditions::Classes(&[4, 5]), weight);
            assert!(matches!(found, Err(OtError::Weight { .. })), "{weight}: {found:?}");
        }
        let values = ndarray::array![[0.0f32, 1.0], [3.0, f32::NAN]];
        let found = add_conditions(&mut cost, Conditions::Values(values.view()), 1.0);
        assert_eq!(found, Err(OtError::Condition { row: 1, column: 1 }));
        assert_eq!(cost, ndarray::array![[1.0, 3.0], [3.0, 1.0]]);
    }

    #[test]
    fn costs_of_more_points_than_fit_are_errors() {
        let many = Array2::<f32>::zeros((isize::MAX as usize, 0));
        for entry in Metric::TABLE {
            let metric = Metric::parse(entry.name()).unwrap();
            assert!(matches!(metric.matrix(many.view(), many.view()), Err(OtError::Memory { .. })), "{metric}");
            let none = Array2::<f32>::zeros((0, 0));
            assert!(metric.matrix(many.view(), none.view()).unwrap().is_empty());
        }
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
