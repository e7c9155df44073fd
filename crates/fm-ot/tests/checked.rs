//! No plan without a check: costs that f64 cannot resolve, iterations that stop early, and points
//! of extreme scales.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use fm_core::coupling::{Conditions, Coupling, CouplingInput};
use fm_core::rng::{Key, Stream};
use fm_ot::cost::Metric;
use fm_ot::coupling::Solved;
use fm_ot::entropic::{partial, sinkhorn, unbalanced};
use fm_ot::trajectory::{trajectory, trajectory_reported};
use fm_ot::{
    CheckedPlan, EntropicPlan, Epsilon, Marginals, OtCoupling, OtError, PairSampling, Plan, Reporting, Reports,
    SinkhornOptions, assign, emd,
};
use ndarray::{Array2, Axis, array};
use proptest::prelude::*;

/// Microseconds since 1970 over a day: differences up to 8.64e10, squared costs up to 7e21.
fn time_stamps(n: usize, seed: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, 1), |(i, _)| 1.7e15 + ((i * 7919 + seed * 104_729) % 86_400) as f64 * 1e6)
}

fn absolute(epsilon: f64) -> SinkhornOptions {
    SinkhornOptions { max_iterations: 300, ..Epsilon::Absolute(epsilon).into() }
}

fn entropic_plans(options: SinkhornOptions) -> [Plan; 3] {
    [Plan::Sinkhorn(options), Plan::Unbalanced { reg_m: 1.0, options }, Plan::EntropicPartial { mass: 0.7, options }]
}

#[test]
fn time_stamps_in_microseconds_have_right_marginals_or_an_error() {
    let (x0, x1) = (time_stamps(30, 1), time_stamps(30, 2));
    let mut rng = Key::new(0, 0, Stream::Coupling).generator(0);
    for plan in entropic_plans(absolute(0.05)) {
        for pairs in [PairSampling::Permutation, PairSampling::Drawn] {
            let coupling = OtCoupling::exact().plan(plan).pairs(pairs);
            let double = coupling.pair(x0.view(), x1.view(), &mut rng);
            assert!(matches!(double, Err(OtError::Resolution { .. })), "{plan:?}: {double:?}");
            let (s0, s1) = (x0.mapv(|v| v as f32), x1.mapv(|v| v as f32));
            assert!(matches!(coupling.pair(s0.view(), s1.view(), &mut rng), Err(OtError::Resolution { .. })));
            let batch = CouplingInput { x0: s0.view(), x1: s1.view(), conditions: Conditions::None };
            let text = coupling.couple(&batch, &mut rng).unwrap_err().to_string();
            assert!(text.contains("epsilon of at least") && text.contains("exact plan") && text.len() <= 300, "{text}");
            let path = trajectory(&[s0.view(), s1.view()], &coupling, Conditions::None, &mut rng);
            assert_eq!(path.unwrap_err().to_string(), text);
        }
    }
    // Both remedies work.
    assert!(OtCoupling::exact().pair(x0.view(), x1.view(), &mut rng).unwrap().report.converged);
    for plan in entropic_plans(Epsilon::Relative(0.05).into()) {
        OtCoupling::exact().plan(plan).pair(x0.view(), x1.view(), &mut rng).unwrap();
    }
}

/// The number that the message names is accepted, in the unit of the one given.
#[test]
fn the_least_epsilon_that_is_named_is_enough() {
    let cost = Metric::SquaredEuclidean.matrix(time_stamps(20, 1).view(), time_stamps(20, 2).view()).unwrap();
    let even = Marginals::uniform(20, 20);
    type Of = fn(f64) -> Epsilon;
    for (of, given) in
        [(Epsilon::Absolute as Of, 0.05), (Epsilon::Absolute as Of, 1e-300), (Epsilon::Relative as Of, 1e-15)]
    {
        let text = sinkhorn(cost.view(), &even, &of(given).into()).unwrap_err().to_string();
        let least = text.split("at least ").nth(1).unwrap().split(',').next().unwrap().parse::<f64>().unwrap();
        let found = sinkhorn(cost.view(), &even, &of(least).into()).unwrap();
        assert!(marginals_are_kept(&found.plan, &even, 1.0).is_ok(), "{text}");
        assert!(sinkhorn(cost.view(), &even, &of(least / 2.0).into()).is_err());
    }
}

/// Whether the columns and, up to the error that is reported, the rows are right.
fn marginals_are_kept(plan: &CheckedPlan, marginals: &Marginals, scale: f64) -> Result<(), String> {
    let off = |axis, masses: Vec<f64>| -> f64 {
        plan.sum_axis(axis).iter().zip(masses).map(|(s, m)| (s - scale * m).abs()).sum()
    };
    let (rows, columns) = (off(Axis(1), marginals.rows().collect()), off(Axis(0), marginals.columns().collect()));
    let kept = columns < 1e-5 && rows <= plan.report().error + 1e-5;
    if kept { Ok(()) } else { Err(format!("rows {rows}, columns {columns}, {}", plan.report())) }
}

/// From a temperate quotient of cost and epsilon to an absurd one.
#[test]
fn no_quotient_of_cost_and_epsilon_gives_wrong_marginals() {
    let (x, y) = common::instance("uniform", 24, 2, 5);
    let base = Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap();
    let even = Marginals::uniform(24, 24);
    let mut refused = 0;
    for exponent in -3..40 {
        for (shift, sign) in [(0.0, 1.0), (1.0, 1.0), (0.0, -1.0)] {
            let cost = base.mapv(|c| sign * (c + shift) * 10f64.powi(exponent));
            let options = absolute(0.01);
            let problem = |found: Result<EntropicPlan, OtError>, check: &dyn Fn(&CheckedPlan) -> bool| match found {
                Ok(found) => !check(&found.plan),
                Err(OtError::Resolution { .. }) => exponent < 6,
                Err(_) => true,
            };
            refused += usize::from(sinkhorn(cost.view(), &even, &options).is_err());
            let balanced = |plan: &CheckedPlan| marginals_are_kept(plan, &even, 1.0).is_ok();
            assert!(!problem(sinkhorn(cost.view(), &even, &options), &balanced), "{exponent} {shift} {sign}");
            let part = |plan: &CheckedPlan| (plan.sum() - 0.6).abs() < 1e-5;
            assert!(!problem(partial(cost.view(), &even, 0.6, &options), &part), "partial {exponent} {shift} {sign}");
            let finite = |plan: &CheckedPlan| plan.iter().all(|p| *p >= 0.0 && p.is_finite());
            // Free marginals at negative costs have no bound of their own.
            let reg_m = if sign < 0.0 { 1e3 * 10f64.powi(exponent) } else { 0.5 };
            assert!(!problem(unbalanced(cost.view(), &even, reg_m, &options), &finite), "{exponent} {shift} {sign}");
        }
    }
    assert!(refused > 60, "{refused}");
}

/// Two costs of POT at the scale of time stamps in microseconds: `reference/stamps.py`.
#[test]
fn costs_of_time_stamps_are_pots() {
    let (x, y) = (time_stamps(12, 1), time_stamps(12, 2));
    let cost = Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap();
    let even = Marginals::uniform(12, 12);
    let want: serde_json::Value = serde_json::from_str(include_str!("reference/stamps.json")).unwrap();
    let number = |name: &str| want[name].as_f64().unwrap();
    let options = SinkhornOptions { tolerance: 1e-11, max_iterations: 100_000, ..Epsilon::Relative(0.05).into() };
    let found = sinkhorn(cost.view(), &even, &options).unwrap();
    assert!(found.converged && (found.cost / number("sinkhorn") - 1.0).abs() < 1e-6, "{}", found.cost);
    let exact = emd(cost.view(), &even).unwrap().cost();
    assert!((exact / number("emd") - 1.0).abs() < 1e-9, "{exact}");
    assert!((assign(cost.view()).unwrap().cost / 12.0 / number("emd") - 1.0).abs() < 1e-9);
}

/// Below the optimum without a word is what must not be printed.
#[test]
fn a_cost_below_the_optimum_says_that_it_has_not_converged() {
    let (x, y) = common::instance("uniform", 128, 2, 7);
    let cost = Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap();
    let optimum = assign(cost.view()).unwrap().cost / 128.0;
    let hurried = SinkhornOptions { max_iterations: 20, tolerance: 1e-9, ..Epsilon::Relative(1e-4).into() };
    let found = sinkhorn(cost.view(), &Marginals::uniform(128, 128), &hurried).unwrap();
    let text = found.transport_cost().to_string();
    assert!(found.cost < optimum && !found.converged, "{} {optimum}", found.cost);
    assert!(text.contains("not converged") && text.contains("marginals off by"), "{text}");
    for plan in entropic_plans(hurried) {
        let solved = plan.solve(cost.view()).unwrap();
        let report = solved.report();
        assert!(!report.converged && report.error > 1e-9 && report.iterations >= 20, "{plan:?}: {report}");
        assert!(solved.cost(cost.view()).unwrap().to_string().contains("not converged"));
        let coupling = OtCoupling::exact().plan(plan);
        let pairs = coupling.pair(y.view(), x.view(), &mut Key::new(0, 0, Stream::Coupling).generator(0)).unwrap();
        assert_eq!(pairs.report, report);
        let path = [y.view(), x.view(), y.view()];
        let found =
            trajectory_reported(&path, &coupling, Conditions::None, &mut Key::new(0, 0, Stream::Coupling).generator(0));
        assert!(found.unwrap().reports.iter().all(|report| !report.converged));
    }
    let exact = Plan::Exact.solve(cost.view()).unwrap();
    assert!((exact.cost(cost.view()).unwrap().value / optimum - 1.0).abs() < 1e-12);
    assert_eq!(
        exact.cost(cost.view()).unwrap().to_string().parse::<f64>().unwrap(),
        exact.cost(cost.view()).unwrap().value
    );
    let wrong = array![[0.0]];
    assert!(matches!(exact.cost(wrong.view()), Err(OtError::CostShape { .. })));
    assert!(matches!(Solved::Permutation(vec![usize::MAX - 1]).cost(wrong.view()), Err(OtError::CostShape { .. })));
}

#[test]
fn a_training_loop_counts_the_plans_that_have_not_converged() {
    let (x0, x1) = common::instance("uniform", 40, 2, 1);
    let batch = CouplingInput { x0: x0.view(), x1: x1.view(), conditions: Conditions::None };
    let mut rng = Key::new(0, 0, Stream::Coupling).generator(0);
    let reports = Reports::default();
    let hurried = SinkhornOptions { max_iterations: 3, tolerance: 1e-9, ..Epsilon::Relative(0.01).into() };
    let quick: Box<dyn Coupling> = Box::new(Reporting::new(OtCoupling::sinkhorn(hurried), &reports));
    let exact: Box<dyn Coupling> = Box::new(Reporting::new(OtCoupling::exact(), &reports));
    for coupling in [&quick, &exact, &quick] {
        coupling.couple(&batch, &mut rng).unwrap();
    }
    let tally = reports.tally();
    assert_eq!((tally.plans, tally.unconverged), (3, 2));
    assert!(tally.worst.unwrap().error > 1e-9 && tally.to_string().starts_with("2 of 3 plans not converged"));
    let none = Array2::zeros((0, 2));
    exact.couple(&CouplingInput { x0: none.view(), x1: none.view(), ..batch }, &mut rng).unwrap();
    assert_eq!(reports.tally().plans, 3);
}

/// Rounding keeps the error above a tolerance of 0; the iteration ends all the same.
#[test]
fn a_tolerance_below_rounding_ends() {
    let (x, y) = common::instance("uniform", 12, 2, 3);
    let cost = Metric::SquaredEuclidean.matrix(x.view(), y.view()).unwrap();
    let endless = SinkhornOptions { tolerance: 0.0, max_iterations: usize::MAX, ..Epsilon::Relative(0.05).into() };
    let even = Marginals::uniform(12, 12);
    for found in [
        sinkhorn(cost.view(), &even, &endless).unwrap(),
        unbalanced(cost.view(), &even, 0.3, &endless).unwrap(),
        partial(cost.view(), &even, 0.5, &endless).unwrap(),
    ] {
        assert!(found.error < 1e-12 && found.iterations < 200_000, "{}", found.report());
    }
}

#[test]
fn points_of_extreme_scales_are_paired_or_refused() {
    let mut rng = Key::new(0, 0, Stream::Coupling).generator(0);
    let options: SinkhornOptions = Epsilon::Relative(0.05).into();
    let plans = [Plan::Exact, Plan::Partial { mass: 0.5 }].into_iter().chain(entropic_plans(options));
    for plan in plans {
        for metric in [Metric::SquaredEuclidean, Metric::Euclidean, Metric::Cosine] {
            let coupling = OtCoupling::exact().plan(plan).cost(metric);
            // Squares beyond f32, which f64 holds.
            let far = array![[1e20f32, 0.0], [-1e20, 1e19], [3e38, -3e38]];
            let near = array![[-1e20f32, 0.0], [3e38, -3e38], [1e20, 1e19]];
            coupling.pair(far.view(), near.view(), &mut rng).unwrap();
            // A mean cost of 0.
            let same = Array2::from_elem((5, 2), 7.5f32);
            coupling.pair(same.view(), same.view(), &mut rng).unwrap();
            let one = array![[1f32, 2.0]];
            assert_eq!(coupling.pair(one.view(), one.view(), &mut rng).unwrap().x0, one);
            let none = Array2::<f32>::zeros((0, 2));
            assert!(coupling.pair(none.view(), none.view(), &mut rng).unwrap().x0.is_empty());
            let paths = trajectory(&[none.view(), none.view()], &coupling, Conditions::None, &mut rng);
            assert_eq!(paths.unwrap(), [Vec::<usize>::new(), Vec::new()]);
            let broken = array![[1f32, 2.0], [f32::NAN, 0.0], [1.0, 1.0]];
            let found = coupling.pair(broken.view(), far.view(), &mut rng);
            assert!(matches!(found, Err(OtError::NotFinite { .. })), "{plan:?} {metric}: {found:?}");
            // Squares beyond f64.
            let absurd = array![[1e200f64, 0.0], [-1e200, 1.0]];
            let found = coupling.pair(absurd.view(), absurd.view(), &mut rng);
            assert!(metric == Metric::Cosine || matches!(found, Err(OtError::NotFinite { .. })), "{plan:?} {metric}");
        }
    }
}

proptest! {
    /// Any quotient, masses and shape: right marginals, or an error.
    #[test]
    fn plans_keep_their_marginals_or_are_errors(
        (rows, columns, values) in (1..9usize, 1..9usize).prop_flat_map(|(m, n)| {
            let entry = prop_oneof![0.0..1.0f64, Just(0.0), 1e15..1e22f64, Just(1e21 + 1e6)];
            (Just(m), Just(n), prop::collection::vec(entry, m * n))
        }),
        weights in prop::collection::vec(prop_oneof![1e-6..1.0f64, Just(1e-30)], 18),
        exponent in -20.0..25.0f64,
        mass in 0.01..=1.0f64,
    ) {
        let cost = Array2::from_shape_vec((rows, columns), values).unwrap();
        let marginals = Marginals::new(&weights[..rows], &weights[9..9 + columns]).unwrap();
        let options = absolute(10f64.powf(exponent));
        match sinkhorn(cost.view(), &marginals, &options) {
            Ok(found) => prop_assert_eq!(marginals_are_kept(&found.plan, &marginals, 1.0), Ok(())),
            Err(error) => prop_assert!(matches!(error, OtError::Resolution { .. }), "{error}"),
        }
        match partial(cost.view(), &marginals, mass, &options) {
            Ok(found) => prop_assert!((found.plan.sum() - mass).abs() < 1e-5 && found.cost.is_finite()),
            Err(error) => prop_assert!(matches!(error, OtError::Resolution { .. }), "{error}"),
        }
        match unbalanced(cost.view(), &marginals, 10f64.powf(exponent), &options) {
            Ok(found) => prop_assert!(found.plan.sum() <= 1.0 + 1e-5 && found.cost.is_finite()),
            Err(error) => prop_assert!(matches!(error, OtError::Resolution { .. }), "{error}"),
        }
    }
}
