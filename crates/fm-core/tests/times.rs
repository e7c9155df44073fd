//! Time laws against SciPy, NumPy, diffusers and themselves; the wrappers against what they
//! promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{close, numbers, reference, settings};
use fm_core::Error;
use fm_core::rng::{Key, Stream};
use fm_core::time::{Draw, LossAware, TimeKind, Times};

const N: usize = 100_000;

fn continuous() -> Vec<TimeKind> {
    settings::<TimeKind>().into_iter().filter(|law| !law.is_discrete()).collect()
}

/// The integral of the density between two quantiles, on cells of equal probability, so that an
/// infinite end is approached gently.
fn integral(law: &TimeKind, low: f64, high: f64) -> f64 {
    let edges: Vec<f64> = (0..=20_000).map(|i| law.quantile(low + f64::from(i) / 20_000.0 * (high - low))).collect();
    edges.windows(2).map(|e| law.density(0.5 * (e[0] + e[1])) * (e[1] - e[0])).sum()
}

#[test]
fn laws_are_those_of_scipy_and_diffusers() {
    let reference = reference("times");
    let (u, t) = (numbers(&reference["u"]), numbers(&reference["t"]));
    for (name, want) in reference["laws"].as_object().unwrap() {
        let law: TimeKind = name.parse().unwrap();
        let each = |x: &[f64], f: &dyn Fn(f64) -> f64| x.iter().map(|x| f(*x)).collect::<Vec<_>>();
        close(&each(&u, &|u| law.quantile(u)), &numbers(&want["quantile"]), 1e-9, &format!("{name} quantile"));
        close(&each(&t, &|t| law.cdf(t)), &numbers(&want["cdf"]), 1e-9, &format!("{name} cdf"));
        close(&each(&t, &|t| law.density(t)), &numbers(&want["density"]), 1e-6, &format!("{name} density"));
    }
    let mode = &reference["sd3_mode"];
    let made: Vec<f64> = numbers(&mode["u"]).iter().map(|u| TimeKind::Mode { s: 1.29 }.quantile(*u)).collect();
    close(&made, &numbers(&mode["quantile"]), 1e-12, "diffusers' mode");
}

#[test]
fn quantile_and_cdf_invert_each_other() {
    for law in continuous() {
        let mut before = 0.0;
        for i in 0..=1000 {
            let u = 1e-6 + f64::from(i) / 1000.0 * (1.0 - 2e-6);
            let t = law.quantile(u);
            assert!((0.0..=1.0).contains(&t) && t >= before, "{law} at {u}: {t}");
            before = t;
            // Near t = 1 a number has 16 digits of t and not of 1 - t.
            if 1.0 - t > 1e-6 {
                assert!((law.cdf(t) - u).abs() < 1e-9, "{law} at {u}: {}", law.cdf(t));
            }
            assert!((law.quantile(law.cdf(t)) - t).abs() < 1e-9, "{law} at t = {t}");
        }
    }
}

#[test]
fn densities_integrate_to_one() {
    for law in continuous() {
        assert_eq!((law.cdf(0.0), law.cdf(1.0)), (0.0, 1.0), "{law}");
        // Without a thousandth at either end, where some densities are infinite.
        let whole = integral(&law, 1e-3, 0.999);
        assert!((whole - 0.998).abs() < 1e-5, "{law}: {whole}");
    }
}

#[test]
fn draws_pass_kolmogorov_smirnov_whatever_the_draw_and_clip() {
    for law in continuous() {
        for (draw, clip) in [(Draw::Independent, 0.0), (Draw::Independent, 0.05), (Draw::Antithetic, 0.0)] {
            let times = Times { distribution: law, draw, clip, ..Times::default() };
            let mut f: Vec<f64> = times
                .draw(Key::new(7, 0, Stream::Time), N, None)
                .unwrap()
                .times
                .iter()
                .map(|t| times.cdf(*t))
                .collect();
            f.sort_by(f64::total_cmp);
            let d = f.iter().enumerate().map(|(i, f)| (f - (i as f64 + 0.5) / N as f64).abs()).fold(0.0, f64::max);
            // 0.1 % level; antithetic pairs are half as many independent draws.
            let n = if draw == Draw::Antithetic { N / 2 } else { N };
            assert!(d < 1.95 / (n as f64).sqrt(), "{law} {draw} {clip}: D = {d}");
        }
    }
}

#[test]
fn a_discrete_law_draws_its_grid_evenly() {
    let times = Times { distribution: TimeKind::Discrete { k: 4.0 }, ..Times::default() };
    let drawn = times.draw(Key::new(1, 0, Stream::Time), N, None).unwrap().times;
    for i in 0..4 {
        let count = drawn.iter().filter(|t| **t == f64::from(i) / 4.0).count() as f64;
        assert!((count - 25_000.0).abs() < 4.0 * (N as f64 * 0.25 * 0.75).sqrt(), "{i}: {count}");
    }
    let one = Times { distribution: TimeKind::Discrete { k: 1.0 }, ..Times::default() };
    assert!(one.draw(Key::new(1, 0, Stream::Time), 100, None).unwrap().times.iter().all(|t| *t == 0.0));
}

#[test]
fn stratified_and_antithetic_draws_have_their_shape_and_less_variance() {
    let law = TimeKind::LogitNormal { loc: 0.0, scale: 1.0 };
    let draw = |draw, step| {
        Times { distribution: law, draw, ..Times::default() }
            .draw(Key::new(3, step, Stream::Time), 64, None)
            .unwrap()
            .times
    };
    for (i, t) in draw(Draw::Stratified, 0).iter().enumerate() {
        assert_eq!((law.cdf(*t) * 64.0) as usize, i);
    }
    for pair in draw(Draw::Antithetic, 0).chunks_exact(2) {
        assert!((law.cdf(pair[0]) + law.cdf(pair[1]) - 1.0).abs() < 1e-12);
    }
    let variance = |kind| {
        let means = (0..400).map(|step| draw(kind, step).iter().map(|t| t * t).sum::<f64>() / 64.0);
        let means: Vec<f64> = means.collect();
        let mean = means.iter().sum::<f64>() / 400.0;
        means.iter().map(|m| (m - mean).powi(2)).sum::<f64>()
    };
    let plain = variance(Draw::Independent);
    assert!(variance(Draw::Stratified) < 0.01 * plain && variance(Draw::Antithetic) < 0.5 * plain);
}

#[test]
fn importance_weights_undo_the_law() {
    // E over the law of f(t) / p(t) is the integral of f over the range: here of t^2 over [0.1,
    // 0.9].
    let want = (0.9f64.powi(3) - 0.1f64.powi(3)) / 3.0;
    for law in continuous() {
        let times = Times { distribution: law, clip: 0.1, importance: true, draw: Draw::Stratified };
        // A law with hardly any mass in the range is refused, and one with a hole cannot be
        // corrected by sampling.
        let Ok(drawn) = times.draw(Key::new(5, 0, Stream::Time), N, None) else { continue };
        if (1..9).any(|i| law.density(0.1 * f64::from(i) + 0.05) < 0.05) {
            continue;
        }
        let mean = drawn.times.iter().zip(&drawn.weights).map(|(t, w)| t * t * w).sum::<f64>() / N as f64;
        assert!((mean - want).abs() < 2e-3 * want, "{law}: {mean} against {want}");
    }
}

#[test]
fn loss_aware_times_follow_the_loss_and_keep_its_mean() {
    let times = Times { distribution: TimeKind::Arcsine, ..Times::default() };
    let loss = |t: f64| 0.1 + 5.0 * t.powi(4);
    let mut adaptive = LossAware::new(20);
    let uniform = times.draw(Key::new(0, 0, Stream::Time), N, Some(&adaptive)).unwrap();
    let plain = times.draw(Key::new(0, 0, Stream::Time), N, None).unwrap();
    close(&uniform.times, &plain.times, 1e-12, "nothing bends before anything was seen");
    close(&uniform.weights, &plain.weights, 1e-12, "weights");
    let (mut sums, mut rows) = (vec![0.0; 20], vec![0.0; 20]);
    for (t, u) in uniform.times.iter().zip(&uniform.positions) {
        sums[adaptive.bin(*u)] += loss(*t).powi(2);
        rows[adaptive.bin(*u)] += 1.0;
    }
    adaptive.update(&sums, &rows);
    let bent = times.draw(Key::new(0, 1, Stream::Time), N, Some(&adaptive)).unwrap();
    let mean = |d: &fm_core::time::SampledTimes| {
        let values: Vec<f64> = d.times.iter().zip(&d.weights).map(|(t, w)| loss(*t) * w).collect();
        let mean = values.iter().sum::<f64>() / N as f64;
        (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / N as f64).sqrt())
    };
    let ((plain, spread), (corrected, bent_spread)) = (mean(&uniform), mean(&bent));
    // E t^4 of the arcsine law is 35/128.
    let want = 0.1 + 5.0 * 35.0 / 128.0;
    let error = 4.0 / (N as f64).sqrt();
    assert!(
        (plain - want).abs() < error * spread && (corrected - want).abs() < error * bent_spread,
        "{plain} {corrected}"
    );
    assert!(bent_spread < 0.3 * spread, "{bent_spread} against {spread}");
}

#[test]
fn clips_and_combinations_that_cannot_be() {
    for clip in [-0.1, 0.5, f64::NAN] {
        assert!(matches!(Times { clip, ..Times::default() }.validate(), Err(Error::Value { .. })));
    }
    let discrete = Times { distribution: TimeKind::Discrete { k: 4.0 }, ..Times::default() };
    assert!(Times { clip: 0.1, ..discrete }.validate().is_err());
    assert!(Times { importance: true, ..discrete }.validate().is_err());
    let far = Times { distribution: TimeKind::LogitNormal { loc: 20.0, scale: 1.0 }, clip: 0.4, ..Times::default() };
    assert!(far.validate().unwrap_err().to_string().contains("lower the clip"));
}

/// Outside of its domain a law is 0, 1 or NaN, and parameters out of their domain do not panic.
#[test]
fn laws_outside_of_their_domain() {
    for law in settings::<TimeKind>() {
        assert!(law.quantile(-0.1).is_nan() && law.quantile(1.1).is_nan() && law.quantile(f64::NAN).is_nan(), "{law}");
        assert_eq!((law.cdf(-0.1), law.cdf(1.1), law.density(-0.1), law.density(1.1)), (0.0, 1.0, 0.0, 0.0), "{law}");
        assert!(law.cdf(f64::NAN).is_nan(), "{law}");
        assert!((law.quantile(0.0) - 0.0).abs() < 1e-12 && law.quantile(1.0) <= 1.0, "{law}");
    }
    for k in [0.0, -3.0, f64::NAN, 1e300] {
        let law = TimeKind::Discrete { k };
        let _ = (law.quantile(0.5), law.cdf(0.5), law.density(0.5));
    }
    for clip in [f64::NAN, -0.3, 0.7, f64::INFINITY] {
        let times = Times { clip, ..Times::default() };
        let _ = (times.quantile(0.5), times.cdf(0.5), times.density(0.5), times.weight(0.5), times.support());
        assert!(times.draw(Key::new(0, 0, Stream::Time), 3, None).is_err(), "{clip}");
    }
    assert!(Times { clip: 0.1, ..Times::default() }.quantile(1.5).is_nan());
}

/// One key of a step serves all draws, and rows do not depend on how they are split.
#[test]
fn times_follow_the_rows_of_their_key() {
    let key = Key::new(3, 5, Stream::Noise);
    for draw in [Draw::Independent, Draw::Antithetic] {
        let times = Times { draw, ..Times::default() };
        let whole = times.draw(key, 9, None).unwrap();
        assert_eq!(whole, times.draw(key.with_stream(Stream::Time), 9, None).unwrap());
        assert_ne!(whole, times.draw(Key { step: 6, ..key }, 9, None).unwrap());
        for first in 1..9 {
            let part = times.draw(key.from_row(first as u64), 9 - first, None).unwrap();
            assert_eq!(part.times, whole.times[first..], "{draw} from row {first}");
        }
    }
    // Row numbers wrap, and stratified times share [0, 1] from any row on.
    let times = Times { draw: Draw::Stratified, ..Times::default() };
    for (i, t) in times.draw(key.from_row(u64::MAX), 4, None).unwrap().times.iter().enumerate() {
        assert_eq!((4.0 * t).floor(), i as f64);
    }
    assert!(Times { draw: Draw::Antithetic, ..times }.draw(key.from_row(u64::MAX), 3, None).is_ok());
}
