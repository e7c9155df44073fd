//! Log-densities against closed forms, divergences against each other, and tensors as states of the
//! per-sample solver.

#![cfg(feature = "tch")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use fm_core::field::RowField;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_core::state::RowState;
use fm_solvers::likelihood::{Divergence, Probe, bits_per_dim, carry, gaussian_log_density, log_density};
use fm_solvers::tableau::{DOPRI5, TSIT5};
use fm_solvers::{AdaptiveOptions, SaveAt, SolveError, adaptive, fixed, per_sample};
use tch::{Device, Kind, Tensor};

fn points(rows: i64, dim: i64, seed: u64) -> Tensor {
    let values = normal_rows(Key::new(seed, 0, Stream::Data), rows as usize, dim as usize);
    Tensor::from_slice(&values).view([rows, dim]).to_kind(Kind::Double)
}

fn values(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.to_kind(Kind::Double).reshape([-1])).unwrap()
}

/// Data N((1, -0.5), S) with correlated S: along its eigenvectors v_i = m_i + (t s_i - (1 - t)) /
/// (t^2 s_i + (1 - t)^2) (x_i - t m_i).
struct Slanted;

const VARIANCES: [f64; 2] = [0.04, 1.69];
const MEAN: [f64; 2] = [1.0, -0.5];

fn turn() -> Tensor {
    let (s, c) = 0.6f64.sin_cos();
    Tensor::from_slice(&[c, -s, s, c]).view([2, 2])
}

impl RowField<Tensor> for Slanted {
    fn velocities(&self, x: &Tensor, t: &[f64], _: &[usize]) -> Tensor {
        let (t, s) = (Tensor::from_slice(t).view([-1, 1]), Tensor::from_slice(&VARIANCES));
        let mean = Tensor::from_slice(&MEAN).view([1, 2]).matmul(&turn());
        let rest = t.ones_like() - &t;
        let gain = (&t * &s - &rest) / (t.square() * &s + rest.square());
        (&mean + gain * (x.matmul(&turn()) - &t * &mean)).matmul(&turn().transpose(0, 1))
    }
}

/// log N(x; MEAN, S).
fn slanted_log_density(x: &Tensor) -> Vec<f64> {
    let off = (x - Tensor::from_slice(&MEAN)).matmul(&turn());
    let squares = (off.square() / Tensor::from_slice(&VARIANCES)).sum_dim_intlist(1, false, Kind::Double);
    let constant = -(2.0 * std::f64::consts::PI).ln() - 0.5 * VARIANCES.iter().map(|v| v.ln()).sum::<f64>();
    values(&(squares * -0.5 + constant))
}

#[test]
fn the_log_density_of_a_gaussian_is_its_closed_form() {
    let x = points(64, 2, 1) * 1.5;
    for tableau in [&DOPRI5, &TSIT5] {
        let options = AdaptiveOptions::with_tolerance(1e-9);
        let source = |x: &Tensor| gaussian_log_density(x, 1.0);
        let (found, carried) =
            log_density(&Slanted, &x, (1.0, 0.0), tableau, &options, &Divergence::Exact, source).unwrap();
        assert!(carried.solution.failure().is_none() && !found.requires_grad());
        for (a, b) in values(&found).iter().zip(slanted_log_density(&x)) {
            assert!((a - b).abs() < 1e-6, "{}: {a} against {b}", tableau.name);
        }
    }
}

/// Forwards, with the density on the way: log p_t(x_t) = log p_0(x_0) - the integral so far.
#[test]
fn the_log_density_is_known_along_a_solve() {
    let x0 = points(16, 2, 2);
    let times = [0.25, 0.5, 1.0];
    let options = AdaptiveOptions::with_tolerance(1e-9);
    let out = carry(&Slanted, &x0, (0.0, 1.0), &TSIT5, &options, &Divergence::Exact, SaveAt::At(&times)).unwrap();
    let start = gaussian_log_density(&x0, 1.0);
    assert_eq!(out.along.len(), 3);
    for (t, x, integral) in &out.along {
        // The marginal at t is N(t m, t^2 S + (1 - t)^2).
        let v = Tensor::from_slice(&VARIANCES.map(|s| t * t * s + (1.0 - t) * (1.0 - t)));
        let off = (x - Tensor::from_slice(&MEAN) * *t).matmul(&turn());
        let want = (off.square() / &v + v.log()).sum_dim_intlist(1, false, Kind::Double) * -0.5
            - (2.0 * std::f64::consts::PI).ln();
        let got = &start - integral;
        assert!((want - got).abs().max().double_value(&[]) < 1e-6, "at {t}");
    }
    let end = values(&(&start - &out.divergence));
    assert!(end.iter().zip(slanted_log_density(&out.x)).all(|(a, b)| (a - b).abs() < 1e-6));
}

/// v = tanh(W x) + t x^2 over images of 2 x 3: div v is known by hand.
struct Bent(Tensor);

impl RowField<Tensor> for Bent {
    fn velocities(&self, x: &Tensor, t: &[f64], _: &[usize]) -> Tensor {
        let flat = x.flatten(1, -1);
        let t = Tensor::from_slice(t).view([-1, 1]);
        (flat.matmul(&self.0.transpose(0, 1)).tanh() + t * flat.square()).view_as(x)
    }
}

fn bent() -> (Bent, Tensor) {
    (Bent(points(6, 6, 3)), points(5, 6, 4).view([5, 2, 3]))
}

/// div v at rows of their own times, as the last column of the field that the solver sees.
fn divergence(field: &Bent, how: &Divergence, x: &Tensor, t: &[f64], rows: &[usize]) -> Vec<f64> {
    let field = fm_solvers::likelihood::WithDivergence { field, divergence: how, shape: vec![2, 3] };
    let state = fm_solvers::likelihood::join(x, &Tensor::zeros([x.size()[0]], (Kind::Double, Device::Cpu)));
    let both = tch::no_grad(|| field.velocities(&state, t, rows));
    assert!(!both.requires_grad());
    let (v, divergence) = fm_solvers::likelihood::split(&both, &[2, 3]);
    assert_eq!(v, field.field.velocities(x, t, rows));
    values(&divergence)
}

const TIMES: [f64; 5] = [0.0, 0.2, 0.5, 0.7, 1.0];

fn by_hand() -> Vec<f64> {
    let (field, x) = bent();
    let flat = x.flatten(1, -1);
    let slope = flat.matmul(&field.0.transpose(0, 1)).tanh().square().neg() + 1.0;
    let t = Tensor::from_slice(&TIMES).view([-1, 1]);
    values(&(slope * field.0.diagonal(0, 0, 1) + t * flat * 2.0).sum_dim_intlist(1, false, Kind::Double))
}

#[test]
fn the_exact_divergence_is_the_trace() {
    let (field, x) = bent();
    let found = divergence(&field, &Divergence::Exact, &x, &TIMES, &[0, 1, 2, 3, 4]);
    assert!(found.iter().zip(by_hand()).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    // A field without a derivative has divergence 0.
    let constant = |x: &Tensor, _: &[f64], _: &[usize]| x.ones_like();
    let out = carry(&constant, &x, (0.0, 1.0), &DOPRI5, &AdaptiveOptions::default(), &Divergence::Exact, SaveAt::End);
    assert!(values(&out.unwrap().divergence).iter().all(|d| *d == 0.0));
}

#[test]
fn hutchinsons_estimate_is_unbiased_with_either_probe() {
    let (field, x) = bent();
    let (rows, truth) = ([0, 1, 2, 3, 4], by_hand());
    let spread = |kind: Probe| {
        let estimates: Vec<Vec<f64>> = (0..4000)
            .map(|seed| {
                divergence(
                    &field,
                    &Divergence::hutchinson(kind, 1, Key::new(seed, 0, Stream::Probe), &x).unwrap(),
                    &x,
                    &TIMES,
                    &rows,
                )
            })
            .collect();
        let n = estimates.len() as f64;
        let mut errors = Vec::new();
        for (i, truth) in truth.iter().enumerate() {
            let mean = estimates.iter().map(|e| e[i]).sum::<f64>() / n;
            let variance = estimates.iter().map(|e| (e[i] - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let error = (variance / n).sqrt();
            assert!((mean - truth).abs() < 4.5 * error, "{kind} row {i}: {mean} +- {error}, not {truth}");
            errors.push(variance);
        }
        errors
    };
    let (signs, normal) = (spread(Probe::Rademacher), spread(Probe::Gaussian));
    assert!(signs.iter().zip(&normal).all(|(s, n)| s < n), "signs have the least variance: {signs:?} {normal:?}");
    // Many probes are the mean of single ones, and a row keeps its probe when others leave.
    let four = Divergence::hutchinson(Probe::Gaussian, 4, Key::new(7, 0, Stream::Probe), &x).unwrap();
    let Divergence::Hutchinson(probes) = &four else { return };
    let later =
        Divergence::hutchinson(Probe::Gaussian, 4, Key::new(7, 0, Stream::Probe).from_row(3), &x.narrow(0, 3, 2))
            .unwrap();
    let Divergence::Hutchinson(of_the_end) = &later else { return };
    assert!(probes.iter().zip(of_the_end).all(|(all, end)| all.narrow(0, 3, 2) == *end), "batches share one numbering");
    let rows_of_probes: Vec<Vec<f64>> = probes.iter().flat_map(|p| (0..5).map(|i| values(&p.get(i)))).collect();
    for (i, row) in rows_of_probes.iter().enumerate() {
        assert!(!rows_of_probes[..i].contains(row), "every row of every probe is a draw of its own");
    }
    let alone = |p: &Tensor| divergence(&field, &Divergence::Hutchinson(vec![p.copy()]), &x, &TIMES, &rows);
    let singles: Vec<Vec<f64>> = probes.iter().map(alone).collect();
    let together = divergence(&field, &four, &x, &TIMES, &rows);
    for (i, value) in together.iter().enumerate() {
        assert!((value - singles.iter().map(|s| s[i]).sum::<f64>() / 4.0).abs() < 1e-12);
    }
    let part = divergence(&field, &four, &x.select_rows(&[1, 4]), &[TIMES[1], TIMES[4]], &[1, 4]);
    assert!((part[0] - together[1]).abs() < 1e-12 && (part[1] - together[4]).abs() < 1e-12);
}

/// The estimate of a whole solve is that of smooth dynamics: repeatable, and right on average.
#[test]
fn a_solve_keeps_its_probes() {
    let x = points(400, 2, 5);
    let options = AdaptiveOptions::with_tolerance(1e-6);
    let source = |x: &Tensor| gaussian_log_density(x, 1.0);
    let run = |how: &Divergence| {
        let (log_p, carried) = log_density(&Slanted, &x, (1.0, 0.0), &TSIT5, &options, how, source).unwrap();
        (values(&log_p), carried.solution.row_evaluations())
    };
    let how = Divergence::hutchinson(Probe::Rademacher, 1, Key::new(0, 0, Stream::Probe), &x).unwrap();
    let ((first, cost), (exact, least)) = (run(&how), run(&Divergence::Exact));
    assert_eq!(first, run(&how).0);
    assert!(cost < 2 * least, "fresh noise at every evaluation would make the solver crawl: {cost} against {least}");
    let off: Vec<f64> = first.iter().zip(&exact).map(|(a, b)| a - b).collect();
    let (n, mean) = (off.len() as f64, off.iter().sum::<f64>() / off.len() as f64);
    let error = (off.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
    assert!(error > 0.0 && mean.abs() < 4.5 * error, "{mean} +- {error}");
}

/// Tensors, f64 and f32, take the steps that arrays take; a row's result does not depend on its
/// batch, bit for bit.
#[test]
fn tensors_are_states_like_any_other() {
    let x = points(9, 2, 6);
    let field = |x: &Tensor, t: &[f64], rows: &[usize]| {
        assert!(!tch::no_grad(|| x.requires_grad()) && t.len() == rows.len());
        let own = Tensor::from_slice(&rows.iter().map(|r| 1.0 + *r as f64).collect::<Vec<_>>()).view([-1, 1]);
        let turned = Tensor::cat(&[x.narrow(1, 1, 1).neg(), x.narrow(1, 0, 1)], 1);
        turned * own.to_kind(x.kind())
    };
    let times = [0.3, 1.0];
    for kind in [Kind::Double, Kind::Float] {
        let options = AdaptiveOptions::with_tolerance(1e-4);
        let whole =
            per_sample::solve(&field, x.to_kind(kind), (0.0, 1.0), &DOPRI5, &options, SaveAt::At(&times)).unwrap();
        assert!(whole.rows[8].evaluations > 2 * whole.rows[0].evaluations);
        for rows in [vec![8, 0, 3], vec![5], vec![2, 1, 0, 8, 7, 6]] {
            let other =
                |x: &Tensor, t: &[f64], of: &[usize]| field(x, t, &of.iter().map(|r| rows[*r]).collect::<Vec<_>>());
            let start = x.to_kind(kind).select_rows(&rows);
            let before = start.copy();
            let shared = start.shallow_clone();
            let part = per_sample::solve(&other, shared, (0.0, 1.0), &DOPRI5, &options, SaveAt::At(&times)).unwrap();
            assert_eq!(start, before, "the caller's tensor is not written to");
            assert_eq!(part.x, whole.x.select_rows(&rows));
            assert_eq!(part.states[0], whole.states[0].select_rows(&rows));
        }
        let host = ndarray::Array2::from_shape_vec((9, 2), values(&x)).unwrap();
        let on_host = |x: &ndarray::Array2<f64>, _: &[f64], rows: &[usize]| {
            ndarray::Array2::from_shape_fn(x.dim(), |(i, j)| {
                (1.0 + rows[i] as f64) * if j == 0 { -x[[i, 1]] } else { x[[i, 0]] }
            })
        };
        let host = per_sample::solve(&on_host, host, (0.0, 1.0), &DOPRI5, &options, SaveAt::End).unwrap();
        let tolerance = if kind == Kind::Double { 1e-12 } else { 1e-4 };
        assert!(values(&whole.x).iter().zip(&host.x).all(|(a, b)| (a - b).abs() < tolerance));
    }
}

/// Networks have weights that want gradients; a solve records none, in any function that calls it.
#[test]
fn solves_record_no_gradients() {
    let weight = Tensor::from_slice(&[0.5f64]).set_requires_grad(true);
    let rows = |x: &Tensor, _: &[f64], _: &[usize]| {
        let v = x * &weight;
        assert!(!v.requires_grad());
        v
    };
    let whole = |x: &Tensor, _: f64| rows(x, &[], &[]);
    let (x, span, options) = (points(3, 2, 8), (0.0, 1.0), AdaptiveOptions::default());
    let ends = [
        per_sample::solve(&rows, x.copy(), span, &DOPRI5, &options, SaveAt::End).unwrap().x,
        adaptive::solve(&whole, x.copy(), span, &DOPRI5, &options, SaveAt::End).unwrap().x,
        fixed::solve(&whole, x.copy(), &[0.0, 0.5, 1.0], &TSIT5, SaveAt::End).unwrap().x,
    ];
    assert!(ends.iter().all(|end| !end.requires_grad() && end.allclose(&(&x * 0.5f64.exp()), 1e-4, 1e-4, false)));
}

/// The same at the size of images, where libtorch splits its work.
#[test]
fn large_rows_do_not_depend_on_their_batch() {
    let x = points(6, 3072, 7).to_kind(Kind::Float);
    let field = |x: &Tensor, t: &[f64], _: &[usize]| {
        let t = Tensor::from_slice(t).to_kind(Kind::Float).view([-1, 1]);
        x.square() * t - x
    };
    let options = AdaptiveOptions::with_tolerance(1e-3);
    let solve = |x: Tensor| per_sample::solve(&field, x, (0.0, 1.0), &TSIT5, &options, SaveAt::End).unwrap();
    let whole = solve(x.copy());
    for rows in [vec![3], vec![5, 0], vec![1, 2, 3, 4]] {
        let part = solve(x.select_rows(&rows));
        assert_eq!(part.x, whole.x.select_rows(&rows), "{rows:?}");
        assert!(rows.iter().zip(&part.rows).all(|(r, stats)| *stats == whole.rows[*r]));
    }
}

#[test]
fn points_and_probes_that_do_not_fit_are_errors() {
    let still = |x: &Tensor, _: &[f64], _: &[usize]| x.copy();
    let solve = |x: &Tensor, how: &Divergence| {
        carry(&still, x, (0.0, 1.0), &DOPRI5, &AdaptiveOptions::default(), how, SaveAt::End)
            .map(|c| values(&c.divergence))
    };
    let x = points(3, 2, 1);
    for (x, how) in [
        (x.copy(), Divergence::Hutchinson(vec![])),
        (
            x.copy(),
            Divergence::hutchinson(Probe::Gaussian, 1, Key::new(0, 0, Stream::Probe), &points(2, 2, 1)).unwrap(),
        ),
        (x.select(1, 0), Divergence::Exact),
        (x.narrow(1, 0, 0), Divergence::Exact),
    ] {
        assert!(matches!(solve(&x, &how), Err(SolveError::Divergence { .. })), "{how:?}");
    }
    assert_eq!(solve(&x.narrow(0, 0, 0), &Divergence::Exact).unwrap(), Vec::<f64>::new());
    assert!(solve(&x, &Divergence::Exact).unwrap().iter().all(|d| (d - 2.0).abs() < 1e-12));
}

#[test]
fn bits_per_dimension_follow_the_convention() {
    // Levels 0 to 3, each as likely: two bits a dimension, whatever the scale.
    for scale in [1.0, 1.5] {
        let density = (scale / 4.0f64).ln() * 12.0;
        assert!((bits_per_dim(density, 12, scale) - 2.0).abs() < 1e-12);
    }
}

/// One column more would be the shape of the state that the solver sees.
#[test]
fn velocities_of_another_shape_are_named_with_both_shapes() {
    let x = points(3, 2, 1);
    for dim in [1, 3] {
        let field = |x: &Tensor, _: &[f64], _: &[usize]| Tensor::zeros([x.size()[0], dim], (Kind::Double, Device::Cpu));
        let (how, options) = (Divergence::Exact, AdaptiveOptions::default());
        let carried = carry(&field, &x, (0.0, 1.0), &DOPRI5, &options, &how, SaveAt::End);
        let want = SolveError::Shape { what: "the velocity", t: 0.0, expected: vec![3, 2], got: vec![3, dim as usize] };
        assert_eq!(carried.map(|_| ()).unwrap_err(), want);
        let whole = |x: &Tensor, _: f64| field(x, &[], &[]);
        for solved in [
            per_sample::solve(&field, x.copy(), (0.0, 1.0), &DOPRI5, &options, SaveAt::End).map(|_| ()),
            adaptive::solve(&whole, x.copy(), (0.0, 1.0), &DOPRI5, &options, SaveAt::End).map(|_| ()),
            fixed::solve(&whole, x.copy(), &[0.0, 1.0], &DOPRI5, SaveAt::End).map(|_| ()),
        ] {
            assert_eq!(solved.unwrap_err(), want);
        }
    }
}

/// (B, 1) and (B) would add up to (B, B).
#[test]
fn a_source_of_another_shape_does_not_broadcast() {
    let (x, options) = (points(3, 2, 1), AdaptiveOptions::default());
    let still = |x: &Tensor, _: &[f64], _: &[usize]| x.zeros_like();
    let column = |x: &Tensor| gaussian_log_density(x, 1.0).view([-1, 1]);
    let found = log_density(&still, &x, (1.0, 0.0), &DOPRI5, &options, &Divergence::Exact, column);
    let (what, expected, got) = ("the source's log-density", vec![3], vec![3, 1]);
    assert_eq!(found.map(|_| ()).unwrap_err(), SolveError::Shape { what, t: 0.0, expected, got });
}

#[test]
fn numbers_of_probes_and_points_without_rows_are_errors() {
    let x = points(2, 2, 1);
    for probes in [0, usize::MAX] {
        assert!(matches!(
            Divergence::hutchinson(Probe::Gaussian, probes, Key::new(0, 0, Stream::Probe), &x),
            Err(SolveError::Control { .. })
        ));
    }
    let number = Tensor::from(1.0);
    assert!(matches!(
        Divergence::hutchinson(Probe::Gaussian, 1, Key::new(0, 0, Stream::Probe), &number),
        Err(SolveError::NoRows)
    ));
    assert_eq!(values(&gaussian_log_density(&Tensor::from_slice(&[0.0, 1.0]), 1.0)).len(), 2);
    // Beyond the range of f32, but not of f64.
    let wide = -0.5 * (2.0 * std::f64::consts::PI).ln() - 1e300f64.ln();
    let density = |x: &Tensor| gaussian_log_density(x, 1e300).to_kind(Kind::Double).double_value(&[0]);
    assert!((density(&Tensor::from_slice(&[1.0f64]).view([1, 1])) - wide).abs() < 1e-9);
    assert_eq!(density(&Tensor::from_slice(&[1.0f32]).view([1, 1])), f64::NEG_INFINITY);
}
