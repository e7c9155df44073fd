//! Exact plans between any masses, and partial ones, against POT and against the assignment.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::reference::cases;
use fm_ot::OtError;
use fm_ot::assignment::assign;
use fm_ot::cost::Metric;
use fm_ot::marginals::Marginals;
use fm_ot::transport::{TransportPlan, partial, transport};
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;

/// The L1 distance of row and column sums from what they may be.
fn excess(plan: &TransportPlan, marginals: &Marginals, distance: fn(f64) -> f64) -> f64 {
    let dense = plan.dense();
    let side =
        |axis, masses: Vec<f64>| -> f64 { dense.sum_axis(axis).iter().zip(masses).map(|(s, m)| distance(s - m)).sum() };
    side(Axis(1), marginals.rows().collect()) + side(Axis(0), marginals.columns().collect())
}

#[test]
fn costs_are_pots() {
    for case in cases() {
        let plan = transport(case.cost.view(), &case.marginals).unwrap();
        assert!((plan.cost() / case.number("emd") - 1.0).abs() < 1e-9, "{}: {}", case.name, plan.cost());
        assert!(excess(&plan, &case.marginals, f64::abs) < 1e-13);
        let part = partial(case.cost.view(), &case.marginals, case.mass).unwrap();
        let want = case.number("partial_emd");
        assert!((part.cost() - want).abs() < 1e-9 * want, "{}: partial {} against {want}", case.name, part.cost());
        assert!(excess(&part, &case.marginals, |d| d.max(0.0)) < 1e-13);
        assert!((part.dense().sum() - case.mass).abs() < 1e-13);
    }
}

#[test]
fn equal_masses_are_an_assignment() {
    for (kind, n) in [("uniform", 60), ("lattice", 40), ("scales", 50), ("clusters", 64)] {
        let (x, y) = common::instance(kind, n, 2, 11);
        let cost = Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap();
        let plan = transport(cost.view(), &Marginals::uniform(n, n)).unwrap();
        let want = assign(cost.view()).unwrap().cost / n as f64;
        assert!((plan.cost() - want).abs() <= 1e-12 * want, "{kind}: {} against {want}", plan.cost());
    }
}

/// Half of the mass of two clusters and their far images: only the near one travels.
#[test]
fn partial_plans_leave_the_dearest_behind() {
    let cost = array![[1.0, 100.0], [100.0, 50.0]];
    let half = partial(cost.view(), &Marginals::uniform(2, 2), 0.5).unwrap();
    assert_eq!((half.entries(), half.cost()), (&[(0, 0, 0.5)][..], 0.5));
    let whole = partial(cost.view(), &Marginals::uniform(2, 2), 1.0).unwrap();
    assert_eq!(whole.cost(), 25.5);
    // The first half gains 3 a unit; the mass asked for goes on where it costs 2.
    let gains = array![[-3.0, 0.0], [0.0, 2.0]];
    assert_eq!(partial(gains.view(), &Marginals::uniform(2, 2), 0.75).unwrap().cost(), -1.0);
}

#[test]
fn requests_that_cannot_be() {
    let cost = array![[1.0, 2.0]];
    let even = Marginals::uniform(1, 2);
    assert!(matches!(partial(cost.view(), &even, 0.0), Err(OtError::Mass { .. })));
    assert!(matches!(partial(cost.view(), &even, f64::NAN), Err(OtError::Mass { .. })));
    assert_eq!(transport(Array2::zeros((0, 0)).view(), &Marginals::uniform(0, 0)), Err(OtError::Empty));
    assert!(matches!(transport(cost.view(), &Marginals::uniform(2, 2)), Err(OtError::Masses { .. })));
    let infinite = array![[f64::INFINITY, 0.0]];
    assert!(matches!(transport(infinite.view(), &even), Err(OtError::NotFinite { .. })));
    assert!(matches!(Marginals::new(&[1.0, -1.0], &[1.0]), Err(OtError::Marginal { index: 1, .. })));
    assert!(matches!(Marginals::new(&[], &[1.0]), Err(OtError::Empty)));
    // Differences of such costs are infinite, and a search through them does not end.
    let huge = array![[f64::MAX, -f64::MAX], [-f64::MAX, f64::MAX]];
    assert_eq!(transport(huge.view(), &Marginals::uniform(2, 2)), Err(OtError::TooLarge));
    assert_eq!(partial(huge.view(), &Marginals::uniform(2, 2), 0.5), Err(OtError::TooLarge));
    let masses = Marginals::new(&[1e300, 1e300], &[1e-300, 3e-300]).unwrap();
    let plan = transport(array![[0.0, 1.0], [1.0, 0.0]].view(), &masses).unwrap();
    assert_eq!((plan.cost(), plan.shape()), (0.25, (2, 2)));
}

proptest! {
    /// Whatever the masses: feasible, and no cheaper plan differs from it by one cycle of two rows.
    #[test]
    fn plans_are_feasible_and_cannot_be_improved_by_an_exchange(
        (m, n, values) in (1..9usize, 1..9usize).prop_flat_map(|(m, n)| {
            (Just(m), Just(n), prop::collection::vec(prop_oneof![0.0..10.0f64, (0u8..3).prop_map(f64::from)], m * n))
        }),
        weights in prop::collection::vec(prop_oneof![1e-9..1.0f64, 1.0..2.0f64], 18),
        mass in 0.01..=1.0f64,
    ) {
        let cost = Array2::from_shape_vec((m, n), values).unwrap();
        let marginals = Marginals::new(&weights[..m], &weights[9..9 + n]).unwrap();
        let plan = transport(cost.view(), &marginals).unwrap();
        prop_assert!(excess(&plan, &marginals, f64::abs) < 1e-13);
        for &(i, j, _) in plan.entries() {
            for &(k, l, _) in plan.entries() {
                prop_assert!(cost[(i, j)] + cost[(k, l)] <= cost[(i, l)] + cost[(k, j)] + 1e-9);
            }
        }
        let part = partial(cost.view(), &marginals, mass).unwrap();
        prop_assert!(excess(&part, &marginals, |d| d.max(0.0)) < 1e-13);
        prop_assert!((part.dense().sum() - mass).abs() < 1e-12);
        prop_assert!(part.cost() <= plan.cost() + 1e-12);
    }
}
