//! Entropic plans against POT's, their duality gap, and what no cost may break.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::reference::{Case, cases};
use fm_ot::OtError;
use fm_ot::entropic::{Epsilon, SinkhornOptions, partial, sinkhorn, unbalanced};
use fm_ot::marginals::Marginals;
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;

fn to_the_end(epsilon: f64) -> SinkhornOptions {
    SinkhornOptions {
        epsilon: Epsilon::Absolute(epsilon),
        tolerance: 1e-12,
        max_iterations: 200_000,
        require_convergence: true,
    }
}

fn compare(what: &str, case: &Case, plan: &Array2<f64>) {
    let scale = 1.0 / plan.len() as f64;
    for (got, want) in plan.iter().zip(case.plan(what)) {
        assert!((got - want).abs() < 1e-6 * scale.max(want), "{what} {}: {got} against {want}", case.name);
    }
}

#[test]
fn plans_are_pots() {
    for case in cases() {
        let (cost, marginals, options) = (case.cost.view(), &case.marginals, to_the_end(case.epsilon));
        compare("sinkhorn", &case, &sinkhorn(cost, marginals, &options).unwrap().plan);
        compare("unbalanced", &case, &unbalanced(cost, marginals, case.reg_m, &options).unwrap().plan);
        compare("partial", &case, &partial(cost, marginals, case.mass, &options).unwrap().plan);
    }
}

/// Potentials give the plan back, and a great reg_m or the whole mass give the balanced plan.
#[test]
fn the_three_problems_meet() {
    let case = &cases()[2];
    let (cost, marginals, options) = (case.cost.view(), &case.marginals, to_the_end(case.epsilon));
    let balanced = sinkhorn(cost, marginals, &options).unwrap();
    let (a, b): (Vec<f64>, Vec<f64>) = (marginals.rows().collect(), marginals.columns().collect());
    for ((i, j), p) in balanced.plan.indexed_iter() {
        let exponent = (balanced.f[i] + balanced.g[j] - cost[(i, j)]) / case.epsilon;
        assert!((a[i] * b[j] * exponent.exp() / p - 1.0).abs() < 1e-9);
    }
    // The deviation falls as 1 / reg_m.
    let stiff = |reg_m: f64| {
        let found = unbalanced(cost, marginals, reg_m * case.epsilon, &SinkhornOptions { tolerance: 1e-10, ..options })
            .unwrap();
        (&*found.plan - &*balanced.plan).iter().map(|d| d.abs()).sum::<f64>()
    };
    let (soft, hard) = (stiff(300.0), stiff(3000.0));
    assert!(hard < 0.01 && (soft / hard - 10.0).abs() < 1.0, "{soft} {hard}");
    let whole = partial(cost, marginals, 1.0, &SinkhornOptions { tolerance: 1e-9, ..options }).unwrap();
    assert!((&*whole.plan - &*balanced.plan).iter().all(|d| d.abs() < 1e-7));
}

#[test]
fn the_gap_bounds_what_is_left_to_gain() {
    for case in cases() {
        let (cost, marginals) = (case.cost.view(), &case.marginals);
        let rough =
            sinkhorn(cost, marginals, &SinkhornOptions { tolerance: 1e-2, ..to_the_end(case.epsilon) }).unwrap();
        let fine = sinkhorn(cost, marginals, &to_the_end(case.epsilon)).unwrap();
        let scale = cost.mean().unwrap();
        let gap = rough.duality_gap(cost, marginals).unwrap();
        // The rough objective is above the optimum by less than its gap says, and the fine gap has
        // closed.
        assert!(gap > -1e-12 * scale && gap < 0.1 * scale, "{}: {gap}", case.name);
        assert!(fine.duality_gap(cost, marginals).unwrap().abs() < 1e-9 * scale, "{}", case.name);
        assert!((fine.cost - rough.cost).abs() < gap + 0.05 * scale);
    }
}

/// Small epsilons against the exact optimum: the plan's cost comes down to it, and never below.
#[test]
fn a_small_epsilon_converges_to_the_optimum() {
    let (x, y) = common::instance("uniform", 64, 2, 3);
    let cost = fm_ot::cost::Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap();
    let marginals = Marginals::uniform(64, 64);
    let optimum = fm_ot::assignment::assign(cost.view()).unwrap().cost / 64.0;
    let above = |share: f64| {
        let options = SinkhornOptions {
            epsilon: Epsilon::Relative(share),
            max_iterations: 50_000,
            require_convergence: true,
            ..SinkhornOptions::default()
        };
        sinkhorn(cost.view(), &marginals, &options).unwrap().cost / optimum - 1.0
    };
    let gaps = [0.1, 0.01, 0.001].map(above);
    assert!(gaps[0] > gaps[1] && gaps[1] > gaps[2] && gaps[2] < 0.02 && gaps[2] > -1e-2, "{gaps:?}");
    // Without over-relaxation this takes 681 iterations.
    let options = SinkhornOptions {
        epsilon: Epsilon::Relative(0.01),
        tolerance: 1e-6,
        max_iterations: 50_000,
        require_convergence: true,
    };
    let found = sinkhorn(cost.view(), &marginals, &options).unwrap();
    assert!(found.iterations < 200, "{}", found.iterations);
}

#[test]
fn threads_do_not_change_a_bit() {
    let (x, y) = common::instance("uniform", 600, 2, 5);
    let cost = fm_ot::cost::Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| sinkhorn(cost.view(), &Marginals::uniform(600, 600), &SinkhornOptions::default()).unwrap())
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn requests_that_cannot_be() {
    let cost = array![[1.0f64, 2.0], [3.0, 4.0]];
    let even = Marginals::uniform(2, 2);
    let ask = |epsilon| sinkhorn(cost.view(), &even, &SinkhornOptions { epsilon, ..SinkhornOptions::default() });
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(ask(Epsilon::Absolute(epsilon)), Err(OtError::Epsilon { .. })));
        assert!(matches!(ask(Epsilon::Relative(epsilon)), Err(OtError::Epsilon { .. })));
    }
    let options = SinkhornOptions::default();
    let broken = array![[1.0f64, f64::NAN]];
    let found = sinkhorn(broken.view(), &Marginals::uniform(1, 2), &options);
    assert_eq!(found, Err(OtError::NotFinite { row: 0, column: 1 }));
    let huge = array![[f64::MAX, f64::MAX]];
    assert_eq!(sinkhorn(huge.view(), &Marginals::uniform(1, 2), &options), Err(OtError::TooLarge));
    assert_eq!(sinkhorn(Array2::zeros((0, 3)).view(), &Marginals::uniform(0, 3), &options), Err(OtError::Empty));
    assert!(matches!(sinkhorn(cost.view(), &Marginals::uniform(2, 3), &options), Err(OtError::Masses { .. })));
    // Larger than every cost by so much that exponents would overflow, or so small that quotients
    // would.
    for epsilon in [1e300, f64::MAX] {
        assert!(matches!(ask(Epsilon::Absolute(epsilon)), Err(OtError::Epsilon { .. })), "{epsilon:e}");
    }
    for epsilon in [1e-300, 5e-324, 1e-10] {
        assert!(matches!(ask(Epsilon::Absolute(epsilon)), Err(OtError::Resolution { .. })), "{epsilon:e}");
    }
    for tolerance in [-1e-3, f64::NAN, f64::INFINITY] {
        let found = sinkhorn(cost.view(), &even, &SinkhornOptions { tolerance, ..options });
        assert!(matches!(found, Err(OtError::Tolerance { .. })), "{tolerance}: {found:?}");
    }
    for reg_m in [-1.0, 0.0, f64::NAN, f64::MAX] {
        assert!(matches!(unbalanced(cost.view(), &even, reg_m, &options), Err(OtError::Strength { .. })));
    }
    for mass in [0.0, 1.5, f64::NAN] {
        assert!(matches!(partial(cost.view(), &even, mass, &options), Err(OtError::Mass { .. })));
    }
    let hurried = SinkhornOptions { max_iterations: 2, tolerance: 1e-12, require_convergence: true, ..options };
    let case = &cases()[1];
    let found = sinkhorn(case.cost.view(), &case.marginals, &hurried);
    assert!(matches!(found, Err(OtError::NotConverged { .. })), "{found:?}");
    let plan = ask(Epsilon::Relative(0.1)).unwrap();
    assert!(matches!(plan.duality_gap(cost.view(), &Marginals::uniform(3, 2)), Err(OtError::Masses { .. })));
    let broken = array![[1.0f64, f64::NAN], [0.0, 1.0]];
    assert_eq!(plan.duality_gap(broken.view(), &even), Err(OtError::NotFinite { row: 0, column: 1 }));
    let mut changed = plan;
    changed.f.clear();
    assert!(matches!(changed.duality_gap(cost.view(), &even), Err(OtError::Potentials { side: "row", .. })));
}

/// Whatever the allowance, it is kept, and the columns of the plan reached are exact.
#[test]
fn the_allowance_of_iterations_is_kept() {
    let mut most = 0;
    for case in cases() {
        for max_iterations in (1..40).chain([60, 90, 200]) {
            let options = SinkhornOptions {
                epsilon: Epsilon::Relative(0.01),
                tolerance: 1e-9,
                max_iterations,
                ..SinkhornOptions::default()
            };
            let found = sinkhorn(case.cost.view(), &case.marginals, &options).unwrap();
            assert!(found.iterations <= max_iterations + 1, "{} of {max_iterations}", found.iterations);
            let columns = found.plan.sum_axis(Axis(0));
            let off: f64 = columns.iter().zip(case.marginals.columns()).map(|(c, b)| (c - b).abs()).sum();
            assert!(off < 1e-9, "{max_iterations}: {off}");
            most = most.max(found.iterations);
        }
    }
    assert!(most > 100, "no case was hard enough to matter: {most}");
}

proptest! {
    #[test]
    fn any_cost_gives_a_plan_without_nan(
        (rows, columns, values) in (1..12usize, 1..12usize).prop_flat_map(|(m, n)| {
            let entry = prop_oneof![Just(0.0f64), -1.0..1.0f64, 0.0..1e9f64, 0.0..1e-9f64];
            (Just(m), Just(n), prop::collection::vec(entry, m * n))
        }),
        weights in prop::collection::vec(1e-6..1.0f64, 24),
        epsilon in prop_oneof![1e-12..1.0f64, 1.0..1e6f64],
        mass in 0.01..=1.0f64,
    ) {
        let cost = Array2::from_shape_vec((rows, columns), values).unwrap();
        let marginals = Marginals::new(&weights[..rows], &weights[12..12 + columns]).unwrap();
        let options = SinkhornOptions { epsilon: Epsilon::Absolute(epsilon), tolerance: 1e-6, max_iterations: 300, require_convergence: false };
        let found = sinkhorn(cost.view(), &marginals, &options);
        if cost.iter().any(|c| c.abs() > 1e9 * epsilon) {
            prop_assert!(matches!(found, Err(OtError::Resolution { .. })), "{found:?}");
            return Ok(());
        }
        let found = found.unwrap();
        let part = partial(cost.view(), &marginals, mass, &options).unwrap().plan;
        prop_assert!((part.sum() - mass).abs() < 1e-9);
        let columns = found.plan.sum_axis(Axis(0));
        prop_assert!(columns.iter().zip(marginals.columns()).all(|(c, b)| (c - b).abs() < 1e-6), "{columns}");
        for plan in [&found.plan, &part, &unbalanced(cost.view(), &marginals, 10.0 * epsilon, &options).unwrap().plan] {
            prop_assert!(plan.iter().all(|p| p.is_finite() && *p >= 0.0), "{plan:?}");
        }
        prop_assert!(found.iterations <= 301);
        if found.converged {
            let rows = found.plan.sum_axis(Axis(1));
            prop_assert!(rows.iter().zip(marginals.rows()).map(|(r, a)| (r - a).abs()).sum::<f64>() < 2e-6);
        }
    }
}
