//! Couplings as a training loop meets them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::instance;
use fm_core::coupling::{Conditions, Coupling, CouplingError, CouplingInput, Pairing};
use fm_core::rng::{Key, Stream};
use fm_ot::cost::Metric;
use fm_ot::coupling::{OtCoupling, Plan};
use fm_ot::entropic::{Epsilon, SinkhornOptions};
use fm_ot::pairs::{self, PairSampling};
use fm_ot::trajectory::trajectory;
use ndarray::{Array2, ArrayView2, array};
use proptest::prelude::*;

fn plain<'a>(x0: &'a Array2<f32>, x1: &'a Array2<f32>) -> CouplingInput<'a> {
    CouplingInput { x0: x0.view(), x1: x1.view(), conditions: Conditions::None }
}

fn options(share: f64) -> SinkhornOptions {
    SinkhornOptions { epsilon: Epsilon::Relative(share), ..SinkhornOptions::default() }
}

fn with(plan: Plan) -> OtCoupling {
    OtCoupling { plan, ..OtCoupling::default() }
}

/// The pairs of a coupling, (source, target).
fn coupled(coupling: &OtCoupling, batch: &CouplingInput<'_>) -> Vec<(usize, usize)> {
    let all: Vec<usize> = (0..batch.x0.nrows()).collect();
    let pairing = coupling.couple(batch, &mut Key::new(1, 0, Stream::Coupling).generator(0)).unwrap();
    pairing.sources(&all, 1).into_iter().zip(pairing.targets(&all, 1)).collect()
}

fn mean_cost(pairs: &[(usize, usize)], batch: &CouplingInput<'_>) -> f64 {
    let cost = Metric::SquaredEuclidean.matrix(batch.x0, batch.x1).unwrap();
    pairs.iter().map(|&(s, t)| cost[(s, t)]).sum::<f64>() / pairs.len() as f64
}

fn is_permutation(pairs: &[(usize, usize)]) -> bool {
    let mut sources: Vec<usize> = pairs.iter().map(|p| p.0).collect();
    sources.sort_unstable();
    sources.iter().copied().eq(0..pairs.len()) && pairs.iter().map(|p| p.1).eq(0..pairs.len())
}

#[test]
fn every_plan_permutes_and_costs_lie_in_order() {
    let (x0, x1) = instance("uniform", 128, 2, 1);
    let batch = plain(&x0, &x1);
    let cost = |plan: Plan| {
        let pairs = coupled(&with(plan), &batch);
        assert!(is_permutation(&pairs), "{plan:?}");
        mean_cost(&pairs, &batch)
    };
    let independent = 1.0 / 3.0; // E |x - y|^2 of uniform points in the unit square.
    let exact = cost(Plan::Exact);
    let [cold, warm, hot] = [0.001, 0.1, 1e3].map(|share| cost(Plan::Sinkhorn(options(share))));
    assert!(exact <= cold && cold < 1.5 * exact && cold < warm && warm < hot, "{exact} {cold} {warm} {hot}");
    assert!((hot / independent - 1.0).abs() < 0.2, "{hot}");
    // With much of the mass left out, the rows left over are paired at random.
    let [most, half] = [0.95, 0.5].map(|mass| cost(Plan::Partial { mass }));
    assert!(exact < most && most < half && half < independent, "{most} {half}");
    let entropic = cost(Plan::EntropicPartial { mass: 0.95, options: options(0.001) });
    assert!(exact < entropic && entropic < half, "{entropic}");
    let unbalanced = cost(Plan::Unbalanced { reg_m: 10.0, options: options(0.01) });
    assert!(exact <= unbalanced && unbalanced < warm, "{unbalanced}");
}

/// Drawn pairs have the plan's frequencies; an outlier that a partial plan leaves out is never
/// drawn.
#[test]
fn drawing_follows_the_plan() {
    let (x0, x1) = instance("uniform", 6, 2, 2);
    let cost = Metric::SquaredEuclidean.matrix(x1.view(), x0.view()).unwrap();
    let marginals = fm_ot::marginals::Marginals::uniform(6, 6);
    let plan = fm_ot::entropic::sinkhorn(cost.view(), &marginals, &options(0.2)).unwrap().plan.into_masses();
    let mut rng = Key::new(3, 0, Stream::Coupling).generator(0);
    let mut seen = Array2::<f64>::zeros((6, 6));
    let draws = 200_000;
    pairs::draw(plan.view(), draws, &mut rng)
        .unwrap()
        .into_iter()
        .for_each(|(i, j)| seen[(i, j)] += 1.0 / draws as f64);
    // Five standard deviations of a frequency.
    assert!(seen.iter().zip(&plan).all(|(s, p)| (s - p).abs() < 5.0 * (p / draws as f64).sqrt()), "{seen}\n{plan}");
    let far = array![[1.0f32], [500.0], [0.0]];
    let near = array![[0.1f32], [1.1], [2.0]];
    let partial = OtCoupling { pairs: PairSampling::Drawn, ..with(Plan::Partial { mass: 2.0 / 3.0 }) };
    for step in 0..50 {
        let drawn = partial.couple(&plain(&near, &far), &mut Key::new(0, step, Stream::Coupling).generator(0)).unwrap();
        let Pairing::Resampled { sources, targets } = drawn else { panic!("{drawn:?}") };
        let mut pairs = sources.iter().zip(&targets);
        assert!(pairs.all(|pair| [(&1, &0), (&0, &2)].contains(&pair)), "{sources:?} {targets:?}");
    }
}

#[test]
fn conditions_keep_classes_together_as_far_as_they_weigh() {
    let (x0, x1) = instance("uniform", 120, 2, 4);
    // Classes by position: without conditions sources are drawn to the class of their
    // neighbourhood.
    let classes: Vec<i64> = x1.rows().into_iter().map(|x| i64::from(x[0] > 0.5)).collect();
    let same = |condition_weight: f64, batch: &CouplingInput<'_>| {
        let pairs = coupled(&OtCoupling { condition_weight, ..OtCoupling::default() }, batch);
        assert!(is_permutation(&pairs));
        pairs.iter().filter(|(s, t)| classes[*s] == classes[*t]).count()
    };
    let by_class = CouplingInput { conditions: Conditions::Classes(&classes), ..plain(&x0, &x1) };
    let [none, little, much] = [0.0, 0.1, 100.0].map(|w| same(w, &by_class));
    assert!(none < 80 && none < little && little < 120 && much == 120, "{none} {little} {much}");
    // The same classes as vectors of one value.
    let values = Array2::from_shape_fn((120, 1), |(i, _)| classes[i] as f32);
    let by_value = CouplingInput { conditions: Conditions::Values(values.view()), ..plain(&x0, &x1) };
    assert_eq!(same(100.0, &by_value), 120);
    // Where all conditions are equal they change nothing.
    let coupling = OtCoupling { condition_weight: 5.0, ..OtCoupling::default() };
    let equal = CouplingInput { conditions: Conditions::Classes(&[3; 120]), ..plain(&x0, &x1) };
    assert_eq!(coupled(&coupling, &equal), coupled(&OtCoupling::default(), &equal));
    let nothing = coupling.couple(&plain(&x0, &x1), &mut Key::new(0, 0, Stream::Coupling).generator(0));
    assert_eq!(nothing, Err(CouplingError::Unconditional));
}

/// On a line optimal pairs keep the order, so that paths through sorted snapshots never cross.
#[test]
fn trajectories_on_a_line_keep_their_order() {
    let snapshots: Vec<Array2<f32>> = (0..4).map(|k| instance("uniform", 50, 1, 20 + k).0).collect();
    let views: Vec<ArrayView2<'_, f32>> = snapshots.iter().map(|s| s.view()).collect();
    let mut rng = Key::new(0, 0, Stream::Coupling).generator(0);
    let paths = trajectory(&views, &OtCoupling::default(), Conditions::None, &mut rng).unwrap();
    assert_eq!(paths[0], (0..50).collect::<Vec<_>>());
    let rank = |k: usize, path: usize| {
        let x = snapshots[k][(paths[k][path], 0)];
        snapshots[k].iter().filter(|y| **y < x).count()
    };
    for path in 0..50 {
        assert!((1..4).all(|k| rank(k, path) == rank(0, path)), "path {path} changes its rank");
    }
    // A drawn chain through a nearly exact plan does the same; through a product plan it forgets
    // where it came from.
    let mut chain = |share: f64| {
        let coupling = OtCoupling { pairs: PairSampling::Drawn, ..with(Plan::Sinkhorn(options(share))) };
        let paths = trajectory(&views, &coupling, Conditions::None, &mut rng).unwrap();
        let x = |k: usize, path: usize| f64::from(snapshots[k][(paths[k][path], 0)]);
        (0..50).map(|path| (x(3, path) - x(0, path)).powi(2)).sum::<f64>() / 50.0
    };
    let (close, free) = (chain(1e-3), chain(1e3));
    // Half of the mass leaves rows behind, and a path has nowhere to go from them.
    let half = OtCoupling { pairs: PairSampling::Drawn, ..with(Plan::Partial { mass: 0.5 }) };
    let message =
        trajectory(&views, &half, Conditions::None, &mut Key::new(0, 0, Stream::Coupling).generator(0)).unwrap_err();
    assert!(message.to_string().contains("no mass there"), "{message}");
    assert!(close < 0.02 && free > 0.08, "{close} {free}");
    assert!(trajectory::<f32, _>(&[], &OtCoupling::default(), Conditions::None, &mut rng).unwrap()[0].is_empty());
}

#[test]
fn batches_that_cannot_be_paired() {
    let mut rng = Key::new(0, 0, Stream::Coupling).generator(0);
    let mut couple =
        |x0: &Array2<f32>, x1: &Array2<f32>, coupling: &OtCoupling| coupling.couple(&plain(x0, x1), &mut rng);
    let (two, three, none) = (array![[0.0f32], [1.0]], array![[0.0f32], [1.0], [2.0]], Array2::zeros((0, 1)));
    let exact = OtCoupling::default();
    assert_eq!(couple(&two, &three, &exact), Err(CouplingError::Shape { x0: (2, 1), x1: (3, 1) }));
    assert_eq!(couple(&none, &none, &exact), Ok(Pairing::Identity));
    let broken = array![[f32::NAN], [0.0]];
    let message = couple(&broken, &two, &exact).unwrap_err().to_string();
    assert!(message.contains("not finite"), "{message}");
    let negative =
        with(Plan::Sinkhorn(SinkhornOptions { epsilon: Epsilon::Absolute(-1.0), ..SinkhornOptions::default() }));
    let message = couple(&two, &two, &negative).unwrap_err().to_string();
    assert!(message.contains("got -1"), "{message}");
    for condition_weight in [f64::NAN, -1.0, f64::INFINITY] {
        let message = couple(&two, &two, &OtCoupling { condition_weight, ..exact }).unwrap_err().to_string();
        assert!(message.contains("weigh conditions"), "{message}");
    }
    let labels = CouplingInput { conditions: Conditions::Classes(&[1]), ..plain(&two, &two) };
    assert_eq!(exact.couple(&labels, &mut rng), Err(CouplingError::Conditions { rows: 2, conditions: 1 }));
}

proptest! {
    /// Whatever the rows hold, a coupling answers with legal pairs or with an error.
    #[test]
    fn nothing_panics(
        (n, d, values) in (0..7usize, 1..4usize).prop_flat_map(|(n, d)| {
            let value = prop_oneof![
                8 => -2.0..2.0f32,
                2 => Just(0.0f32),
                1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::MAX), Just(1e-30f32)],
            ];
            (Just(n), Just(d), prop::collection::vec(value, 2 * n * d))
        }),
        plan in prop_oneof![
            Just(Plan::Exact),
            (-1.0..1.0f64).prop_map(|share| Plan::Sinkhorn(options(share))),
            (-1.0..2.0f64).prop_map(|reg_m| Plan::Unbalanced { reg_m, options: options(0.1) }),
            (-0.5..1.5f64).prop_map(|mass| Plan::Partial { mass }),
            (-0.5..1.5f64).prop_map(|mass| Plan::EntropicPartial { mass, options: options(0.1) }),
        ],
        pairs in prop_oneof![Just(PairSampling::Permutation), Just(PairSampling::Drawn)],
        metric in prop_oneof![Just(Metric::SquaredEuclidean), Just(Metric::Euclidean), Just(Metric::Cosine)],
        condition_weight in prop_oneof![Just(0.0), 0.0..1e9f64],
    ) {
        let x0 = Array2::from_shape_vec((n, d), values[..n * d].to_vec()).unwrap();
        let x1 = Array2::from_shape_vec((n, d), values[n * d..].to_vec()).unwrap();
        let classes: Vec<i64> = (0..n as i64).map(|i| i % 2).collect();
        let coupling = OtCoupling { cost: metric, condition_weight, plan, pairs };
        let batch = CouplingInput { conditions: Conditions::Classes(&classes), ..plain(&x0, &x1) };
        if let Ok(pairing) = coupling.couple(&batch, &mut Key::new(0, 0, Stream::Coupling).generator(0)) {
            prop_assert_eq!(pairing.sources(&classes, 1).len(), n);
            prop_assert_eq!(pairing.targets(&classes, 1).len(), n);
            let finite = x0.iter().chain(&x1).all(|v| v.is_finite());
            prop_assert!(finite || n == 0, "rows that are not finite were paired");
        }
    }
}

#[test]
fn couplings_are_read_as_they_were_written() {
    let options = SinkhornOptions { epsilon: Epsilon::Absolute(0.25), ..SinkhornOptions::default() };
    let plans = [
        Plan::Exact,
        Plan::Sinkhorn(options),
        Plan::Unbalanced { reg_m: 0.5, options },
        Plan::Partial { mass: 0.75 },
        Plan::EntropicPartial { mass: 0.5, options },
    ];
    for plan in plans {
        let coupling = OtCoupling::exact().plan(plan).cost(Metric::Cosine).condition_weight(2.0);
        let text = serde_json::to_string(&coupling).unwrap();
        assert_eq!(serde_json::from_str::<OtCoupling>(&text).unwrap(), coupling, "{text}");
    }
}
