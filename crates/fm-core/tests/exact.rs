//! The exact field carries noise to the mixture, and the irreducible loss is what Monte Carlo
//! finds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{close, settings};
use fm_core::Error;
use fm_core::exact::{ExactField, Mixture, MixtureError, estimate, irreducible_at};
use fm_core::field::{Converted, VelocityField};
use fm_core::interpolate::{coefficients, interpolate};
use fm_core::objective::Objective;
use fm_core::path::{PathKind, ProbPath};
use fm_core::prediction::{PREDICTIONS, Prediction};
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::schedule::Rescheduled;
use fm_core::time::Times;
use fm_solvers::tableau::DOPRI5;
use fm_solvers::{AdaptiveOptions, SaveAt, SolveError, adaptive};
use ndarray::{Array2, array};
use rand::Rng;

/// Three components of unequal weight, one of them a slanted ellipse.
fn mixture() -> Mixture {
    let covariances =
        [array![[0.3, 0.2], [0.2, 0.25]], array![[0.05, 0.0], [0.0, 0.4]], array![[0.1, 0.0], [0.0, 0.1]]];
    Mixture::full(&WEIGHTS, array![[2.0, 1.0], [-1.5, 0.5], [0.0, -2.0]].view(), &covariances).unwrap()
}
const WEIGHTS: [f64; 3] = [0.5, 0.3, 0.2];

/// True samples, by the Cholesky factors of the covariances above.
fn draw(seed: u64, rows: usize) -> Array2<f64> {
    let factors = [
        [0.3f64.sqrt(), 0.2 / 0.3f64.sqrt(), (0.25 - 0.04 / 0.3f64).sqrt()],
        [0.05f64.sqrt(), 0.0, 0.4f64.sqrt()],
        [0.1f64.sqrt(), 0.0, 0.1f64.sqrt()],
    ];
    let means = [[2.0, 1.0], [-1.5, 0.5], [0.0, -2.0]];
    let z = normal_rows(Key::new(seed, 1, Stream::Data), rows, 2);
    let mut out = Array2::zeros((rows, 2));
    for (i, mut row) in out.outer_iter_mut().enumerate() {
        let u: f64 = Key::new(seed, 2, Stream::Data).generator(i).random();
        let k = usize::from(u > WEIGHTS[0]) + usize::from(u > WEIGHTS[0] + WEIGHTS[1]);
        let ([a, b, c], z) = (factors[k], [f64::from(z[2 * i]), f64::from(z[2 * i + 1])]);
        row[0] = means[k][0] + a * z[0];
        row[1] = means[k][1] + b * z[0] + c * z[1];
    }
    out
}

fn noise(seed: u64, rows: usize) -> Array2<f64> {
    Array2::from_shape_vec((rows, 2), normal_rows(Key::new(seed, 0, Stream::Noise), rows, 2)).unwrap().mapv(f64::from)
}

/// Sliced 2-Wasserstein distance over 32 fixed directions of the plane.
fn sliced(x: &Array2<f64>, y: &Array2<f64>) -> f64 {
    let directions = 32;
    let squares = (0..directions).map(|i| {
        let angle = std::f64::consts::PI * f64::from(i) / f64::from(directions);
        let project = |x: &Array2<f64>| {
            let mut p: Vec<f64> = x.outer_iter().map(|r| r[0] * angle.cos() + r[1] * angle.sin()).collect();
            p.sort_by(f64::total_cmp);
            p
        };
        let (p, q) = (project(x), project(y));
        p.iter().zip(&q).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / p.len() as f64
    });
    (squares.sum::<f64>() / f64::from(directions)).sqrt()
}

fn solve(field: &impl VelocityField<Array2<f64>>, x0: Array2<f64>, span: (f64, f64), tolerance: f64) -> Array2<f64> {
    adaptive::solve(field, x0, span, &DOPRI5, &AdaptiveOptions::with_tolerance(tolerance), SaveAt::End).unwrap().x
}

#[test]
fn the_exact_field_carries_noise_to_the_mixture() {
    const ROWS: usize = 20_000;
    let mixture = mixture();
    let field = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0)).unwrap();
    let carried = solve(&field, noise(11, ROWS), (0.0, 1.0), 1e-6);
    let mut between: Vec<f64> =
        (0..100).map(|i| sliced(&draw(1000 + 2 * i, ROWS), &draw(1001 + 2 * i, ROWS))).collect();
    between.sort_by(f64::total_cmp);
    let distance = sliced(&carried, &draw(1, ROWS));
    assert!(distance < between[94], "{distance} is past the 95th percentile {} of true pairs", between[94]);
    // The yardstick is no rubber band: moving the samples by a fifth shows.
    assert!(sliced(&(carried + 0.2), &draw(1, ROWS)) > between[99]);
}

#[test]
fn every_affine_path_and_prediction_gives_the_same_field_and_end() {
    let mixture = mixture();
    let x0 = noise(3, 50);
    let linear = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0)).unwrap();
    let end = solve(&linear, x0.clone(), (0.0, 1.0), 1e-9);
    for path in [PathKind::Trigonometric, PathKind::LinearVp, PathKind::LinearVpNoise] {
        // All predictions are one field, converted.
        let span = (1e-4, 1.0 - 1e-4);
        let velocity = ExactField::new(&mixture, path, span).unwrap();
        for prediction in PREDICTIONS {
            let predict = |x: &Array2<f64>, t: f64| {
                let c = path.at(t).unwrap();
                let target = prediction.target(&c).unwrap();
                let rows = x.outer_iter().flat_map(|r| mixture.posterior(&r.to_vec(), &c, &target).unwrap().mean);
                Array2::from_shape_vec(x.dim(), rows.collect()).unwrap()
            };
            let converted = Converted::new(predict, path, prediction, span).unwrap();
            for t in [1e-4, 0.3, 0.8] {
                let (a, b) = (converted.velocity(&x0, t), velocity.velocity(&x0, t));
                close(a.as_slice().unwrap(), b.as_slice().unwrap(), 1e-8, &format!("{path} {prediction} at {t}"));
            }
        }
        // Two paths of one Gaussian source reach the same points: a change of schedule moves no
        // end.
        let changed = Rescheduled::new(velocity_of(&mixture, path), path, PathKind::Linear, (1e-3, 0.999)).unwrap();
        let by_change = changed.velocity(&x0, 0.4);
        close(by_change.as_slice().unwrap(), linear.velocity(&x0, 0.4).as_slice().unwrap(), 1e-8, "rescheduled");
    }
    let trigonometric = ExactField::new(&mixture, PathKind::Trigonometric, (0.0, 1.0)).unwrap();
    let other = solve(&trigonometric, x0, (0.0, 1.0), 1e-9);
    close(other.as_slice().unwrap(), end.as_slice().unwrap(), 1e-6, "the ends of two paths");
}

fn velocity_of(mixture: &Mixture, path: PathKind) -> impl Fn(&Array2<f64>, f64) -> Array2<f64> + use<'_> {
    move |x, t| ExactField::new(mixture, path, (t, t)).unwrap().velocity(x, t)
}

/// ||T - E[T | x_t]||^2 over plain draws of everything, against the closed form.
#[test]
fn monte_carlo_loss_at_the_exact_field_is_the_irreducible_loss() {
    const ROWS: usize = 40_000;
    let mixture = mixture();
    let (x0, x1) = (noise(21, ROWS), draw(22, ROWS));
    let eps = noise(23, ROWS);
    for path in settings::<PathKind>() {
        for prediction in PREDICTIONS {
            let t = 0.6;
            let c = path.at(t).unwrap();
            if c.alpha < 1e-2 {
                continue;
            }
            let target = prediction.target(&c).unwrap();
            let cs = coefficients(&path, &vec![t; ROWS]).unwrap();
            let sample = interpolate(&cs, prediction, &x0, &x1, Some(&eps)).unwrap();
            let losses: Vec<f64> = (sample.x_t.outer_iter().zip(sample.target.outer_iter()))
                .map(|(x, u)| {
                    let mean = mixture.posterior(&x.to_vec(), &c, &target).unwrap().mean;
                    u.iter().zip(mean).map(|(u, m)| (u - m).powi(2)).sum()
                })
                .collect();
            let value = losses.iter().sum::<f64>() / ROWS as f64;
            let spread = losses.iter().map(|l| (l - value).powi(2)).sum::<f64>() / ROWS as f64;
            let error = (spread / ROWS as f64).sqrt();
            let want = irreducible_at(&mixture, &c, &target).unwrap();
            assert!((value - want).abs() < 4.0 * error, "{path} {prediction}: {value} +- {error} against {want}");
        }
    }
}

#[test]
fn estimates_agree_with_closed_forms_over_all_times() {
    // N(0, v) on the linear path: Var(u | x_t) = v / (t^2 v + (1 - t)^2) a dimension, whose
    // integral is pi/2 for v = 1.
    let gaussian = Mixture::isotropic(&[2.0], array![[0.0, 0.0]].view(), &[1.0]).unwrap();
    let found = estimate(&gaussian, &Objective::<PathKind>::default(), 20_000, 0).unwrap();
    assert!((found.value - std::f64::consts::FRAC_PI_2).abs() < 4.0 * found.standard_error, "{found:?}");
    assert!(found.standard_error < 0.005, "{found:?}");
    // The mixture, by quadrature in x and the midpoint rule in t.
    let (mixture, n) = (mixture(), 40);
    let at = |i: i32| {
        let c = PathKind::Linear.at((f64::from(i) + 0.5) / f64::from(n)).unwrap();
        irreducible_at(&mixture, &c, &Prediction::Velocity.target(&c).unwrap()).unwrap() / 2.0
    };
    let want = (0..n).map(at).sum::<f64>() / f64::from(n);
    let found = estimate(&mixture, &Objective::<PathKind>::default(), 20_000, 0).unwrap();
    assert!((found.value - want).abs() < 4.0 * found.standard_error + 1e-3, "{found:?} against {want}");
}

#[test]
fn an_empirical_mixture_is_its_points() {
    let points = draw(5, 200);
    let (empirical, narrow) = (
        Mixture::empirical(points.view()).unwrap(),
        Mixture::isotropic(&[1.0; 200], points.view(), &[1e-12; 200]).unwrap(),
    );
    let (a, b) = (velocity_of(&empirical, PathKind::Linear), velocity_of(&narrow, PathKind::Linear));
    let x = noise(8, 20);
    close(a(&x, 0.7).as_slice().unwrap(), b(&x, 0.7).as_slice().unwrap(), 1e-6, "points");
    // Integrated close to t = 1, every sample sits on a point.
    let field = ExactField::new(&empirical, PathKind::Linear, (0.0, 0.9999)).unwrap();
    let ends = solve(&field, x, (0.0, 0.9999), 1e-6);
    for row in ends.outer_iter() {
        let nearest = points.outer_iter().map(|p| (p[0] - row[0]).hypot(p[1] - row[1])).fold(f64::INFINITY, f64::min);
        assert!(nearest < 2e-3, "{nearest} from every point");
    }
    assert!(ExactField::new(&empirical, PathKind::Linear, (0.0, 1.0)).is_err());
}

#[test]
fn mixtures_that_cannot_be() {
    let means = array![[0.0, 0.0], [1.0, 1.0]];
    let eye = Array2::<f64>::eye(2);
    let component = |r: Result<Mixture, MixtureError>| matches!(r, Err(MixtureError::Component { .. }));
    let shape = |r: Result<Mixture, MixtureError>| matches!(r, Err(MixtureError::Shape { .. }));
    assert!(shape(Mixture::isotropic(&[1.0], means.view(), &[1.0, 1.0])));
    assert!(shape(Mixture::isotropic(&[], Array2::zeros((0, 2)).view(), &[])));
    assert!(component(Mixture::isotropic(&[1.0, 0.0], means.view(), &[1.0, 1.0])));
    assert!(component(Mixture::isotropic(&[1.0, 1.0], means.view(), &[1.0, -1.0])));
    assert!(component(Mixture::isotropic(&[1.0, 1.0], array![[f64::NAN], [0.0]].view(), &[1.0, 1.0])));
    assert!(component(Mixture::full(&[1.0, 1.0], means.view(), &[eye.clone(), array![[1.0, 2.0], [2.0, 1.0]]])));
    assert!(component(Mixture::full(&[1.0, 1.0], means.view(), &[eye.clone(), array![[1.0, 0.5], [0.0, 1.0]]])));
    assert!(component(Mixture::empirical(array![[1.0], [f64::INFINITY]].view())));
    assert!(component(Mixture::full(&[1.0], Array2::zeros((1, 0)).view(), &[Array2::zeros((0, 0))])));
    assert!(shape(Mixture::empirical(Array2::zeros((0, 2)).view())));
    let many =
        Mixture::isotropic(&[1.0, 1.0], Array2::from_shape_fn((2, 5), |(i, _)| i as f64).view(), &[1.0; 2]).unwrap();
    let c = PathKind::Linear.at(0.5).unwrap();
    assert!(irreducible_at(&many, &c, &Prediction::Velocity.target(&c).unwrap()).is_err());
    let objective = Objective {
        loss: "pseudo-huber".parse().unwrap(),
        times: Times::default(),
        ..Objective::<PathKind>::default()
    };
    assert!(estimate(&many, &objective, 10, 0).is_err());
    // No sample has no mean, and one no error.
    for samples in [0, 1, usize::MAX] {
        assert!(estimate(&many, &Objective::<PathKind>::default(), samples, 0).is_err(), "{samples}");
    }
}

#[test]
fn points_of_another_dimension_are_errors_and_large_weights_are_weights() {
    let mixture = mixture();
    let c = PathKind::Linear.at(0.5).unwrap();
    let target = Prediction::Velocity.target(&c).unwrap();
    for point in [vec![], vec![0.0], vec![0.0; 3]] {
        let (want, got) = (Error::Width { what: "points", expected: 2, got: point.len() }, point);
        assert_eq!(mixture.posterior(&got, &c, &target), Err(want));
    }
    let field = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0)).unwrap();
    let solved =
        adaptive::solve(&field, noise(0, 4).mapv(|v| v), (0.0, 1.0), &DOPRI5, &AdaptiveOptions::default(), SaveAt::End);
    assert!(solved.is_ok());
    let wide = Array2::zeros((4, 3));
    let solved = adaptive::solve(&field, wide, (0.0, 1.0), &DOPRI5, &AdaptiveOptions::default(), SaveAt::End);
    assert!(matches!(solved, Err(SolveError::Path(Error::Width { expected: 2, got: 3, .. }))));
    let means = array![[0.0], [2.0]];
    let of = |weight: f64| {
        let mixture = Mixture::isotropic(&[weight, weight], means.view(), &[1.0, 1.0]).unwrap();
        mixture.posterior(&[0.7], &c, &target).unwrap().mean[0]
    };
    assert!((of(1e308) - of(1.0)).abs() < 1e-12 && (of(1e-308) - of(1.0)).abs() < 1e-12);
}
