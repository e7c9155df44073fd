//! Weightings and losses against diffusers and PyTorch; the legality of whole objectives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{close, numbers, reference, settings};
use fm_core::Error;
use fm_core::interpolate::coefficients;
use fm_core::loss::{Loss, Reduction};
use fm_core::objective::Objective;
use fm_core::path::{PathKind, ProbPath};
use fm_core::prediction::{PREDICTIONS, Prediction};
use fm_core::rng::{Key, Stream};
use fm_core::source::{Source, SourceKind, deviation};
use fm_core::time::{TimeKind, Times};
use fm_core::weighting::Weighting;
use ndarray::Array2;

#[test]
fn weightings_are_those_of_diffusers() {
    let reference = reference("weightings");
    let path: PathKind = reference["path"].as_str().unwrap().parse().unwrap();
    let t = numbers(&reference["t"]);
    for (name, forms) in reference["weights"].as_object().unwrap() {
        let weighting: Weighting = name.parse().unwrap();
        for (prediction, want) in forms.as_object().unwrap() {
            let weight = |t: &f64| weighting.weight(prediction.parse().unwrap(), &path.at(*t).unwrap()).unwrap();
            // diffusers computes sd3-sigma in f32.
            for (got, want) in t.iter().map(weight).zip(numbers(want)) {
                assert!((got - want).abs() <= 1e-6 * want, "{name} of {prediction}: {got} against {want}");
            }
        }
    }
}

#[test]
fn losses_are_those_of_pytorch() {
    let losses = &reference("weightings")["losses"];
    let (p, q) = (numbers(&losses["prediction"]), numbers(&losses["target"]));
    let dim = p.len() / losses["rows"].as_u64().unwrap() as usize;
    let errors: Vec<f64> = p.iter().zip(&q).map(|(p, q)| p - q).collect();
    for name in ["mse|mean", "mse|sum", "pseudo-huber:c=0.00648|mean"] {
        let (loss, reduction) = name.split_once('|').unwrap();
        let (loss, reduction): (Loss, Reduction) = (loss.parse().unwrap(), reduction.parse().unwrap());
        let got: Vec<f64> = errors.chunks_exact(dim).map(|row| loss.value(reduction.reduce(row))).collect();
        close(&got, &numbers(&losses[name]), 1e-12, name);
    }
}

/// One error in the data, as every prediction would show it, weighs the same under a weighting of
/// the data's error.
#[test]
fn weightings_of_the_datas_error_do_not_depend_on_the_prediction() {
    for path in settings::<PathKind>().into_iter().filter(|p| !p.has_extra_noise()) {
        for weighting in [Weighting::MinSnr { gamma: 5.0 }, Weighting::Edm { sigma_data: 0.5 }] {
            for t in [0.1, 0.5, 0.9] {
                let c = path.at(t).unwrap();
                if c.alpha < 1e-6 {
                    continue;
                }
                let on_data = weighting.weight(Prediction::Data, &c).unwrap();
                for p in PREDICTIONS {
                    // An error of 1 in the data is an error of this size in the prediction.
                    let error = Prediction::Data.to(p, &c).unwrap().prediction;
                    let weight = weighting.weight(p, &c).unwrap() * error * error;
                    assert!((weight / on_data - 1.0).abs() < 1e-9, "{path} {weighting} {p} at {t}: {weight} {on_data}");
                }
            }
        }
    }
}

#[test]
fn every_combination_is_legal_or_says_why_not() {
    let mut legal = 0;
    for path in settings::<PathKind>() {
        for prediction in PREDICTIONS {
            for weighting in settings::<Weighting>() {
                for law in settings::<TimeKind>() {
                    for clip in [0.0, 1e-3] {
                        let times = Times { distribution: law, clip, ..Times::default() };
                        let objective = Objective { path, prediction, weighting, times, ..Objective::default() };
                        match objective.validate(&Source::default()) {
                            Ok(()) => {
                                legal += 1;
                                let drawn = objective.draw(Key::new(0, 0, Stream::Time), 8, None).unwrap();
                                assert!(drawn.weights.iter().all(|w| w.is_finite() && *w >= 0.0), "{objective:?}");
                            }
                            Err(error) => {
                                let text = error.to_string();
                                let remedies = ["clip", "choose", "train the"];
                                assert!(remedies.iter().any(|r| text.contains(r)), "no remedy: {text}");
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(legal > 5000, "only {legal}");
}

#[test]
fn what_has_no_meaning_is_refused() {
    let gaussian = Source::default();
    let refused = |objective: Objective, source: &Source| objective.validate(source).unwrap_err();
    let snr: Objective = Objective { weighting: Weighting::Snr, ..Objective::default() };
    assert!(matches!(refused(snr.clone(), &gaussian), Error::UnboundedWeight { t: 1.0, .. }));
    assert_eq!(Objective { times: Times { clip: 1e-3, ..Times::default() }, ..snr }.validate(&gaussian), Ok(()));
    let score: Objective = Objective { prediction: Prediction::Score, ..Objective::default() };
    assert!(matches!(refused(score.clone(), &SourceKind::Sparse { rate: 0.5 }.into()), Error::Combination { .. }));
    assert!(matches!(refused(score, &gaussian), Error::SingularPrediction { t: 1.0, .. }));
    let law = TimeKind::LogitNormal { loc: 0.0, scale: 1.0 };
    let importance: Objective =
        Objective { times: Times { distribution: law, importance: true, ..Times::default() }, ..Objective::default() };
    assert!(matches!(refused(importance, &gaussian), Error::UnboundedWeight { .. }));
    // Built in code, past the text form's checks.
    let illegal = Times { distribution: TimeKind::Power { k: -1.0 }, ..Times::default() };
    assert!(matches!(refused(Objective { times: illegal, ..Objective::default() }, &gaussian), Error::Choice(_)));
    let noise =
        Objective { path: PathKind::Bridge { sigma: 1.0 }, prediction: Prediction::Data, ..Objective::default() };
    assert!(matches!(noise.span(), Err(Error::SingularPath { .. })));
    let data: Objective = Objective { prediction: Prediction::Data, ..Objective::default() };
    assert!(matches!(data.span(), Err(Error::SingularPrediction { t: 1.0, .. })));
}

#[test]
fn an_objective_survives_its_text_form() {
    let times = Times { distribution: "mode:s=0.5".parse().unwrap(), clip: 0.01, ..Times::default() };
    let objective = Objective { path: PathKind::Polynomial { n: 3.0 }, times, ..Objective::default() };
    let text = serde_json::to_string(&objective).unwrap();
    assert!(text.contains("\"path\":\"polynomial:n=3\"") && text.contains("\"time\":\"mode:s=0.5\""), "{text}");
    assert_eq!(serde_json::from_str::<Objective>(&text).unwrap(), objective);
    let broken = text.replace("n=3", "n=0");
    let error = serde_json::from_str::<Objective>(&broken).unwrap_err().to_string();
    assert!(error.contains("path polynomial needs n above 0"), "{error}");
}

#[test]
fn sources_have_their_distributions_and_do_not_depend_on_batches() {
    let matched = SourceKind::Matched { deviation: 0.0 };
    let matched = matched.measured(|| deviation((0..1000).map(|i| f64::from(i) / 100.0)));
    let SourceKind::Matched { deviation } = matched else { panic!("{matched}") };
    assert!((deviation - 10.0 / 12f64.sqrt()).abs() < 1e-3, "{deviation}");
    let moments = |source: &Source| {
        let sample = |first, rows| source.sample(Key::new(3, 0, Stream::Noise).from_row(first), rows, 50).unwrap();
        let (x, parts) = (sample(0, 2000), [sample(0, 7), sample(7, 1993)]);
        assert_eq!(x, parts.concat());
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / 1e5;
        (mean, (x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 1e5 - mean * mean).sqrt())
    };
    for (source, mean, spread) in [
        (SourceKind::Gaussian.into(), 0.0, 1.0),
        (Source::from(matched), 0.0, deviation),
        (SourceKind::Sparse { rate: 0.36 }.into(), 0.0, 0.8),
        (SourceKind::Sparse { rate: 1.0 }.into(), 0.0, 0.0),
        (Source::Rows(Array2::from_shape_fn((2, 50), |(i, _)| i as f32)), 0.5, 0.5),
    ] {
        let (m, s) = moments(&source);
        // Rows of a data set are drawn whole: 2,000 draws, not 100,000.
        assert!(
            (m - mean).abs() < 0.05 * spread + 1e-9 && (s - spread).abs() < 0.01 * spread + 1e-9,
            "{source:?} {m} {s}"
        );
    }
}

/// A data set that does not fit the data is not cut, padded or replaced by zeros.
#[test]
fn sources_that_cannot_be_drawn_from_are_errors() {
    let draw = |source: Source, rows, dim| source.sample(Key::new(0, 0, Stream::Noise), rows, dim);
    let rows = |shape| Source::Rows(Array2::zeros(shape));
    assert!(matches!(draw(rows((4, 3)), 2, 2), Err(Error::Width { expected: 2, got: 3, .. })));
    assert!(matches!(draw(rows((4, 3)), 2, 4), Err(Error::Width { expected: 4, got: 3, .. })));
    assert!(matches!(draw(rows((0, 3)), 2, 3), Err(Error::Rows { .. })));
    assert_eq!(draw(rows((4, 3)), 2, 3), Ok(vec![0.0; 6]));
    for deviation in [f64::NAN, -1.0, f64::INFINITY] {
        let matched = SourceKind::Matched { deviation };
        assert!(matches!(draw(matched.into(), 2, 3), Err(Error::Choice(_))), "{deviation}");
    }
    // Not measured yet: x0 would be 0 everywhere.
    assert!(matches!(draw(SourceKind::Matched { deviation: 0.0 }.into(), 2, 3), Err(Error::Value { .. })));
    assert!(matches!(draw(Source::default(), usize::MAX, 2), Err(Error::Memory { .. })));
    let objective: Objective = Objective::default();
    let broken = Source::Rows(Array2::from_elem((2, 2), f32::NAN));
    assert!(matches!(objective.validate(&broken), Err(Error::NotFinite { row: 0, .. })));
    assert!(objective.validate(&rows((0, 2))).is_err());
    let bins = Objective { loss_aware_bins: usize::MAX, ..objective };
    assert!(matches!(bins.validate(&Source::default()), Err(Error::Value { .. })));
}

/// A parameter that is NaN is not the same as no parameter, also where `validate` was not called.
#[test]
fn settings_that_are_not_numbers_do_not_turn_themselves_off() {
    let c = PathKind::Linear.at(0.75).unwrap();
    let weight = |weighting: Weighting| weighting.weight(Prediction::Velocity, &c).unwrap();
    assert!(weight(Weighting::MinSnr { gamma: f64::NAN }).is_nan());
    assert_eq!(weight(Weighting::MinSnr { gamma: 5.0 }), 5.0 / 16.0);
    let draw = |objective: &Objective| objective.draw(Key::new(0, 0, Stream::Time), 4, None);
    for weighting in [Weighting::MinSnr { gamma: f64::NAN }, Weighting::MinSnr { gamma: -1.0 }] {
        assert!(matches!(draw(&Objective { weighting, ..Objective::default() }), Err(Error::Choice(_))));
    }
    let path = PathKind::ConstantNoise { sigma: -1.0 };
    assert!(matches!(draw(&Objective { path, ..Objective::default() }), Err(Error::Choice(_))));
    assert!(coefficients(&path, &[0.5]).is_err());
    for clip in [f64::NAN, -0.5, 0.7] {
        let objective: Objective = Objective { times: Times { clip, ..Times::default() }, ..Objective::default() };
        assert!(objective.span().is_err() && draw(&objective).is_err(), "{clip}");
    }
    assert!(matches!(Times::default().draw(Key::new(0, 0, Stream::Time), usize::MAX, None), Err(Error::Memory { .. })));
}
