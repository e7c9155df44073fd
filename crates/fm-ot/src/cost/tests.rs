//! Costs compared with their definitions.

use super::euclidean::{FEW, PANEL};
use super::*;
use fm_core::choice::Choice;
use fm_core::coupling::Conditions;
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

/// None of these may disable the conditions.
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

/// Coordinates that f32 cannot distinguish: one thousand plus multiples of 1e-6, where neighbouring
/// f32 are 6e-5 apart.
fn fine(step: u64, rows: usize, dim: usize) -> Array2<f64> {
    points(step, rows, dim).mapv(|v| 1000.0 + 1e-6 * f64::from(v))
}

#[test]
fn points_in_f64_are_not_rounded() {
    for dim in [2, FEW + 1, PANEL + 3] {
        let (x, y) = (fine(0, 40, dim), fine(1, 30, dim));
        let want =
            pairwise(x.view(), y.view(), |a, b| a.iter().zip(b).map(|(a, b): (&f64, &f64)| (a - b).powi(2)).sum());
        let (want, got) = (want.unwrap(), Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap());
        assert!(got.iter().zip(&want).all(|(g, w)| *w > 0.0 && (g - w).abs() <= 1e-10 * w), "{dim}");
        let single = Metric::SquaredEuclidean.matrix(x.mapv(|v| v as f32).view(), y.mapv(|v| v as f32).view()).unwrap();
        assert!(single.iter().all(|v| *v == 0.0));
    }
}

/// Points whose squared coordinates leave the range of f64, which those of f32 never do.
#[test]
fn angles_of_doubles_of_any_size() {
    for scale in [1e-200, 1.0, 1e200] {
        let (x, y) = (ndarray::array![[3.0 * scale, 4.0 * scale]], ndarray::array![[scale, 0.0], [0.0, 0.0]]);
        let got = Metric::Cosine.matrix(x.view(), y.view()).unwrap();
        assert!((got[(0, 0)] - 0.4).abs() < 1e-15 && got[(0, 1)] == 1.0, "{scale}: {got}");
    }
}

#[test]
fn a_metric_of_two_points_is_its_entry_of_the_matrix() {
    let (x, y) = (points(0, 5, 12), points(1, 6, 12));
    for metric in [Metric::SquaredEuclidean, Metric::Euclidean, Metric::Cosine] {
        let matrix = metric.matrix(x.view(), y.view()).unwrap();
        for ((i, j), entry) in matrix.indexed_iter() {
            let one = metric.cost(x.row(i).as_slice().unwrap(), y.row(j).as_slice().unwrap());
            assert!((one - entry).abs() < 1e-10, "{metric}");
        }
    }
    let zero = [0.0f32; 12];
    assert_eq!(Metric::Cosine.cost(&zero, x.row(0).as_slice().unwrap()), 1.0);
}

/// The same classes as numbers, in f32 and in f64.
#[test]
fn condition_vectors_may_be_doubles() {
    let cost = Metric::SquaredEuclidean.matrix(points(0, 9, 3).view(), points(1, 9, 3).view()).unwrap();
    let values = points(2, 9, 2);
    let [mut single, mut double, mut apart] = [cost.clone(), cost.clone(), cost];
    add_conditions(&mut single, Conditions::Values(values.view()), 2.0).unwrap();
    add_condition_vectors(&mut double, values.mapv(f64::from).view(), 2.0).unwrap();
    assert_eq!(single, double);
    add_condition_vectors(&mut apart, fine(2, 9, 2).view(), 2.0).unwrap();
    assert!(apart.iter().zip(&double).all(|(a, b)| (a / b - 1.0).abs() < 1e-6));
    let huge = Array2::from_shape_fn((9, 2), |(i, _)| if i == 0 { f64::MAX } else { -f64::MAX });
    assert_eq!(add_condition_vectors(&mut apart, huge.view(), 2.0), Err(OtError::TooLarge));
}
