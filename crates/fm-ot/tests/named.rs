//! Couplings by name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use fm_core::choice::Choice;
use fm_core::coupling::{Conditions, CouplingInput, Pairing};
use fm_core::path::PathKind;
use fm_core::rng::{Key, Stream};
use fm_ot::{CouplingKind, Epsilon, Metric, OtCoupling, OtError, PairSampling, Plan, Reports};

const BRIDGE: PathKind = PathKind::Bridge { sigma: 0.5 };

fn transport(text: &str, path: PathKind) -> Result<Option<OtCoupling>, OtError> {
    CouplingKind::parse(text).unwrap().transport(Metric::Cosine, PairSampling::Permutation, path)
}

#[test]
fn every_name_is_read_as_it_is_written_and_pairs() {
    let (x0, x1) = common::instance("uniform", 20, 2, 3);
    let classes: Vec<i64> = (0..20).map(|i| i % 3).collect();
    let batch = CouplingInput { x0: x0.view(), x1: x1.view(), conditions: Conditions::Classes(&classes) };
    for entry in CouplingKind::TABLE {
        for name in entry.names {
            let kind = CouplingKind::parse(name).unwrap();
            assert_eq!(CouplingKind::parse(&kind.to_string()).unwrap(), kind);
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<CouplingKind>(&text).unwrap(), kind);
            let reports = Reports::default();
            if kind.semidiscrete().is_some() {
                let refused = kind.build(Metric::default(), PairSampling::default(), PathKind::Linear, true);
                assert!(matches!(refused, Err(OtError::WholeData { .. })));
                continue;
            }
            let built =
                kind.build_reporting(Metric::default(), PairSampling::default(), BRIDGE, true, &reports).unwrap();
            let pairing = built.couple(&batch, &mut Key::new(0, 0, Stream::Coupling).generator(0)).unwrap();
            pairing.check(20).unwrap();
            let independent = kind == CouplingKind::Independent;
            assert_eq!(pairing == Pairing::Identity, independent, "{name}");
            assert_eq!(reports.tally().plans, u64::from(!independent), "{name}");
            let plain = kind.build(Metric::default(), PairSampling::default(), BRIDGE, true).unwrap();
            assert_eq!(plain.couple(&batch, &mut Key::new(0, 0, Stream::Coupling).generator(0)).unwrap(), pairing);
        }
    }
}

#[test]
fn parameters_reach_the_plan() {
    let plan = |text: &str| transport(text, PathKind::Linear).unwrap().unwrap().plan;
    let epsilon = |text: &str| match plan(text) {
        Plan::Sinkhorn(options) => (options.epsilon, options.max_iterations),
        other => panic!("{other:?}"),
    };
    assert_eq!(epsilon("sinkhorn:0.25"), (Epsilon::Relative(0.25), 300));
    assert_eq!(epsilon("sinkhorn-absolute:2"), (Epsilon::Absolute(2.0), 300));
    assert!(matches!(plan("unbalanced:0.1,3"), Plan::Unbalanced { reg_m: 3.0, .. }));
    assert_eq!(plan("partial:0.5"), Plan::Partial { mass: 0.5 });
    assert!(matches!(plan("partial:0.5,0.1"), Plan::EntropicPartial { mass: 0.5, .. }));
    let c2ot = transport("c2ot:7", PathKind::Linear).unwrap().unwrap();
    assert_eq!((c2ot.condition_weight, c2ot.plan, c2ot.cost), (7.0, Plan::Exact, Metric::Cosine));
    assert_eq!(transport("independent", PathKind::Linear), Ok(None));
    let bridge = transport("schroedinger-bridge", BRIDGE).unwrap().unwrap();
    assert_eq!(bridge.pairs, PairSampling::Drawn);
    assert!(matches!(bridge.plan, Plan::Sinkhorn(options) if options.epsilon == Epsilon::Absolute(0.5)));
}

#[test]
fn the_named_semidiscrete_coupling_has_the_default_options() {
    let named = CouplingKind::parse("semidiscrete").unwrap().semidiscrete();
    assert_eq!(named, Some(fm_ot::SemidiscreteOptions::default()));
}

#[test]
fn what_does_not_fit_the_model_or_the_path_is_a_typed_error() {
    for path in [PathKind::Linear, PathKind::Polynomial { n: 2.0 }, PathKind::Trigonometric] {
        let error = transport("bridge", path).unwrap_err();
        assert_eq!(error, OtError::BridgePath { path: path.to_string() });
        assert!(error.to_string().contains("choose path schroedinger-bridge"), "{error}");
    }
    let build = |text: &str, conditional| {
        let kind = CouplingKind::parse(text).unwrap();
        kind.build(Metric::default(), PairSampling::default(), PathKind::Linear, conditional).map(drop)
    };
    let error = build("c2ot:2", false).unwrap_err();
    assert_eq!(error, OtError::NoClasses { coupling: "c2ot:weight=2".into() });
    assert!(error.to_string().contains("this model has none"), "{error}");
    assert_eq!((build("c2ot", true), build("exact", false)), (Ok(()), Ok(())));
    for text in
        ["", "sinkhorn:0", "sinkhorn:nan", "partial:1.5", "partial:0", "exact:1", "unbalanced:1,-1", "é", "c2ot:0"]
    {
        assert!(CouplingKind::parse(text).is_err(), "{text}");
    }
    // Values that were not parsed are refused by the solver.
    let x = ndarray::array![[0f32], [1.0]];
    for kind in [
        CouplingKind::Sinkhorn { epsilon: f64::NAN },
        CouplingKind::SinkhornAbsolute { epsilon: -1.0 },
        CouplingKind::Partial { mass: f64::INFINITY, epsilon: 0.0 },
        CouplingKind::Unbalanced { epsilon: 0.1, reg_m: f64::NAN },
        CouplingKind::C2ot { weight: f64::NAN },
    ] {
        let coupling = kind.transport(Metric::default(), PairSampling::default(), PathKind::Linear).unwrap().unwrap();
        assert!(
            coupling.pair(x.view(), x.view(), &mut Key::new(0, 0, Stream::Coupling).generator(0)).is_err(),
            "{kind:?}"
        );
    }
}
