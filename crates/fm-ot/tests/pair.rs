//! Paired rows in one call, costs of the caller, and points in f64 against POT and SciPy
//! (`reference/pairs.py`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::coupling::{Conditions, Coupling, CouplingInput, Pairing};
use fm_core::rng::{Key, Stream, normal_rows};
use fm_ot::cost::pairwise;
use fm_ot::ndarray::{Array2, ArrayView2, Axis, array};
use fm_ot::trajectory::trajectory;
use fm_ot::{Cost, Epsilon, Marginals, Metric, OtCoupling, OtError, PairSampling, Plan, Scalar, SinkhornOptions};
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("reference/pairs.json")).unwrap()
}

fn table(value: &Value) -> Array2<f64> {
    let rows = value.as_array().unwrap();
    let values: Vec<f64> = rows.iter().flat_map(|r| r.as_array().unwrap()).map(|v| v.as_f64().unwrap()).collect();
    Array2::from_shape_vec((rows.len(), values.len() / rows.len()), values).unwrap()
}

fn rng() -> impl rand::RngCore {
    Key::new(0, 0, Stream::Coupling).generator(0)
}

fn city_block<T: Scalar>(x: &[T], y: &[T]) -> f64 {
    let size = |(x, y): (&T, &T)| -> f64 { ((*x).into() - (*y).into()).abs() };
    x.iter().zip(y).map(size).sum()
}

/// In f32 all of these points are one, and the identity would be as good as any pairing.
#[test]
fn doubles_are_paired_as_pot_and_scipy_pair_them() {
    let found = reference();
    let (x0, x1) = (table(&found["x0"]), table(&found["x1"]));
    let sources = |name: &str| -> Vec<usize> {
        found[name].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
    };
    let exact = fm_ot::pair(x0.view(), x1.view()).unwrap();
    assert_eq!(exact.pairing, Pairing::Permutation(sources("exact")));
    assert_eq!((&exact.x0, &exact.x1), (&x0.select(Axis(0), &sources("exact")), &x1));
    let own = OtCoupling::exact().cost(city_block::<f64>).pair(x0.view(), x1.view(), &mut rng()).unwrap();
    assert_ne!(own.pairing, exact.pairing);
    let cost = Metric::SquaredEuclidean.matrix(x1.view(), x0.view()).unwrap();
    let uniform = Marginals::uniform(24, 24);
    let close = |name: &str, got: f64| {
        let want = found[name].as_f64().unwrap();
        assert!((got / want - 1.0).abs() < 1e-6, "{name}: {got} instead of {want}");
    };
    // Swaps on a common side of both points are free, so that the optimum is known by its cost.
    close("city block", (&own.x0 - &own.x1).mapv(f64::abs).sum());
    close("emd2", fm_ot::emd(cost.view(), &uniform).unwrap().cost());
    close("emd2", fm_ot::assign(cost.view()).unwrap().cost / 24.0);
    let options = SinkhornOptions { tolerance: 1e-10, max_iterations: 100_000, ..Epsilon::Relative(0.05).into() };
    close("sinkhorn", fm_ot::sinkhorn(cost.view(), &uniform, &options).unwrap().cost);
    let single = fm_ot::pair(x0.mapv(|v| v as f32).view(), x1.mapv(|v| v as f32).view()).unwrap();
    assert_ne!(single.pairing, exact.pairing);
}

/// From the first coordinate of one point to the second of the other.
struct Across;

impl Cost for Across {
    fn cost(&self, x: &[f32], y: &[f32]) -> f64 {
        f64::from(x[0] - y[1]).powi(2)
    }
}

fn normal(step: u64) -> Array2<f32> {
    Array2::from_shape_vec((12, 2), normal_rows(Key::new(3, step, Stream::Data), 12, 2)).unwrap()
}

/// A cost goes from a source to a target, in couplings and along trajectories.
#[test]
fn costs_have_a_direction() {
    let (x0, x1) = (normal(0), normal(1));
    let coupling = OtCoupling::exact().cost(Across);
    let forwards = Across.matrix(x0.view(), x1.view()).unwrap();
    let best = fm_ot::assign(forwards.view()).unwrap();
    let backwards = fm_ot::assign(Across.matrix(x1.view(), x0.view()).unwrap().view()).unwrap();
    assert!((best.cost - backwards.cost).abs() > 0.1);
    let batch = CouplingInput { x0: x0.view(), x1: x1.view(), conditions: Conditions::None };
    let Ok(Pairing::Permutation(sources)) = coupling.couple(&batch, &mut rng()) else { panic!("no permutation") };
    assert!((0..12).all(|source| sources[best.columns[source]] == source), "{sources:?} and {best:?}");
    assert_eq!(coupling.pair(x0.view(), x1.view(), &mut rng()).unwrap().pairing, Pairing::Permutation(sources));
    let paths = trajectory(&[x0.view(), x1.view()], &coupling, Conditions::None, &mut rng()).unwrap();
    assert_eq!(paths[1], best.columns);
}

/// A closure that is a named cost gives the pairs of the named cost, whatever the plan.
#[test]
fn closures_are_costs_of_every_plan() {
    let (x0, x1) = (normal(0), normal(1));
    let squared = |x: &[f32], y: &[f32]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)) * (f64::from(*x) - f64::from(*y))).sum()
    };
    let options = SinkhornOptions::default();
    for plan in [
        Plan::Exact,
        Plan::Sinkhorn(options),
        Plan::Unbalanced { reg_m: 1.0, options },
        Plan::Partial { mass: 0.7 },
        Plan::EntropicPartial { mass: 0.7, options },
    ] {
        for pairs in [PairSampling::Permutation, PairSampling::Drawn] {
            let named = OtCoupling::exact().plan(plan).pairs(pairs);
            let named_pairs = named.pair(x0.view(), x1.view(), &mut rng()).unwrap();
            assert_eq!(named_pairs, named.cost(squared).pair(x0.view(), x1.view(), &mut rng()).unwrap());
            let batch = CouplingInput { x0: x0.view(), x1: x1.view(), conditions: Conditions::None };
            assert_eq!(Ok(named_pairs.pairing.clone()), named.couple(&batch, &mut rng()));
            let all: Vec<usize> = (0..12).collect();
            let (sources, targets) = (named_pairs.pairing.sources(&all, 1), named_pairs.pairing.targets(&all, 1));
            assert_eq!(named_pairs.x0, x0.select(Axis(0), &sources));
            assert_eq!(named_pairs.x1, x1.select(Axis(0), &targets));
        }
    }
}

/// A matrix of its own, and of a wrong shape.
struct Constant(usize);

impl Cost<f64> for Constant {
    fn cost(&self, _: &[f64], _: &[f64]) -> f64 {
        f64::NAN
    }

    fn matrix(&self, _: ArrayView2<'_, f64>, _: ArrayView2<'_, f64>) -> Result<Array2<f64>, OtError> {
        Ok(Array2::ones((self.0, self.0)))
    }
}

#[test]
fn what_cannot_be_paired_is_a_typed_error() {
    let (two, three) = (array![[0.0f64], [1.0]], array![[0.0f64], [1.0], [2.0]]);
    let exact = OtCoupling::exact();
    assert_eq!(fm_ot::pair(two.view(), three.view()), Err(OtError::Batch { x0: (2, 1), x1: (3, 1) }));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let broken = move |x: &[f64], y: &[f64]| if x[0] == 1.0 && y[0] == 0.0 { bad } else { 1.0 };
        for plan in [Plan::Exact, Plan::Sinkhorn(SinkhornOptions::default()), Plan::Partial { mass: 0.5 }] {
            let found = exact.plan(plan).cost(broken).pair(two.view(), two.view(), &mut rng());
            // Rows of the matrix are targets.
            assert_eq!(found, Err(OtError::NotFinite { row: 0, column: 1 }), "{bad} {plan:?}");
        }
    }
    let huge = |_: &[f64], _: &[f64]| 1e300;
    assert_eq!(exact.cost(huge).pair(two.view(), two.view(), &mut rng()), Err(OtError::TooLarge));
    let found = exact.condition_weight(1.0).pair(two.view(), two.view(), &mut rng());
    assert_eq!(found, Err(OtError::Unconditional));
    let found = exact.condition_weight(-1.0).pair(two.view(), two.view(), &mut rng());
    assert_eq!(found, Err(OtError::Weight { weight: -1.0 }));
    let found = exact.cost(Constant(3)).pair(two.view(), two.view(), &mut rng());
    assert_eq!(found, Err(OtError::CostShape { expected: (2, 2), got: (3, 3) }));
    assert!(exact.cost(Constant(2)).pair(two.view(), two.view(), &mut rng()).is_ok());
    let none = Array2::<f64>::zeros((0, 4));
    let empty = fm_ot::pair(none.view(), none.view()).unwrap();
    assert_eq!((empty.x0.dim(), empty.pairing), ((0, 4), Pairing::Identity));
}

#[test]
fn builders_say_what_fields_say() {
    let options = SinkhornOptions { epsilon: Epsilon::Absolute(0.3), ..SinkhornOptions::default() };
    let built = OtCoupling::sinkhorn(Epsilon::Absolute(0.3)).cost(Metric::Cosine).condition_weight(2.0);
    let written = OtCoupling {
        cost: Metric::Cosine,
        condition_weight: 2.0,
        plan: Plan::Sinkhorn(options),
        pairs: PairSampling::Permutation,
    };
    assert_eq!(built, written);
    assert_eq!(OtCoupling::exact(), OtCoupling::default());
    let x = array![[0.0f32, 1.0]];
    assert_eq!(city_block::<f32>.matrix(x.view(), x.view()), pairwise(x.view(), x.view(), city_block::<f32>));
}
