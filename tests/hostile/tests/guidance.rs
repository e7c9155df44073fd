//! Bad input to the guidance of fm-solvers.

use fm_core::field::{ByRef, SharedTime};
use fm_core::prediction::Prediction;
use fm_solvers::guidance::{GuidanceOptions, Guider, Pair, Projection, ZeroStar};
use fm_solvers::tableau::DOPRI5;
use fm_solvers::{AdaptiveOptions, Fixed, Sampler, SaveAt, per_sample, solve};
use hostile::Calls;
use ndarray::Array2;

const BAD: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 5e-324, f64::MAX, f64::MIN];

fn rows(x: &Array2<f64>, _: &[f64], _: &[usize]) -> Array2<f64> {
    -x
}

/// Options of guidance with every bad value, alone.
fn options(v: f64) -> Vec<GuidanceOptions> {
    let base = GuidanceOptions { scale: 3.0, ..GuidanceOptions::default() };
    let rule = |rule| GuidanceOptions { projection: Some(rule), ..base };
    let keep = Projection::default();
    vec![
        GuidanceOptions { scale: v, ..base },
        GuidanceOptions { interval: (v, 1.0), ..base },
        GuidanceOptions { interval: (0.0, v), ..base },
        GuidanceOptions { rescale: v, ..base },
        GuidanceOptions { look_ahead: Some(v), ..base },
        GuidanceOptions { zero_star: Some(ZeroStar { zero_until: v }), ..base },
        rule(Projection { eta: v, ..keep }),
        rule(Projection { norm_limit: Some(v), ..keep }),
        rule(Projection { momentum: v, ..keep }),
    ]
}

#[test]
fn guided_fields() {
    let mut calls = Calls::new("fm-solvers guidance");
    let sampler = Sampler::euler(3);
    let short = AdaptiveOptions { max_evaluations: 300, ..AdaptiveOptions::default() };
    for v in BAD {
        for options in options(v) {
            let name = format!("{options:?}");
            for shape in [(2, 2), (2, 1), (0, 2), (2, 0), (0, 0)] {
                let weak = move |x: &Array2<f64>, t: &[f64], _: &[usize]| {
                    if t.iter().all(|t| *t < 0.5) { x * v } else { x.clone() }
                };
                calls.survives(&name, || {
                    let guider = Guider::new(Pair { main: rows, weak }, options, Prediction::Velocity).ok()?;
                    let x = || Array2::from_elem(shape, 1.0);
                    let fixed = solve(&SharedTime(ByRef(&guider)), x(), 0.0..1.0, &Fixed::rk4(3)).is_ok();
                    Some((fixed, per_sample::solve(&guider, x(), (0.0, 1.0), &DOPRI5, &short, SaveAt::End).is_ok()))
                });
            }
            calls.survives("Sampler::check_guidance", || sampler.check_guidance(&options).is_ok());
        }
        calls.survives("ZeroStar::of_steps", || ZeroStar::of_steps(&[0.0, v, 1.0], v));
        calls.survives("ZeroStar::of_steps", || ZeroStar::of_steps(&[], v));
        calls.survives("Sampler::zero_star", || sampler.zero_star(0.5, (v, 1.0)).is_ok());
        if !(0.0..=1.0).contains(&v) {
            calls.refuses("Sampler::zero_star", || sampler.zero_star(v, (0.0, 1.0)));
        }
        if !v.is_finite() {
            calls.refuses("Guider::new", || {
                let pair = Pair { main: rows, weak: rows };
                let options = GuidanceOptions { scale: v, ..GuidanceOptions::default() };
                Guider::<_, Array2<f64>>::new(pair, options, Prediction::Velocity)
            });
        }
    }
    calls.finish(400);
}
