//! Random legal parameters never panic and never give NaN; illegal ones are always refused with a
//! typed error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::choice::{Choice, ChoiceError};
use fm_core::loss::Loss;
use fm_core::objective::Objective;
use fm_core::path::{PathKind, ProbPath};
use fm_core::prediction::{PREDICTIONS, Prediction};
use fm_core::rng::{Key, Stream};
use fm_core::schedule::change;
use fm_core::source::{Source, SourceKind};
use fm_core::time::{Draw, LossAware, TimeKind, Times};
use fm_core::weighting::Weighting;
use proptest::prelude::*;

/// Any name of a choice with any legal parameters; wide domains are explored by magnitude, and
/// their ends are included.
fn legal<C: Choice + std::fmt::Debug>() -> impl Strategy<Value = C> {
    (0..C::TABLE.len(), prop::collection::vec(0.0..=1.0f64, 4)).prop_map(|(row, shares)| {
        let entry = &C::TABLE[row];
        let value = |(p, share): (&fm_core::choice::Parameter, f64)| {
            let (low, high) = (p.domain.low, p.domain.high);
            let x =
                if low >= 0.0 && high > 50.0 { low + (high - low) * share.powi(8) } else { low + (high - low) * share };
            let x = if p.domain.whole { x.round() } else { x };
            format!("{}={}", p.name, if p.domain.contains(x) { x } else { high })
        };
        let parameters: Vec<String> = entry.parameters.iter().zip(shares).map(value).collect();
        C::parse(&format!("{}:{}", entry.name(), parameters.join(","))).unwrap()
    })
}

fn illegal_values_are_refused<C: Choice + std::fmt::Debug>(value: f64) {
    for entry in C::TABLE {
        for p in entry.parameters {
            for x in [value, p.domain.low - 1.0, p.domain.high * 1.5 + 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]
            {
                let read = C::parse(&format!("{}:{}={x}", entry.name(), p.name));
                match read {
                    Ok(choice) => assert!(p.domain.contains(x) && choice.validate().is_ok()),
                    Err(error) => {
                        assert!(!p.domain.contains(x) && matches!(error, ChoiceError::Domain { .. }), "{error}")
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn paths_are_finite_or_named_singular(path in legal::<PathKind>(), t in prop_oneof![0.0..=1.0f64, Just(0.0), Just(1.0), Just(1e-300), Just(1.0 - 1e-16)]) {
        if let Ok(c) = path.at(t) {
            prop_assert!(c.is_finite());
            prop_assert!(c.alpha >= 0.0 && c.sigma >= 0.0 && c.gamma >= 0.0 && c.d_alpha >= 0.0 && c.d_sigma <= 0.0);
            for from in PREDICTIONS {
                if let Ok(target) = from.target(&c) {
                    prop_assert!([target.x1, target.x0, target.eps].iter().all(|v| v.is_finite()));
                }
                for to in PREDICTIONS {
                    if let Ok(k) = from.to(to, &c) {
                        prop_assert!(k.x.is_finite() && k.prediction.is_finite());
                    }
                }
            }
        }
    }

    #[test]
    fn laws_stay_in_their_interval(law in legal::<TimeKind>(), u in 1e-16..1.0f64, t in 0.0..=1.0f64) {
        let q = law.quantile(u.min(1.0 - 1e-16));
        prop_assert!((0.0..=1.0).contains(&q), "{law}: Q({u}) = {q}");
        let (f, p) = (law.cdf(t), law.density(t));
        prop_assert!((0.0..=1.0).contains(&f) && p >= 0.0, "{law} at {t}: F {f}, p {p}");
    }

    #[test]
    fn drawn_times_and_weights_are_usable(
        law in legal::<TimeKind>(), draw in legal::<Draw>(), clip in prop_oneof![Just(0.0), 0.0..0.5f64], importance: bool,
        seed: u64, rows in 0..40usize, bins in 0..30usize, seen in prop::collection::vec(0.0..100.0f64, 30),
    ) {
        let times = Times { distribution: law, draw, clip, importance };
        let mut adaptive = LossAware::new(bins);
        adaptive.update(&seen, &vec![1.0; 30]);
        prop_assert!((adaptive.probabilities().iter().sum::<f64>() - 1.0).abs() < 1e-9);
        if let Ok(drawn) = times.draw(Key::new(seed, 3, Stream::Time), rows, (bins > 0).then_some(&adaptive)) {
            let (low, high) = times.range();
            prop_assert_eq!(drawn.times.len(), rows);
            prop_assert!(drawn.times.iter().all(|t| (low..=high).contains(t)));
            prop_assert!(drawn.weights.iter().all(|w| *w >= 0.0), "{:?}", drawn.weights);
            prop_assert!(drawn.positions.iter().all(|u| (0.0..=1.0).contains(u)));
        }
    }

    #[test]
    fn objectives_validate_or_say_why(
        path in legal::<PathKind>(), prediction in legal::<Prediction>(), weighting in legal::<Weighting>(), loss in legal::<Loss>(),
        law in legal::<TimeKind>(), source in legal::<SourceKind>(), clip in prop_oneof![Just(0.0), 1e-6..0.5f64], e2 in 0.0..1e12f64,
    ) {
        let times = Times { distribution: law, clip, ..Times::default() };
        let objective = Objective { path, prediction, weighting, loss, times, ..Objective::default() };
        prop_assert!(loss.value(e2) >= 0.0);
        match objective.validate(&Source::from(source)) {
            Ok(()) => {
                let drawn = objective.draw(Key::new(1, 2, Stream::Time), 16, None).unwrap();
                prop_assert!(drawn.weights.iter().all(|w| w.is_finite() && *w >= 0.0), "{objective:?} {drawn:?}");
                if let Ok((low, high)) = objective.span() {
                    prop_assert!(0.0 <= low && low < high && high <= 1.0);
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn changes_of_schedule_are_finite_or_refused(a in legal::<PathKind>(), b in legal::<PathKind>(), r in 0.0..=1.0f64) {
        if let Ok(c) = change(&a, &b, r) {
            prop_assert!((0.0..=1.0).contains(&c.t) && c.d_t.is_finite() && c.scale.is_finite() && c.d_log_scale.is_finite());
            let (old, new) = (a.coefficients(c.t), b.coefficients(r));
            // The ratios agree, alpha sigma-bar = sigma alpha-bar, as far as a time of 16 digits
            // can tell.
            let slope = (old.d_alpha * new.sigma - old.d_sigma * new.alpha).abs();
            let off = (old.alpha * new.sigma - old.sigma * new.alpha).abs();
            prop_assert!(off < 1e-9 + 1e-15 * slope, "{a} {b} {r} {c:?}: {off}");
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z-]{0,12}(:[a-z=0-9.,-]{0,12})?") {
        let _ = (PathKind::parse(&text), TimeKind::parse(&text), Weighting::parse(&text), Source::default());
    }

    #[test]
    fn illegal_parameters_are_always_refused(value in -1e9..1e9f64) {
        illegal_values_are_refused::<PathKind>(value);
        illegal_values_are_refused::<TimeKind>(value);
        illegal_values_are_refused::<Weighting>(value);
        illegal_values_are_refused::<Loss>(value);
        illegal_values_are_refused::<SourceKind>(value);
    }
}

#[test]
fn text_forms_round_trip_and_mistakes_are_explained() {
    fn again<C: Choice>(text: &str) -> String {
        let written = C::parse(text).unwrap().to_string();
        assert_eq!(C::parse(&written).unwrap().to_string(), written);
        written
    }
    assert_eq!(again::<PathKind>("vp:beta_max=12"), "vp:beta_min=0.1,beta_max=12");
    assert_eq!(again::<TimeKind>("exp-u"), "exp-u:a=4");
    assert_eq!(again::<Weighting>(" min-snr : 7 "), "min-snr:gamma=7");
    assert_eq!(again::<SourceKind>("matched:deviation=0.25"), "matched:deviation=0.25");
    let says = |text: &str| TimeKind::parse(text).unwrap_err().to_string();
    assert_eq!(says("power:q=2"), "time power has no parameter 'q=2'; it has k");
    assert_eq!(says("uniform:3"), "time uniform has no parameter '3'; it has none");
    assert_eq!(says("power:k=two"), "'two' is not a number; time power needs a number for k");
    assert_eq!(says("discrete:k=2.5"), "k is 2.5; time discrete needs k from 1 to 100000 in whole numbers");
    assert_eq!(says("warp:s=1.51"), "s is 1.51; time warp needs s from 0 to 1.5");
    assert_eq!(says("warp:s=-0.01"), "s is -0.01; time warp needs s from 0 to 1.5");
    assert_eq!(says("logit-normal:1,loc=2"), "time logit-normal has loc twice; give it once");
    assert_eq!(says("power:k=1e300"), "k is 1e300; time power needs k above 0 and at most 100");
    let long = says(&format!("power:k={}", "x\n".repeat(1000)));
    assert!(long.len() < 200 && !long.contains('\n'), "{long}");
    assert!(says("normal").starts_with("no time is called 'normal'; choose one of uniform, logit-normal, arcsine"));
}
