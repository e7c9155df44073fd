//! Paths, targets, conversions and changes of schedule against torchcfm, flow_matching and
//! themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{close, numbers, reference, settings};
use fm_core::Error;
use fm_core::field::VelocityField;
use fm_core::interpolate::{coefficients, convert, interpolate};
use fm_core::path::{End, PathKind, ProbPath};
use fm_core::prediction::{PREDICTIONS, Prediction};
use fm_core::schedule::{Rescheduled, change};
use ndarray::{Array1, Array2};
use serde_json::Value;

/// The reference's inputs, in our precision.
struct Inputs {
    t: Vec<f64>,
    x0: Array2<f32>,
    x1: Array2<f32>,
    eps: Array2<f32>,
}

fn inputs(reference: &Value) -> Inputs {
    let i = &reference["inputs"];
    let shape = (i["rows"].as_u64().unwrap() as usize, i["dim"].as_u64().unwrap() as usize);
    let array =
        |key: &str| Array2::from_shape_vec(shape, numbers(&i[key]).into_iter().map(|v| v as f32).collect()).unwrap();
    Inputs { t: numbers(&i["t"]), x0: array("x0"), x1: array("x1"), eps: array("eps") }
}

fn flat(x: &Array2<f32>) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}

fn kind(name: &str) -> PathKind {
    name.parse().unwrap()
}

#[test]
fn positions_and_velocities_are_those_of_torchcfm_and_flow_matching() {
    let reference = reference("paths");
    let i = inputs(&reference);
    for library in ["flow_matching", "torchcfm"] {
        for (name, want) in reference[library].as_object().unwrap() {
            let path = kind(name);
            let c = coefficients(&path, &i.t).unwrap();
            let sample = interpolate(&c, Prediction::Velocity, &i.x0, &i.x1, Some(&i.eps)).unwrap();
            close(&flat(&sample.x_t), &numbers(&want["x_t"]), 1e-6, &format!("{library} {name} x_t"));
            close(&flat(&sample.target), &numbers(&want["velocity"]), 1e-6, &format!("{library} {name} velocity"));
        }
    }
}

#[test]
fn coefficients_are_those_of_flow_matching() {
    let reference = reference("paths");
    for (name, want) in reference["flow_matching"].as_object().unwrap() {
        let c = coefficients(&kind(name), &numbers(&reference["inputs"]["t"])).unwrap();
        let column = |f: fn(&fm_core::path::Coefficients) -> f64| c.iter().map(f).collect::<Vec<_>>();
        for (key, got) in [
            ("alpha", column(|c| c.alpha)),
            ("sigma", column(|c| c.sigma)),
            ("d_alpha", column(|c| c.d_alpha)),
            ("d_sigma", column(|c| c.d_sigma)),
        ] {
            close(&got, &numbers(&want[key]), 1e-12, &format!("{name} {key}"));
        }
    }
}

#[test]
fn conversions_and_scores_are_those_of_flow_matching_and_autograd() {
    let reference = reference("paths");
    let i = inputs(&reference);
    for (name, want) in reference["flow_matching"].as_object().unwrap() {
        let c = coefficients(&kind(name), &i.t).unwrap();
        let x_t = interpolate(&c, Prediction::Velocity, &i.x0, &i.x1, None).unwrap().x_t.mapv(f64::from);
        let p = i.eps.mapv(f64::from);
        for (pair, want) in want["conversions"].as_object().unwrap() {
            let (from, to) = pair.split_once("->").unwrap();
            let got = convert(&c, from.parse().unwrap(), to.parse().unwrap(), &x_t, &p).unwrap();
            // x_t was rounded to f32 and the coefficients reach 1e2.
            close(&got.into_raw_vec_and_offset().0, &numbers(want), 2e-5, &format!("{name} {pair}"));
        }
        let score = interpolate(&c, Prediction::Score, &i.x0, &i.x1, None).unwrap().target;
        close(&flat(&score), &numbers(&reference["score"][name]), 1e-6, &format!("{name} score"));
    }
}

#[test]
fn the_bridges_score_weight_is_torchcfms() {
    let reference = reference("paths");
    let path = kind("bridge:sigma=0.7");
    let got: Vec<f64> = numbers(&reference["inputs"]["t"]).iter().map(|t| path.score_weight(*t)).collect();
    close(&got, &numbers(&reference["bridge_score_weight"]), 1e-7, "lambda");
}

#[test]
fn changed_schedules_are_those_of_flow_matching() {
    let reference = reference("paths");
    let i = inputs(&reference);
    let cubic = |x: &Array1<f64>, t: f64| x.mapv(|x| x.sin() * (1.0 + t) + x.powi(3) / 10.0);
    for (pair, want) in reference["schedule"].as_object().unwrap() {
        let (old, new) = pair.split_once('|').unwrap();
        let field = Rescheduled::new(cubic, kind(old), kind(new), (0.01, 0.99)).unwrap();
        let got = i.t.iter().zip(i.x0.outer_iter());
        let got: Vec<f64> = got.flat_map(|(t, x)| field.velocity(&x.mapv(f64::from), *t)).collect();
        close(&got, &numbers(want), 1e-7, pair);
    }
    let error = change(&kind("vp"), &kind("linear"), 0.001).unwrap_err();
    let Error::UnreachableRatio { first, last, .. } = error else { panic!("{error}") };
    assert!((first - 0.00657 / 1.00655).abs() < 1e-4 && last == 1.0, "{first} {last}");
    assert!(change(&kind("bridge"), &kind("linear"), 0.5).is_err());
}

#[test]
fn derivatives_match_finite_differences() {
    let h = 1e-6;
    for path in settings::<PathKind>() {
        for t in (1..100).map(|i| f64::from(i) / 100.0) {
            let (a, b, c) = (path.coefficients(t - h), path.coefficients(t + h), path.at(t).unwrap());
            for (what, slope, given) in [
                ("alpha", (b.alpha - a.alpha) / (2.0 * h), c.d_alpha),
                ("sigma", (b.sigma - a.sigma) / (2.0 * h), c.d_sigma),
                ("gamma", (b.gamma - a.gamma) / (2.0 * h), c.d_gamma),
            ] {
                assert!((slope - given).abs() <= 1e-6 * (1.0 + given.abs()), "{path} {what} at {t}: {slope} {given}");
            }
        }
    }
}

#[test]
fn all_conversions_round_trip() {
    for path in settings::<PathKind>().into_iter().filter(|p| !p.has_extra_noise()) {
        for t in (1..100).map(|i| f64::from(i) / 100.0) {
            let c = path.at(t).unwrap();
            // A path that has hardly left its source says nothing about the data: 30 digits are not
            // there to be kept.
            if c.alpha < 1e-3 {
                continue;
            }
            for from in PREDICTIONS {
                for to in PREDICTIONS {
                    let (x, p) = (0.83, -1.37);
                    let there = from.to(to, &c).unwrap().apply(x, p);
                    let back = to.to(from, &c).unwrap().apply(x, there);
                    assert!((back - p).abs() <= 1e-10 * (1.0 + p.abs()), "{path} {from} {to} at {t}: {back}");
                }
            }
        }
    }
}

#[test]
fn boundaries_are_as_stated_and_singular_ends_are_errors() {
    let ends = |name: &str| {
        let (a, b) = (kind(name).coefficients(0.0), kind(name).coefficients(1.0));
        [a.alpha, a.sigma, a.gamma, b.alpha, b.sigma, b.gamma]
    };
    for name in ["linear", "trigonometric", "linear-vp", "linear-vp-noise", "polynomial:n=3", "bridge"] {
        assert_eq!(ends(name), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0], "{name}");
    }
    close(&ends("linear-sigma-min"), &[0.0, 1.0, 0.0, 1.0, 0.001, 0.0], 1e-15, "sigma-min");
    close(&ends("constant-noise:0.2"), &[0.0, 1.0, 0.2, 1.0, 0.0, 0.2], 1e-15, "constant noise");
    close(&ends("vp"), &[0.00657, 0.99998, 0.0, 1.0, 0.0, 0.0], 2e-6, "vp");
    for (name, singular) in [
        ("linear", vec![]),
        ("vp", vec![End::Data]),
        ("linear-vp", vec![End::Data]),
        ("linear-vp-noise", vec![End::Source]),
        ("polynomial:n=0.5", vec![End::Source]),
        ("bridge", vec![End::Source, End::Data]),
    ] {
        for end in [End::Source, End::Data] {
            let answer = kind(name).at(end.time());
            assert_eq!(answer.is_err(), singular.contains(&end), "{name} {end}");
            if let Err(error) = answer {
                assert!(error.to_string().contains(&end.to_string()) && error.to_string().contains("clip"), "{error}");
            }
        }
    }
    for t in [-1e-9, 1.0 + 1e-9, f64::NAN, f64::INFINITY] {
        assert!(matches!(PathKind::Linear.at(t), Err(Error::TimeOutside { .. })));
    }
}

#[test]
fn illegal_requests_are_typed() {
    let linear = |t: f64| PathKind::Linear.at(t).unwrap();
    assert!(matches!(
        Prediction::Data.to(Prediction::Noise, &linear(1.0)),
        Err(Error::SingularPrediction { t: 1.0, .. })
    ));
    assert!(matches!(
        Prediction::Noise.to(Prediction::Velocity, &linear(0.0)),
        Err(Error::SingularPrediction { t: 0.0, .. })
    ));
    assert!(Prediction::Score.target(&linear(1.0)).is_err());
    // At the data the velocity still knows the data.
    assert_eq!(Prediction::Velocity.to(Prediction::Data, &linear(1.0)).unwrap().apply(3.0, 7.0), 3.0);
    let noisy = kind("constant-noise").at(0.5).unwrap();
    assert!(matches!(Prediction::Data.to(Prediction::Velocity, &noisy), Err(Error::ExtraNoise { .. })));
    let x = Array2::<f64>::zeros((1, 2));
    assert!(matches!(interpolate(&[noisy], Prediction::Velocity, &x, &x, None), Err(Error::MissingNoise { .. })));
    assert!(matches!(interpolate(&[linear(0.5); 2], Prediction::Velocity, &x, &x, None), Err(Error::Rows { .. })));
}
