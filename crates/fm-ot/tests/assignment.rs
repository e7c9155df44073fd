//! Exact assignments against brute force, SciPy, POT and their own certificate.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use fm_ot::OtError;
use fm_ot::assignment::{Assignment, assign};
use fm_ot::cost::Metric;
use fm_ot::marginals::Marginals;
use fm_ot::transport::transport;
use ndarray::Array2;
use proptest::prelude::*;

/// The certificate is checked independently of the method: feasible potentials and no gap mean
/// optimal.
fn check_optimal(cost: &Array2<f64>) -> Assignment {
    let plan = assign(cost.view()).unwrap();
    let mut seen = plan.columns.clone();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() == cost.nrows() && seen.iter().all(|&j| j < cost.ncols()), "columns are used twice");
    let scale = cost.iter().fold(0.0f64, |m, c| m.max(c.abs())).max(f64::MIN_POSITIVE);
    for ((i, j), c) in cost.indexed_iter() {
        assert!(plan.u[i] + plan.v[j] <= c + 1e-11 * scale, "infeasible at {i} {j}");
    }
    let dual: f64 = plan.u.iter().chain(&plan.v).sum();
    assert!((dual - plan.cost).abs() <= 1e-10 * scale * cost.nrows() as f64);
    assert!((0..cost.ncols()).all(|j| plan.v[j] <= 0.0 || cost.nrows() == cost.ncols()));
    plan
}

fn brute_force(cost: &Array2<f64>, row: usize, used: u32) -> f64 {
    if row == cost.nrows() {
        return 0.0;
    }
    let free = (0..cost.ncols()).filter(|j| used & (1 << j) == 0);
    free.map(|j| cost[(row, j)] + brute_force(cost, row + 1, used | 1 << j)).fold(f64::INFINITY, f64::min)
}

fn matrices(
    n: impl Strategy<Value = usize>,
    wider: usize,
    entry: impl Strategy<Value = f64> + Clone,
) -> impl Strategy<Value = Array2<f64>> {
    (n, 0..=wider).prop_flat_map(move |(n, more)| {
        let shape = (n, n + more);
        prop::collection::vec(entry.clone(), n * (n + more))
            .prop_map(move |v| Array2::from_shape_vec(shape, v).unwrap())
    })
}

proptest! {
    #[test]
    fn equals_brute_force(cost in matrices(1usize..=8, 0, -10.0..10.0f64)) {
        prop_assert!((check_optimal(&cost).cost - brute_force(&cost, 0, 0)).abs() < 1e-9);
    }

    #[test]
    fn rectangles_equal_brute_force(cost in matrices(1usize..=5, 3, -10.0..10.0f64)) {
        prop_assert!((check_optimal(&cost).cost - brute_force(&cost, 0, 0)).abs() < 1e-9);
    }

    #[test]
    fn ties_everywhere(cost in matrices(1usize..40, 30, (0u8..3).prop_map(f64::from))) {
        check_optimal(&cost);
    }

    #[test]
    fn huge_ranges(cost in matrices(1usize..25, 0, (-12i32..12, 1.0..10.0f64).prop_map(|(e, m)| m * 10f64.powi(e)))) {
        check_optimal(&cost);
    }

    /// To the digits of the optimum, not of the largest entry.
    #[test]
    fn huge_ranges_equal_brute_force(
        cost in matrices(1usize..=7, 0, (-12i32..12, 1.0..10.0f64).prop_map(|(e, m)| m * 10f64.powi(e))),
    ) {
        let (got, want) = (check_optimal(&cost).cost, brute_force(&cost, 0, 0));
        prop_assert!((got / want - 1.0).abs() < 1e-9, "{got} {want}");
    }

    /// The same for more rows, against a method that knows no auction.
    #[test]
    fn huge_ranges_equal_transport(
        cost in matrices(20usize..=40, 0, (-9i32..9, 1.0..10.0f64).prop_map(|(e, m)| m * 10f64.powi(e))),
    ) {
        let n = cost.nrows();
        let want = transport(cost.view(), &Marginals::uniform(n, n)).unwrap().cost() * n as f64;
        let got = check_optimal(&cost).cost;
        prop_assert!((got / want - 1.0).abs() < 1e-9, "{got} {want}");
    }
}

#[test]
fn empty_single_and_constant() {
    assert_eq!(assign(Array2::zeros((0, 0)).view()).unwrap().cost, 0.0);
    assert_eq!(check_optimal(&Array2::from_elem((1, 1), -3.0)).cost, -3.0);
    assert_eq!(check_optimal(&Array2::zeros((50, 50))).cost, 0.0);
}

#[test]
fn transposed_views_are_solved_as_seen() {
    let cost = ndarray::array![[1.0, 9.0, 9.0], [9.0, 9.0, 2.0], [9.0, 3.0, 9.0]];
    assert_eq!(assign(cost.t()).unwrap().columns, [0, 2, 1]);
}

#[test]
fn bad_matrices_are_errors() {
    let mut cost = Array2::zeros((3, 3));
    cost[(1, 2)] = f64::NAN;
    assert_eq!(assign(cost.view()), Err(OtError::NotFinite { row: 1, column: 2 }));
    assert_eq!(assign(Array2::zeros((3, 2)).view()), Err(OtError::MoreRows { rows: 3, columns: 2 }));
    let huge = ndarray::array![[f64::MAX, -f64::MAX], [-f64::MAX, f64::MAX]];
    assert_eq!(assign(huge.view()), Err(OtError::TooLarge));
    // A few units in the last place of the smallest number: their reciprocals are infinite.
    let tiny = ndarray::array![[1e-323, 5e-324, 0.0], [0.0, 1e-323, 5e-324], [5e-324, 0.0, 1e-323]];
    assert_eq!(assign(tiny.view()).unwrap().columns, [2, 0, 1]);
    let wide = Array2::<f64>::zeros((0, isize::MAX as usize));
    assert!(matches!(assign(wide.view()), Err(OtError::Memory { .. })));
}

/// The optima of 1,000 instances by SciPy, each equal to POT's to 1e-9: `reference/assignment.py`.
#[test]
fn a_thousand_instances_equal_scipy_and_pot() {
    let lines: Vec<&str> = include_str!("reference/assignment.txt").lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(lines.len(), 1000);
    let check = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kind, n, d, seed, optimum] = words[..] else { panic!("{line}") };
        let (n, d, seed): (usize, usize, u64) = (n.parse().unwrap(), d.parse().unwrap(), seed.parse().unwrap());
        let (x, y) = common::instance(kind, n, d, seed);
        let cost = Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap();
        let (got, want) = (check_optimal(&cost).cost, optimum.parse::<f64>().unwrap());
        assert!((got - want).abs() <= 1e-9 * want, "{line}: {got}");
    };
    // Two at a time: this is most of the crate's testing time.
    let (left, right) = lines.split_at(lines.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| left.iter().for_each(check));
        right.iter().for_each(check);
    });
}
