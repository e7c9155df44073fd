//! Paths, times, weightings, losses and sources of your own: equal to the named ones that they
//! copy, and checked like them.

use fm_core::FlowMatching;
use fm_core::loss::{Loss, RowLoss};
use fm_core::path::{Coefficients, PathKind, ProbPath};
use fm_core::prediction::Prediction;
use fm_core::rng::{Key, Stream};
use fm_core::source::{Source, SourceDistribution};
use fm_core::time::{TimeDistribution, TimeKind, Times};
use fm_core::weighting::TimeWeight;
use ndarray::array;
use rand::RngCore;

/// The cosine path by its two formulas alone.
struct Cosine;

impl ProbPath for Cosine {
    fn coefficients(&self, t: f64) -> Coefficients {
        let quarter = std::f64::consts::FRAC_PI_2;
        let (sin, cos) = (quarter * t).sin_cos();
        let (d_alpha, d_sigma) = (quarter * cos, -quarter * sin);
        Coefficients { t, alpha: sin, sigma: cos, d_alpha, d_sigma, ..Coefficients::default() }
    }
}

/// `power:k=3` by its quantile alone.
struct Cube;

impl TimeDistribution for Cube {
    fn quantile(&self, u: f64) -> f64 {
        u.powi(3)
    }
}

/// Pseudo-Huber by its value alone.
struct Huber;

impl RowLoss for Huber {
    fn value(&self, squared: f64) -> f64 {
        (squared + 0.01).sqrt() - 0.1
    }
}

struct Bad(fn(f64) -> f64);

impl TimeDistribution for Bad {
    fn quantile(&self, u: f64) -> f64 {
        (self.0)(u)
    }
}

#[test]
fn a_flow_of_your_own_parts_draws_what_the_named_ones_draw() {
    let own = FlowMatching::new(Cosine).times(Cube).row_loss(Huber).weighting(|t| t * t).time_clip(0.05);
    let named = FlowMatching::new(PathKind::Trigonometric)
        .times(TimeKind::Power { k: 3.0 })
        .row_loss(Loss::PseudoHuber { c: 0.1 })
        .weighting("data-end".parse::<fm_core::weighting::Weighting>().unwrap())
        .time_clip(0.05);
    own.validate().unwrap();
    let [a, b] = [&own, &named].map(|flow| flow.objective.draw(Key::new(3, 5, Stream::Time), 64, None).unwrap());
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12 * b.abs().max(1.0));
    assert!(close(&a.times, &b.times) && close(&a.weights, &b.weights), "{a:?} {b:?}");
    let (x0, x1, t) = (array![[1.0, -2.0]], array![[0.5, 3.0]], [0.3]);
    let (a, b) = (own.sample(&x0, &x1, &t).unwrap(), named.sample(&x0, &x1, &t).unwrap());
    assert!((&a.x_t - &b.x_t).iter().chain(&(&a.target - &b.target)).all(|gap: &f64| gap.abs() < 1e-14), "{a:?} {b:?}");
    let value = |flow: &FlowMatching| flow.objective.loss.value(0.7);
    assert!((value(&own) - (0.71f64.sqrt() - 0.1)).abs() < 1e-15);
    assert!((value(&own) - value(&named)).abs() < 1e-15);
    assert_eq!(own.objective.path.name(), "Cosine");
}

#[test]
fn cdf_and_density_follow_from_the_quantile() {
    let named = TimeKind::Power { k: 3.0 };
    for t in [0.001, 0.1, 0.5, 0.9, 0.999] {
        assert!((Cube.cdf(t) - named.cdf(t)).abs() < 1e-12, "{t}");
        let (own, exact) = (Cube.density(t), named.density(t));
        assert!((own - exact).abs() < 1e-7 * exact, "{t}: {own} {exact}");
    }
    assert_eq!((Cube.cdf(-1.0), Cube.cdf(2.0), Cube.density(2.0)), (0.0, 1.0, 0.0));
    // Importance weights 1 / p(t) of the truncated distribution.
    let times = |clip| Times { clip, importance: true, ..Times::of(Cube) };
    let exact = |clip| Times { clip, importance: true, ..Times::of(named) };
    let (a, b) = (
        times(0.1).draw(Key::new(1, 0, Stream::Time), 100, None).unwrap(),
        exact(0.1).draw(Key::new(1, 0, Stream::Time), 100, None).unwrap(),
    );
    assert!(a.weights.iter().zip(&b.weights).all(|(a, b)| (a / b - 1.0).abs() < 1e-7));
}

#[test]
fn the_support_is_where_times_can_be_drawn() {
    assert_eq!(Times::of(TimeKind::Discrete { k: 4.0 }).support(), (0.0, 0.75));
    assert_eq!(Times { clip: 0.1, ..Times::of(Cube) }.support(), (0.1, 0.9));
    // SNR is infinite at the data, which four times never reach.
    let snr = "snr".parse::<fm_core::weighting::Weighting>().unwrap();
    assert_eq!(FlowMatching::default().weighting(snr).times(TimeKind::Discrete { k: 4.0 }).validate(), Ok(()));
    assert!(FlowMatching::default().weighting(snr).validate().is_err());
    assert!(FlowMatching::default().coupled_steps(0).validate().is_err());
}

#[test]
fn quantiles_that_fall_or_leave_the_interval_are_refused() {
    for (bad, why) in [
        (Bad(|u| 1.0 - u), "falls"),
        (Bad(|u| 2.0 * u), "leaves"),
        (Bad(|u| u - 0.5), "starts below"),
        (Bad(|_| f64::NAN), "is NaN"),
    ] {
        let error = FlowMatching::default().times(bad).validate().expect_err(why);
        assert!(matches!(&error, fm_core::Error::Quantile { .. }), "{error}");
        assert!(error.to_string().contains("Bad") && error.to_string().contains("correct its formula"), "{error}");
    }
}

#[test]
fn weights_without_bound_are_refused_where_times_reach_them() {
    let flow = || FlowMatching::default().weighting(|t| 1.0 / (1.0 - t));
    assert!(matches!(flow().validate(), Err(fm_core::Error::UnboundedWeight { .. })));
    assert_eq!(flow().time_clip(0.01).validate(), Ok(()));
    assert_eq!(flow().objective.weight(0.75), Ok(4.0));
}

#[test]
fn a_path_that_is_not_finite_at_an_end_is_refused_without_naming_its_ends() {
    struct Root;
    impl ProbPath for Root {
        fn coefficients(&self, t: f64) -> Coefficients {
            let (alpha, d_alpha) = (t.sqrt(), 0.5 / t.sqrt());
            Coefficients { t, alpha, d_alpha, sigma: 1.0 - t, d_sigma: -1.0, ..Coefficients::default() }
        }
    }
    assert!(FlowMatching::new(Root).validate().is_err());
    let flow = FlowMatching::new(Root).time_clip(0.01);
    assert_eq!(flow.validate(), Ok(()));
    assert_eq!(flow.objective.span(), Ok((0.01, 1.0)));
}

#[test]
fn a_source_of_your_own_is_drawn_row_by_row_and_checked() {
    struct Signs;
    impl SourceDistribution for Signs {
        fn fill(&self, rng: &mut dyn RngCore, row: &mut [f32]) {
            row.iter_mut().for_each(|x| *x = if rng.next_u32().is_multiple_of(2) { 1.0 } else { -1.0 });
        }
    }
    struct Broken;
    impl SourceDistribution for Broken {
        fn fill(&self, _: &mut dyn RngCore, row: &mut [f32]) {
            row.fill(f32::NAN);
        }
    }
    let (key, source) = (Key::new(1, 2, Stream::Noise), Source::from(Signs));
    let whole = source.sample(key, 6, 4).unwrap();
    assert!(whole.iter().all(|x| x.abs() == 1.0) && whole.contains(&1.0) && whole.contains(&-1.0));
    assert_eq!(whole[8..], source.sample(key.from_row(2), 4, 4).unwrap());
    let error = Source::from(Broken).sample(key, 2, 3).unwrap_err();
    assert!(matches!(error, fm_core::Error::NotFinite { row: 0, .. }), "{error}");
    assert_eq!(FlowMatching::default().source(Signs).source.sample(key, 6, 4).unwrap(), whole);
    // No score of it is known.
    let flow = FlowMatching::default().source(source.clone()).prediction(Prediction::Score);
    assert!(matches!(flow.validate(), Err(fm_core::Error::Combination { .. })));
    assert!(source == source.clone() && source != Source::from(Signs));
}

#[test]
fn a_named_objective_keeps_its_parts() {
    let text = r#"{"path": "vp", "prediction": "noise", "weighting": "min-snr", "loss": "pseudo-huber:c=0.1",
        "reduction": "sum", "loss_aware": 8, "time": "arcsine", "time_draw": "stratified", "time_clip": 0.01,
        "importance": true}"#;
    let objective: fm_core::Objective = serde_json::from_str(text).unwrap();
    let flow = FlowMatching::from(objective.clone());
    let o = &flow.objective;
    let names = [o.path.name(), o.times.distribution.name(), o.weighting.name(), o.loss.name()];
    let expected = [
        objective.path.to_string(),
        objective.times.distribution.to_string(),
        objective.weighting.to_string(),
        objective.loss.to_string(),
    ];
    assert_eq!(names, expected);
    let others = (o.prediction, o.reduction, o.loss_aware_bins, o.times.draw, o.times.clip, o.times.importance);
    let times = &objective.times;
    let expected = (
        objective.prediction,
        objective.reduction,
        objective.loss_aware_bins,
        times.draw,
        times.clip,
        times.importance,
    );
    assert_eq!(others, expected);
    assert_eq!(o.draw(Key::new(1, 2, Stream::Time), 9, None), objective.draw(Key::new(1, 2, Stream::Time), 9, None));
}
