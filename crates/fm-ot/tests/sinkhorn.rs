//! Entropic plans against POT's, and what no cost may break.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_ot::OtError;
use fm_ot::sinkhorn::{Options, sinkhorn};
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn plans_are_pots() {
    let path = format!("{}/tests/pot_sinkhorn.json", env!("CARGO_MANIFEST_DIR"));
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in cases {
        let size = |key: &str| case[key].as_u64().unwrap() as usize;
        let numbers = |key: &str| case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
        let cost = Array2::from_shape_vec((size("rows"), size("columns")), numbers("cost")).unwrap();
        let epsilon = case["epsilon"].as_f64().unwrap();
        let found = sinkhorn(cost.view(), &Options { epsilon, tolerance: 1e-11, max_iterations: 200_000 }).unwrap();
        assert!(found.converged, "epsilon {epsilon}: {} after {}", found.marginal_error, found.iterations);
        for (got, want) in found.plan.iter().zip(numbers("plan")) {
            assert!((got - want).abs() < 1e-9, "epsilon {epsilon}: {got} against {want}");
        }
    }
}

#[test]
fn requests_that_cannot_be() {
    let cost = array![[1.0f64, 2.0], [3.0, 4.0]];
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            sinkhorn(cost.view(), &Options { epsilon, ..Options::default() }),
            Err(OtError::Epsilon { .. })
        ));
    }
    let broken = array![[1.0f64, f64::NAN]];
    assert_eq!(sinkhorn(broken.view(), &Options::default()), Err(OtError::NotFinite { row: 0, column: 1 }));
    assert_eq!(sinkhorn(Array2::zeros((0, 3)).view(), &Options::default()), Err(OtError::Empty));
}

proptest! {
    #[test]
    fn any_cost_gives_a_plan_without_nan(
        (rows, columns, values) in (1..12usize, 1..12usize).prop_flat_map(|(m, n)| {
            (Just(m), Just(n), prop::collection::vec(prop_oneof![Just(0.0f64), 0.0..1.0f64, 0.0..1e9f64], m * n))
        }),
        epsilon in prop_oneof![1e-6..1.0f64, 1.0..1e6f64],
    ) {
        let cost = Array2::from_shape_vec((rows, columns), values).unwrap();
        let found = sinkhorn(cost.view(), &Options { epsilon, tolerance: 1e-6, max_iterations: 300 }).unwrap();
        prop_assert!(found.plan.iter().all(|p| p.is_finite() && *p >= 0.0));
        prop_assert!(found.iterations <= 301);
        // One side's sums are exact whether or not it converged, but for the digits that cost over epsilon eats up.
        let digits = 1e-6 + 1e-14 * cost.iter().fold(0.0, |a: f64, b| a.max(*b)) / epsilon;
        for sum in found.plan.sum_axis(Axis(0)) {
            prop_assert!((sum - 1.0 / columns as f64).abs() < digits / columns as f64, "{sum}");
        }
        if found.converged {
            prop_assert!(found.marginal_error < 2e-6);
        }
    }
}
