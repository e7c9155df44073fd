//! Multistep methods in the log-SNR take their weights from the path of the velocity.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use fm_core::exact::{ExactField, Mixture};
use fm_core::field::{ByRef, Converted, RowField, SharedTime, VelocityField};
use fm_core::objective::Objective;
use fm_core::path::{Custom, PathKind, ProbPath};
use fm_core::prediction::Prediction;
use fm_core::schedule::Rescheduled;
use fm_solvers::grid::Shifted;
use fm_solvers::multistep::{self, MultistepMethod};
use fm_solvers::sampler::{Sampler, run_with};
use fm_solvers::{Adaptive, Grid, Multistep, SaveAt, SolveError, solve};
use ndarray::{Array2, array};

/// The methods with steps in the log-SNR.
const METHODS: [MultistepMethod; 3] = [MultistepMethod::DpmSolver2M, MultistepMethod::UniPc2, MultistepMethod::UniPc3];

/// Times at which no affine path is singular.
const SPAN: std::ops::Range<f64> = 0.05..0.95;

fn mixture() -> Mixture {
    Mixture::isotropic(&[0.25, 0.75], array![[1.5, 0.0], [-1.0, 0.5]].view(), &[0.3, 0.2]).unwrap()
}

fn start() -> Array2<f64> {
    array![[0.3, -0.2], [-1.1, 0.4], [0.8, 1.3]]
}

fn off(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).iter().fold(0.0, |worst: f64, d| worst.max(d.abs()))
}

fn affine() -> Vec<PathKind> {
    let names = ["linear", "linear-sigma-min", "cosine", "vp", "linear-vp", "linear-vp-noise", "polynomial:n=2"];
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// On every path with an alpha and a sigma, the field's path gives the steps of the given path, and
/// they converge to the solution with order 2 at least.
#[test]
fn every_affine_path_gives_its_own_steps() {
    let mixture = mixture();
    for path in affine() {
        let field = ExactField::new(&mixture, path, (SPAN.start, SPAN.end)).unwrap();
        let exact = solve(&field, start(), SPAN, &Adaptive::dop853().tolerance(1e-11)).unwrap().x;
        for method in METHODS {
            let error = |steps: usize| {
                let grid = Grid::Uniform.divide(steps, &SPAN).unwrap();
                let given = multistep::solve(&field, &path, start(), &grid, method, SaveAt::End).unwrap().x;
                let solver = Multistep::new(method, steps);
                assert_eq!(solve(&field, start(), SPAN, &solver).unwrap().x, given, "{method:?} on {path}");
                assert_eq!(solve(&field, start(), SPAN, &solver.path(path)).unwrap().x, given);
                off(&given, &exact)
            };
            let (coarse, fine) = (error(100), error(400));
            assert!(fine < 3e-4 && fine < coarse / 12.0, "{method:?} on {path}: {coarse}, {fine}");
        }
    }
}

/// Wrong weights give wrong samples, so another path than that of the field is refused.
#[test]
fn another_path_than_that_of_the_field_is_refused() {
    let mixture = mixture();
    for path in affine() {
        let field = ExactField::new(&mixture, path, (SPAN.start, SPAN.end)).unwrap();
        for (method, other) in METHODS.iter().flat_map(|m| affine().into_iter().map(move |p| (*m, p))) {
            let refused = solve(&field, start(), SPAN, &Multistep::new(method, 20).path(other));
            assert_eq!(refused.is_err(), other != path, "{path} along {other}");
            if let Err(error) = refused {
                let expected = SolveError::OtherPath { method: method.name(), path: other.name(), t: SPAN.start };
                assert_eq!(error, expected);
            }
        }
        // The Adams methods integrate any velocity.
        assert!(
            solve(&field, start(), SPAN, &Multistep::pec(20).path(PathKind::Vp { beta_min: 0.1, beta_max: 20.0 }))
                .is_ok()
        );
    }
    let field = ExactField::new(&mixture, PathKind::Trigonometric, (0.0, 1.0)).unwrap();
    let text = solve(&field, start(), SPAN, &Multistep::unipc(9).path(PathKind::Linear)).unwrap_err().to_string();
    let cause = "cannot solve with unipc along path linear: the velocity of the field belongs to another path, which";
    assert_eq!(text, format!("{cause} differs at t = 0.05; give the path of the field, or none"));
}

#[test]
fn a_field_without_a_path_is_refused_until_a_path_is_given() {
    let to_three = |x: &f64, t: f64| (3.0 - x) / (1.0 - t);
    for method in METHODS {
        let solver = Multistep::new(method, 4);
        let refused = solve(&to_three, 1.0, 0.0..1.0, &solver).unwrap_err();
        assert_eq!(refused, SolveError::NoPath { method: method.name() });
        assert!(refused.to_string().ends_with("; give Multistep::path, or use ab2"), "{refused}");
        assert!((solve(&to_three, 1.0, 0.0..1.0, &solver.path(PathKind::Linear)).unwrap().x - 3.0).abs() < 1e-12);
    }
    assert!(solve(&to_three, 1.0, 0.0..1.0, &Multistep::ab2(4)).is_ok());
}

#[test]
fn paths_with_extra_noise_or_without_finite_weights_are_refused() {
    let mixture = mixture();
    let noisy = |name: &str| name.parse::<PathKind>().unwrap();
    for path in [noisy("constant-noise:sigma=0.1"), noisy("schroedinger-bridge")] {
        let field = ExactField::new(&mixture, path, (SPAN.start, SPAN.end)).unwrap();
        for solver in METHODS.map(|method| Multistep::new(method, 4)) {
            let refused = [solver.clone(), solver.path(path)].map(|solver| solve(&field, start(), SPAN, &solver));
            for refused in refused.map(Result::unwrap_err) {
                assert!(matches!(refused, SolveError::Path(fm_core::Error::ExtraNoise { .. })), "{path}: {refused}");
            }
        }
    }
    // alpha' is infinite at t = 0: the field cannot be evaluated there either.
    let field = ExactField::new(&mixture, PathKind::LinearVpNoise, (0.1, 1.0)).unwrap();
    for (span, solver) in [(0.0..1.0, Multistep::unipc(4)), (-0.5..1.0, Multistep::dpmpp_2m(4))] {
        assert!(matches!(solve(&field, start(), span, &solver), Err(SolveError::Path(_))));
    }
}

/// A network trained on the quarter circle, with a solver that names no path.
#[test]
fn solvers_of_networks_take_the_path_of_the_objective() {
    let network = |x: &Array2<f64>, _: &[f64], _: &[usize]| x.mapv(|x| 0.5 * x.tanh());
    let path = PathKind::Trigonometric;
    let mut objective = Objective { prediction: Prediction::Data, path, ..Objective::default() };
    objective.times.clip = 1e-3;
    for (solver, name) in [(Multistep::dpmpp_2m(16), "dpmpp-2m"), (Multistep::unipc(16), "unipc")] {
        let named = Sampler::fixed(name.parse().unwrap(), 16);
        let none = |_| Array2::zeros((3, 2));
        let named = named.run(&network, &objective, start(), none, false).unwrap().x;
        assert_eq!(run_with(&solver, &network, &objective, start()).unwrap().x, named);
        let refused = run_with(&solver.path(PathKind::Linear), &network, &objective, start()).unwrap_err();
        assert!(matches!(refused, SolveError::OtherPath { .. }), "{refused}");
    }
}

/// Wrapped fields state the path of the velocity that they return.
#[test]
fn wrapped_fields_state_their_path() {
    let mixture = mixture();
    let exact = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0)).unwrap();
    let solver = Multistep::unipc(200);
    let wanted = solve(&exact, start(), SPAN, &solver).unwrap().x;
    let borrowed: &dyn VelocityField<Array2<f64>> = &exact;
    assert_eq!(solve(&borrowed, start(), SPAN, &solver).unwrap().x, wanted);
    let converted = Converted::new(ByRef(&exact), PathKind::Linear, Prediction::Velocity, (0.0, 1.0)).unwrap();
    assert_eq!(solve(&SharedTime(converted), start(), SPAN, &solver).unwrap().x, wanted);
    // Steps in the log-SNR do not depend on the time that numbers them.
    let shifted = Shifted::new(exact.clone(), Grid::Shift { s: 3.0 }).unwrap();
    let stated = VelocityField::<Array2<f64>>::path_at(&shifted, 0.5).unwrap();
    assert_eq!((stated.t, stated.alpha, stated.sigma, stated.d_alpha), (0.5, 0.25, 0.75, 0.75));
    let whole = solve(&exact, start(), 0.0..1.0, &solver.clone().grid(Grid::Shift { s: 3.0 })).unwrap().x;
    assert!(off(&solve(&shifted, start(), 0.0..1.0, &solver).unwrap().x, &whole) < 1e-12);
    assert!(solve(&shifted, start(), SPAN, &solver.clone().path(PathKind::Linear)).is_err());
    let along = Rescheduled::new(exact, PathKind::Linear, PathKind::Trigonometric, (0.0, 1.0)).unwrap();
    let stated = RowField::<Array2<f64>>::path_at(&along, 0.3).unwrap();
    assert_eq!(stated, PathKind::Trigonometric.coefficients(0.3));
    let end = solve(&SharedTime(along), start(), 0.0..1.0, &solver).unwrap().x;
    assert!(off(&end, &whole) < 1e-3, "{}", off(&end, &whole));
}

/// A path of a user's own functions has no name for the solver; the field states it.
#[test]
fn custom_paths_work() {
    let mixture = mixture();
    let step = |t: f64| t * t * (3.0 - 2.0 * t);
    let slope = |t: f64| 6.0 * t * (1.0 - t);
    let path = Custom::new("smooth", step, slope, move |t| 1.0 - step(t), move |t| -slope(t)).unwrap();
    let field = ExactField::new(&mixture, &path, (0.05, 0.95)).unwrap();
    let exact = solve(&field, start(), SPAN, &Adaptive::dop853().tolerance(1e-11)).unwrap().x;
    assert!(off(&solve(&field, start(), SPAN, &Multistep::unipc(200)).unwrap().x, &exact) < 1e-3);
}
