use super::*;
use ndarray::Array2;
use proptest::prelude::*;

/// The certificate is checked independently of the method: feasible potentials and no gap mean optimal.
fn check_optimal(cost: &Array2<f64>) -> Assignment {
    let plan = assign(cost.view()).unwrap();
    let mut seen = plan.columns.clone();
    seen.sort_unstable();
    assert_eq!(seen, (0..cost.nrows()).collect::<Vec<_>>(), "not a permutation");
    let scale = cost.iter().fold(0.0f64, |m, c| m.max(c.abs())).max(f64::MIN_POSITIVE);
    for ((i, j), c) in cost.indexed_iter() {
        assert!(plan.u[i] + plan.v[j] <= c + 1e-11 * scale, "infeasible at {i} {j}");
    }
    let dual: f64 = plan.u.iter().chain(&plan.v).sum();
    assert!((dual - plan.cost).abs() <= 1e-10 * scale * cost.nrows() as f64);
    plan
}

fn brute_force(cost: &Array2<f64>, row: usize, used: u32) -> f64 {
    let n = cost.nrows();
    if row == n {
        return 0.0;
    }
    let free = (0..n).filter(|j| used & (1 << j) == 0);
    free.map(|j| cost[(row, j)] + brute_force(cost, row + 1, used | 1 << j)).fold(f64::INFINITY, f64::min)
}

fn matrices(
    n: impl Strategy<Value = usize>,
    entry: impl Strategy<Value = f64> + Clone,
) -> impl Strategy<Value = Array2<f64>> {
    n.prop_flat_map(move |n| {
        prop::collection::vec(entry.clone(), n * n).prop_map(move |v| Array2::from_shape_vec((n, n), v).unwrap())
    })
}

proptest! {
    #[test]
    fn equals_brute_force(cost in matrices(1usize..=7, -10.0..10.0f64)) {
        prop_assert!((check_optimal(&cost).cost - brute_force(&cost, 0, 0)).abs() < 1e-9);
    }

    #[test]
    fn ties_everywhere(cost in matrices(1usize..40, (0u8..3).prop_map(f64::from))) {
        check_optimal(&cost);
    }

    #[test]
    fn huge_ranges(cost in matrices(1usize..25, (-12i32..12, 1.0..10.0f64).prop_map(|(e, m)| m * 10f64.powi(e)))) {
        check_optimal(&cost);
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
    assert_eq!(assign(Array2::zeros((2, 3)).view()), Err(OtError::NotSquare { rows: 2, columns: 3 }));
}

/// Optimal costs by scipy.optimize.linear_sum_assignment: `python3 crates/fm-ot/tests/scipy_assignment.py`.
#[test]
fn equals_scipy() {
    let reference: &str = include_str!("../tests/scipy_assignment.txt");
    let mut cases = 0;
    for line in reference.lines().filter(|l| !l.starts_with('#')) {
        let mut fields = line.split_whitespace();
        let mut next = || fields.next().unwrap();
        let (kind, n, optimum): (String, usize, f64) =
            (next().into(), next().parse().unwrap(), next().parse().unwrap());
        let got = check_optimal(&hashed_matrix(&kind, n)).cost;
        assert!((got - optimum).abs() <= 1e-12 * optimum.abs().max(1.0), "{kind} {n}: {got} against {optimum}");
        cases += 1;
    }
    assert!(cases >= 20);
}

/// Matrices that both languages can build exactly: integer hashes of (i, j).
fn hashed_matrix(kind: &str, n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, n), |(i, j)| {
        let hash = ((i * 7919 + j * 104_729 + i * j * 31) * 2_654_435_761) % 4_294_967_296;
        match kind {
            "uniform" => (hash % 1_000_003) as f64 / 1000.0,
            "ties" => (hash % 5) as f64,
            "line" => ((i as f64 * 37.0) % 101.0 - (j as f64 * 53.0) % 97.0).powi(2),
            other => panic!("unknown kind {other}"),
        }
    })
}
