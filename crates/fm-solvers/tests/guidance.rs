//! Guidance against diffusers' guiders, its limits, and what it refuses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{numbers, reference};
use fm_core::Error;
use fm_core::field::{ByRef, RowField, SharedTime};
use fm_core::prediction::{PREDICTIONS, Prediction};
use fm_core::state::RowState;
use fm_solvers::guidance::{FieldPair, GuidanceOptions, Guider, Pair, Projection, ZeroStar};
use fm_solvers::{Fixed, Multistep, Sampler, SaveAt, SolveError, multistep, solve};
use ndarray::{Array2, Axis, array};
use serde_json::Value;
use std::cell::Cell;

type State = Array2<f64>;

fn rows(value: &Value) -> State {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn off(a: &State, b: &State) -> f64 {
    (a - b).iter().fold(0.0, |worst: f64, d| if d.is_nan() { f64::NAN } else { worst.max(d.abs()) })
}

/// A pair of given predictions, which change with the evaluations, and their count.
struct Given {
    main: Vec<State>,
    weak: Vec<State>,
    next: Cell<usize>,
}

impl FieldPair<State> for Given {
    fn main(&self, _: &State, _: &[f64], rows: &[usize]) -> State {
        self.main[self.next.get()].select_rows(rows)
    }

    fn both(&self, _: &State, _: &[f64], rows: &[usize]) -> (State, State) {
        (self.main[self.next.get()].select_rows(rows), self.weak[self.next.get()].select_rows(rows))
    }
}

fn scaled(scale: f64) -> GuidanceOptions {
    GuidanceOptions { scale, ..GuidanceOptions::default() }
}

/// Options with each rule.
fn rules() -> [GuidanceOptions; 4] {
    let base = scaled(3.0);
    [
        base,
        GuidanceOptions { zero_star: Some(ZeroStar { zero_until: 0.0 }), ..base },
        GuidanceOptions { projection: Some(Projection { eta: 0.3, ..Projection::default() }), ..base },
        GuidanceOptions { look_ahead: Some(0.1), ..base },
    ]
}

fn main_field(x: &State, t: &[f64], _: &[usize]) -> State {
    Array2::from_shape_fn(x.dim(), |(i, j)| (x[[i, j]] + t[i]).tanh())
}

fn weak_field(x: &State, t: &[f64], _: &[usize]) -> State {
    Array2::from_shape_fn(x.dim(), |(i, j)| 0.5 * x[[i, j]].cos() - t[i])
}

fn guider(options: GuidanceOptions) -> Guider<impl FieldPair<State>, State> {
    Guider::new(Pair { main: main_field, weak: weak_field }, options, Prediction::Velocity).unwrap()
}

fn start() -> State {
    array![[0.3, -0.2, 1.0], [-1.1, 0.4, 0.1], [0.8, 1.3, -0.6]]
}

/// `tests/reference/guidance.py`: each evaluation of each case.
#[test]
fn guided_predictions_are_diffusers() {
    let reference = reference("guidance");
    let predictions = |name: &str| reference[name].as_array().unwrap().iter().map(rows).collect::<Vec<_>>();
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let options: GuidanceOptions = serde_json::from_value(case["options"].clone()).unwrap();
        let given = Given { main: predictions("main"), weak: predictions("weak"), next: Cell::new(0) };
        let guider = Guider::new(given, options, Prediction::Velocity).unwrap();
        for (k, t) in numbers(&case["times"]).into_iter().enumerate() {
            guider.pair().next.set(k);
            let x = Array2::zeros((3, 12));
            let found = guider.velocities(&x, &[t; 3], &[0, 1, 2]);
            let off = off(&found, &rows(&case["guided"][k]));
            assert!(off < 1e-12, "{}, evaluation {k}: {off}", case["name"]);
        }
    }
    let case = &reference["look_ahead"];
    let [t, time, scale] = ["t", "time", "scale"].map(|name| case[name].as_f64().unwrap());
    let found = guider(GuidanceOptions { look_ahead: Some(time), ..scaled(scale) });
    let found = found.velocities(&rows(&case["x"]), &[t; 3], &[0, 1, 2]);
    assert!(off(&found, &rows(&case["guided"])) < 1e-12);
}

/// A scale of 1 is the field itself, a projection that keeps everything and a step of length 0 are
/// classifier-free guidance, and a rescale of 1 has the deviation of the field.
#[test]
fn limits_of_the_rules() {
    let (x, t, all) = (start(), [0.5; 3], [0, 1, 2]);
    let plain = guider(scaled(3.0)).velocities(&x, &t, &all);
    let by_hand = &weak_field(&x, &t, &all) + &((main_field(&x, &t, &all) - weak_field(&x, &t, &all)) * 3.0);
    assert!(off(&plain, &by_hand) < 1e-14);
    for options in rules() {
        let none = guider(GuidanceOptions { scale: 1.0, ..options });
        assert_eq!(none.velocities(&x, &t, &all), main_field(&x, &t, &all));
        let close = guider(GuidanceOptions { scale: 1.0 + 1e-9, ..options });
        assert!(off(&close.velocities(&x, &t, &all), &main_field(&x, &t, &all)) < 1e-8);
        let full = guider(GuidanceOptions { rescale: 1.0, ..options }).velocities(&x, &t, &all);
        for (v, c) in full.outer_iter().zip(main_field(&x, &t, &all).outer_iter()) {
            assert!((v.std(1.0) - c.std(1.0)).abs() < 1e-12, "{options:?}");
        }
    }
    let whole = Projection { eta: 1.0, norm_limit: Some(1e9), momentum: 0.0 };
    let whole = guider(GuidanceOptions { projection: Some(whole), ..scaled(3.0) }).velocities(&x, &t, &all);
    assert!(off(&whole, &plain) < 1e-14);
    let short = guider(GuidanceOptions { look_ahead: Some(1e-12), ..scaled(3.0) }).velocities(&x, &t, &all);
    assert!(off(&short, &plain) < 1e-10);
    // Equal fields: nothing to amplify, and no division by zero.
    let still = |x: &State, _: &[f64], _: &[usize]| State::zeros(x.dim());
    for options in rules().map(|options| GuidanceOptions { rescale: 0.5, ..options }) {
        let pair = Pair { main: still, weak: still };
        let guider = Guider::new(pair, options, Prediction::Velocity).unwrap();
        assert_eq!(guider.velocities(&x, &t, &all), State::zeros(x.dim()), "{options:?}");
    }
}

/// Rows at their own times, and some of the rows, have what each row has alone.
#[test]
fn rows_are_independent() {
    let star = GuidanceOptions { zero_star: Some(ZeroStar { zero_until: 0.15 }), ..scaled(3.0) };
    let options =
        rules().into_iter().chain([star]).map(|o| GuidanceOptions { interval: (0.1, 0.6), rescale: 0.3, ..o });
    for options in options {
        let (guider, x, times) = (guider(options), start(), [0.05, 0.5, 0.95]);
        let together = guider.velocities(&x, &times, &[0, 1, 2]);
        for (i, t) in times.into_iter().enumerate() {
            let alone = guider.velocities(&x.select_rows(&[i]), &[t], &[i]);
            assert!(off(&alone, &together.select_rows(&[i])) < 1e-15, "{options:?}, row {i}");
        }
    }
}

/// Fields that are not needed are not evaluated.
#[test]
fn evaluations_are_counted() {
    let calls = Cell::new([0, 0]);
    let count = |which: usize| {
        let mut now = calls.get();
        now[which] += 1;
        calls.set(now);
    };
    let main = |x: &State, t: &[f64], rows: &[usize]| {
        count(0);
        main_field(x, t, rows)
    };
    let weak = |x: &State, t: &[f64], rows: &[usize]| {
        count(1);
        weak_field(x, t, rows)
    };
    let of = |options: GuidanceOptions, t: f64| {
        calls.set([0, 0]);
        let guider = Guider::new(Pair { main, weak }, options, Prediction::Velocity).unwrap();
        guider.velocities(&start(), &[t; 3], &[0, 1, 2]);
        calls.get()
    };
    let inside = GuidanceOptions { interval: (0.2, 0.6), ..scaled(3.0) };
    assert_eq!([0.1, 0.2, 0.6, 0.7].map(|t| of(inside, t)), [[1, 0], [1, 1], [1, 1], [1, 0]]);
    let star = GuidanceOptions { zero_star: Some(ZeroStar::default()), ..inside };
    assert_eq!([0.0, 0.04, 0.3].map(|t| of(star, t)), [[0, 0], [1, 0], [1, 1]]);
    assert_eq!([0.1, 0.3].map(|t| of(GuidanceOptions { look_ahead: Some(0.1), ..inside }, t)), [[1, 0], [2, 1]]);
    assert_eq!(of(scaled(1.0), 0.5), [1, 0]);
}

/// The average belongs to the time: stages at one time, a return, and a second solve do not add.
#[test]
fn momentum_follows_the_time() {
    let rule = Projection { eta: 1.0, norm_limit: None, momentum: 0.5 };
    let fresh = || guider(GuidanceOptions { projection: Some(rule), ..scaled(2.0) });
    let (x, all) = (start(), [0, 1, 2]);
    let at = |guider: &Guider<_, State>, t: f64| RowField::velocities(guider, &x, &[t; 3], &all);
    let field = fresh();
    let [first, second] = [0.1, 0.2].map(|t| at(&field, t));
    let difference = |t: f64| main_field(&x, &[t; 3], &all) - weak_field(&x, &[t; 3], &all);
    let averaged = main_field(&x, &[0.2; 3], &all) + difference(0.2) + difference(0.1) * 0.5;
    assert!(off(&second, &averaged) < 1e-14);
    // The same time again, a return to the start of the step, and a new start.
    assert_eq!([at(&field, 0.2), at(&field, 0.1), at(&field, 0.2)], [second.clone(), first.clone(), second]);
    assert_eq!(at(&field, 0.05), at(&fresh(), 0.05));
    // Two solves with one field, with two evaluations per time.
    let shared = SharedTime(fresh());
    let run = || solve(&shared, start(), 0.0..1.0, &Fixed::rk4(20)).unwrap().x;
    assert_eq!(run(), run());
    // Rows at different times, or fewer than before, have no average.
    let field = fresh();
    assert!(field.velocities(&x, &[0.1, 0.1, 0.2], &all).iter().all(|v| v.is_nan()));
    at(&field, 0.1);
    assert!(field.velocities(&x.select_rows(&[1]), &[0.2], &[1]).iter().all(|v| v.is_nan()));
    let mixed = fm_solvers::per_sample::solve(
        &field,
        start(),
        (0.0, 1.0),
        &fm_solvers::tableau::DOPRI5,
        &fm_solvers::AdaptiveOptions::default(),
        SaveAt::End,
    );
    assert!(matches!(mixed, Err(SolveError::Stopped { .. })));
}

/// With CFG-Zero* the first steps of a sampler do not move.
#[test]
fn samplers_start_without_velocity() {
    let objective = fm_core::objective::Objective::default();
    for (steps, still) in [(10, 1), (25, 1), (50, 2), (75, 3)] {
        let sampler = Sampler::euler(steps);
        let zero_star = Some(sampler.zero_star(0.04, (0.0, 1.0)).unwrap());
        let field = guider(GuidanceOptions { zero_star, ..scaled(3.0) });
        let samples = sampler.run(&field, &objective, start(), |_| start(), true).unwrap();
        let moved = samples.frames.iter().position(|frame| *frame != start()).unwrap();
        assert_eq!(moved - 1, still, "{steps} steps");
    }
    // 0.07 * 100 is above 7.
    assert_eq!(Sampler::euler(100).zero_star(0.07, (0.0, 1.0)).unwrap().zero_until, 0.07);
}

/// A field that jumps at a time.
struct Jump(f64);

impl RowField<State> for Jump {
    fn velocities(&self, x: &State, _: &[f64], _: &[usize]) -> State {
        x.clone()
    }

    fn segment(&self, t: f64) -> usize {
        usize::from(t >= self.0)
    }
}

/// Multistep solvers drop their values where a rule starts or ends.
#[test]
fn rules_state_their_pieces_and_the_path_of_the_field() {
    let options =
        GuidanceOptions { interval: (0.2, 0.55), zero_star: Some(ZeroStar { zero_until: 0.1 }), ..scaled(3.0) };
    let field = guider(options);
    let pieces = [0.05, 0.1, 0.15, 0.2, 0.5, 0.6].map(|t| RowField::<State>::segment(&field, t));
    assert!(pieces[0] != pieces[1] && pieces[1] == pieces[2] && pieces[3] != pieces[2]);
    assert!(pieces[3] == pieces[4] && pieces[5] != pieces[4]);
    let jumps =
        Guider::<_, State>::new(Pair { main: Jump(0.3), weak: Jump(0.4) }, options, Prediction::Velocity).unwrap();
    let pieces = [0.25, 0.35, 0.45].map(|t| RowField::<State>::segment(&jumps, t));
    assert!(pieces[0] != pieces[1] && pieces[1] != pieces[2] && pieces[0] != pieces[2], "{pieces:?}");
    let grid: Vec<f64> = (0..8).map(|i| f64::from(i) / 10.0).collect();
    let field = SharedTime(field);
    let run = |x, grid: &[f64]| {
        let (path, method) = (fm_core::path::PathKind::Linear, multistep::MultistepMethod::Pec);
        multistep::solve(&field, &path, x, grid, method, SaveAt::End).unwrap().x
    };
    let in_pieces = run(run(run(run(start(), &grid[..2]), &grid[1..3]), &grid[2..7]), &grid[6..]);
    assert_eq!(run(start(), &grid), in_pieces);
    // The solver takes the path of the field to guide.
    let converted = |field| {
        fm_core::field::Converted::new(field, fm_core::path::PathKind::Trigonometric, Prediction::Data, (0.0, 0.9))
            .unwrap()
    };
    let pair =
        Pair { main: converted(main_field as fn(&State, &[f64], &[usize]) -> State), weak: converted(weak_field) };
    let field = SharedTime(Guider::new(pair, options, Prediction::Velocity).unwrap());
    assert!(solve(&field, start(), 0.0..0.9, &Multistep::unipc(9)).is_ok());
}

#[test]
fn what_cannot_be_guided_is_refused() {
    let fields = || Pair { main: main_field, weak: weak_field };
    let refused = |options: GuidanceOptions, prediction| {
        Guider::<_, State>::new(fields(), options, prediction).map(|_| ()).unwrap_err().to_string()
    };
    let [_, star, projected, ahead] = rules();
    for (a, b) in [(star, projected), (star, ahead), (projected, ahead)] {
        let both = GuidanceOptions {
            zero_star: a.zero_star.or(b.zero_star),
            projection: a.projection.or(b.projection),
            look_ahead: a.look_ahead.or(b.look_ahead),
            ..a
        };
        let text = refused(both, Prediction::Velocity);
        let why = "each replaces the difference of the two predictions; choose one of them";
        assert!(text.contains(" cannot be combined with ") && text.ends_with(why), "{text}");
    }
    for prediction in PREDICTIONS {
        for options in rules() {
            let of_velocities = options.zero_star.is_some() || options.look_ahead.is_some();
            let allowed = options.check(prediction).is_ok();
            assert_eq!(allowed, prediction == Prediction::Velocity || !of_velocities, "{prediction}, {options:?}");
        }
    }
    let text = refused(star, Prediction::Noise);
    assert!(
        text.starts_with("CFG-Zero* cannot be combined with noise prediction: ") && text.contains("; convert"),
        "{text}"
    );
    let projection = |rule| GuidanceOptions { projection: Some(rule), ..projected };
    let rule = Projection::default();
    let bad = [
        scaled(f64::NAN),
        GuidanceOptions { interval: (0.6, 0.5), ..star },
        GuidanceOptions { interval: (f64::NAN, 0.5), ..star },
        GuidanceOptions { rescale: 1.5, ..star },
        GuidanceOptions { rescale: f64::NAN, ..star },
        GuidanceOptions { zero_star: Some(ZeroStar { zero_until: -0.1 }), ..star },
        projection(Projection { eta: f64::INFINITY, ..rule }),
        projection(Projection { norm_limit: Some(0.0), ..rule }),
        projection(Projection { norm_limit: Some(f64::NAN), ..rule }),
        projection(Projection { momentum: 1.0, ..rule }),
        GuidanceOptions { look_ahead: Some(0.0), ..scaled(2.0) },
        GuidanceOptions { look_ahead: Some(1.1), ..scaled(2.0) },
    ];
    for options in bad {
        assert!(matches!(options.check(Prediction::Velocity), Err(Error::Value { .. })), "{options:?}");
    }
    let sampler = |name: &str| Sampler::fixed(name.parse().unwrap(), 10);
    let averaged = projection(Projection { momentum: 0.5, ..rule });
    assert!(sampler("rk4").check_guidance(&averaged).is_ok() && Sampler::dopri5(1e-5).check_guidance(&star).is_ok());
    let text = Sampler::dopri5(1e-5).check_guidance(&averaged).unwrap_err().to_string();
    assert!(text.starts_with("the momentum of projected guidance cannot be combined with adaptive steps: "), "{text}");
    assert!(
        sampler("euler").zero_star(1.5, (0.0, 1.0)).is_err()
            && sampler("euler").zero_star(f64::NAN, (0.0, 1.0)).is_err()
    );
    // A solver returns the errors of the fields, and that of rows without deviation.
    let rescaled = guider(GuidanceOptions { rescale: 0.5, ..scaled(2.0) });
    let one = solve(&SharedTime(ByRef(&rescaled)), start().select(Axis(1), &[0]), 0.0..1.0, &Fixed::euler(2));
    assert!(matches!(one, Err(SolveError::Path(Error::Combination { .. }))));
    let narrow = |x: &State, _: &[f64], _: &[usize]| x.select(Axis(1), &[0]);
    for options in rules() {
        let by_main = Guider::new(Pair { main: narrow, weak: weak_field }, options, Prediction::Velocity).unwrap();
        let by_weak = Guider::new(Pair { main: main_field, weak: narrow }, options, Prediction::Velocity).unwrap();
        let solved = solve(&SharedTime(by_main), start(), 0.0..1.0, &Fixed::euler(2));
        assert!(matches!(solved, Err(SolveError::Shape { .. })), "{options:?}");
        let solved = solve(&SharedTime(by_weak), start(), 0.0..1.0, &Fixed::euler(2));
        assert!(matches!(solved, Err(SolveError::Shape { .. })), "{options:?}");
    }
}
