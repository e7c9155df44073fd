//! Events and dense output on fixed grids: closed forms, and the order of each method.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod common;

use common::{State, distance};
use fm_solvers::{Adaptive, Direction, Event, Fixed, Grid, SaveAt, SolveError, StopReason, Tableau};
use fm_solvers::{dense, events, tableau};
use std::f64::consts::{FRAC_PI_2, PI};

/// Gravity with linear drag: v = (v0 + g / k) e^(-k t) - g / k.
const DRAG: f64 = 2.0;
const GRAVITY: f64 = 9.81;

fn falling(x: &State, _: f64) -> State {
    vec![x[1], -GRAVITY - DRAG * x[1]]
}

/// Height and speed at t of a ball thrown upwards from `height` at `speed`.
fn ball([height, speed]: [f64; 2], t: f64) -> [f64; 2] {
    let (limit, decay) = (GRAVITY / DRAG, (-DRAG * t).exp());
    let start = speed + limit;
    [height + start * (1.0 - decay) / DRAG - limit * t, start * decay - limit]
}

/// The slope of log2 errors between n and 2 n steps.
fn order(error: impl Fn(usize) -> f64, steps: usize) -> f64 {
    (error(steps) / error(2 * steps)).log2()
}

/// The methods with a number of steps at which their errors are far above rounding.
fn methods() -> [(Tableau, usize); 8] {
    [
        (tableau::EULER, 512),
        (tableau::MIDPOINT, 256),
        (tableau::HEUN, 256),
        (tableau::BOGACKI_SHAMPINE, 128),
        (tableau::RK4, 64),
        (tableau::DOPRI5, 32),
        (tableau::TSIT5, 32),
        (tableau::DOP853, 8),
    ]
}

/// Errors of a thrown ball: the time of the bounce, the speed there, and the time of the highest
/// point, each the largest of several throws. Where an event falls within a step changes its error.
fn errors(method: Tableau, steps: usize) -> [f64; 3] {
    let throw = |i: u32| {
        let (bounce, speed) = (1.0 + 0.037 * f64::from(i), 1.5 + 0.09 * f64::from(i));
        let height = -ball([0.0, speed], bounce)[0];
        let ground = Event::new(|x: &State, _| x[0]).falling().terminal();
        // At the highest point the speed changes its sign.
        let wanted = [ground, Event::new(|x: &State, _| x[1])];
        let solver = Fixed::new(method, steps);
        let found = events::solve(&falling, vec![height, speed], 0.0..2.0, &solver, &wanted, SaveAt::End).unwrap();
        assert!(matches!(found.solution.stats.reason, StopReason::Event { t } if t == found.events[0].times[0]));
        assert_eq!(found.solution.x, found.events[0].states[0]);
        let top = (1.0 + speed * DRAG / GRAVITY).ln() / DRAG;
        [
            found.events[0].times[0] - bounce,
            found.solution.x[1] - ball([height, speed], bounce)[1],
            found.events[1].times[0] - top,
        ]
    };
    (0..24).map(throw).fold([0.0; 3], |most, errors| [0, 1, 2].map(|i| f64::max(most[i], errors[i].abs())))
}

#[test]
fn events_of_a_thrown_ball_have_the_order_of_the_method() {
    for (method, steps) in methods() {
        let (coarse, fine) = (errors(method, steps), errors(method, 2 * steps));
        let orders = [0, 1, 2].map(|i| (coarse[i] / fine[i]).log2());
        assert!(orders.iter().all(|o| *o > method.order as f64 - 0.4), "{} {orders:?} {fine:?}", method.name);
    }
}

#[test]
fn a_pendulum_passes_the_middle_at_odd_quarters_of_its_period() {
    // Small swings of a linear pendulum, x = cos t: closed form at every zero.
    let swing = |x: &State, _: f64| vec![x[1], -x[0]];
    for end in [10.0, -10.0] {
        for (direction, known) in [
            (Direction::Either, vec![FRAC_PI_2, 3.0 * FRAC_PI_2, 5.0 * FRAC_PI_2]),
            (Direction::Falling, vec![FRAC_PI_2, 5.0 * FRAC_PI_2]),
            (Direction::Rising, vec![3.0 * FRAC_PI_2]),
        ] {
            let middle = [Event::new(|x: &State, _| x[0]).direction(direction)];
            let found =
                events::solve(&swing, vec![1.0, 0.0], 0.0..end, &Fixed::rk4(1_000), &middle, SaveAt::End).unwrap();
            assert_eq!(found.solution.stats.reason, StopReason::ReachedEnd);
            let times = &found.events[0].times;
            assert_eq!(times.len(), known.len(), "{direction:?} {times:?}");
            for ((t, state), known) in times.iter().zip(&found.events[0].states).zip(known) {
                assert!((t.abs() - known).abs() < 1e-8 && t.signum() == f64::signum(end), "{t} {known}");
                assert!(state[0].abs() < 1e-14 && (state[1].abs() - 1.0).abs() < 1e-8, "{state:?}");
            }
        }
    }
}

/// Karras' grid starts after the start of the span, with the state given there.
#[test]
fn a_solve_starts_at_the_first_time_of_its_grid() {
    let edm = Grid::Edm { rho: 7.0, sigma_min: 0.002, sigma_max: 80.0 };
    let (solver, still) = (Fixed::rk4(20).grid(edm), |_: &f64, _: f64| 1.0);
    let early = [Event::new(|_: &f64, t| t - 0.01), Event::new(|x: &f64, _| x - 0.5)];
    let solution = dense::solve_with_events(&still, 0.0, 0.0..1.0, &solver, &early).unwrap();
    assert_eq!((solution.span(), &solution.events[0].times[..]), (1.0 / 81.0..1.0, &[][..]));
    assert!((solution.events[1].times[0] - 0.5 - 1.0 / 81.0).abs() < 1e-14);
    assert!(solution.at(0.01).is_err() && (solution.at(0.25).unwrap() - 0.25 + 1.0 / 81.0).abs() < 1e-14);
}

/// The nonlinear pendulum, against the adaptive solver at a tight tolerance.
#[test]
fn fixed_and_adaptive_steps_find_the_same_events() {
    let pendulum = |x: &State, _: f64| vec![x[1], -x[0].sin()];
    let middle = || [Event::new(|x: &State, _| x[0]), Event::new(|x: &State, _| x[1] - 0.5).rising()];
    let adaptive = Adaptive::dop853().tolerance(1e-13);
    let known = events::solve(&pendulum, vec![2.0, 0.0], 0.0..20.0, &adaptive, &middle(), SaveAt::End).unwrap();
    let fixed = Fixed::new(tableau::DOP853, 400);
    let found = events::solve(&pendulum, vec![2.0, 0.0], 0.0..20.0, &fixed, &middle(), SaveAt::Steps).unwrap();
    for (ours, known) in found.events.iter().zip(&known.events) {
        assert!(ours.times.len() > 1 && ours.times.len() == known.times.len());
        assert!(ours.times.iter().zip(&known.times).all(|(a, b)| (a - b).abs() < 1e-10), "{ours:?} {known:?}");
    }
    assert_eq!((found.solution.states.len(), found.solution.stats.accepted), (401, 400));
}

#[test]
fn saved_states_end_with_a_terminal_event() {
    let swing = |x: &State, _: f64| vec![x[1], -x[0]];
    let times = [0.5, 1.0, 1.5, 2.0, 3.0];
    for output in [SaveAt::At(&times), SaveAt::Steps, SaveAt::End] {
        let stop = [Event::new(|x: &State, _| x[0]).terminal()];
        let found = events::solve(&swing, vec![1.0, 0.0], 0.0..4.0, &Fixed::rk4(400), &stop, output).unwrap().solution;
        for (t, x) in found.times.iter().zip(&found.states) {
            assert!(*t <= FRAC_PI_2 + 1e-8 && distance(x, &[t.cos(), -t.sin()]) < 1e-8, "{t}");
        }
        assert_eq!(
            found.times.len(),
            match output {
                SaveAt::At(_) => 3,
                SaveAt::Steps => 159,
                SaveAt::End => 0,
            }
        );
    }
}

#[test]
fn dense_output_of_fixed_steps_has_the_order_of_the_method() {
    let swing = |x: &State, _: f64| vec![x[1], -x[0]];
    for (method, steps) in methods() {
        let error = |steps| {
            let solver = Fixed::new(method, steps).grid(Grid::Warp { s: 0.8 });
            let solution = dense::solve(&swing, vec![1.0, 0.0], 0.0..PI, &solver).unwrap();
            let at = |i| PI * f64::from(i) / 97.0;
            (0..98).map(|i| distance(&solution.at(at(i)).unwrap(), &[at(i).cos(), -at(i).sin()])).fold(0.0, f64::max)
        };
        let found = order(error, 2 * steps);
        assert!(found > method.order as f64 - 0.4, "{}: {found}", method.name);
    }
    let solver = Fixed::rk4(50);
    let stop = [Event::new(|x: &State, _| x[0]).terminal()];
    let solution = dense::solve_with_events(&swing, vec![1.0, 0.0], 0.0..PI, &solver, &stop).unwrap();
    assert!((solution.span().end - FRAC_PI_2).abs() < 1e-6 && solution.events[0].times.len() == 1);
    assert!(matches!(solution.at(2.0), Err(SolveError::Outside { .. })));
}

#[test]
fn what_a_fixed_grid_cannot_solve_is_an_error() {
    let explode = |x: &f64, t: f64| if t > 0.5 { f64::NAN } else { *x };
    let level = [Event::new(|x: &f64, _| x - 100.0)];
    let solve = |field: &dyn Fn(&f64, f64) -> f64, solver: &Fixed, span| {
        events::solve(&|x: &f64, t: f64| field(x, t), 1.0, span, solver, &level, SaveAt::End)
    };
    let stopped = solve(&explode, &Fixed::rk4(10), 0.0..1.0).unwrap_err();
    assert!(matches!(stopped, SolveError::Stopped { reason: StopReason::NonFinite { .. }, .. }), "{stopped:?}");
    for (steps, span) in [(0, 0.0..1.0), (10, 0.0..0.0), (10, 0.0..f64::NAN), (usize::MAX, 0.0..1.0)] {
        assert!(solve(&|x, _| *x, &Fixed::rk4(steps), span.clone()).is_err(), "{steps} {span:?}");
    }
    let blind = Tableau { dense: &[&[], &[]], ..tableau::MIDPOINT };
    let refused = solve(&|x, _| *x, &Fixed::new(blind, 10), 0.0..1.0).unwrap_err();
    assert!(matches!(refused, SolveError::Tableau { .. }), "{refused:?}");
    let nan = [Event::new(|_: &f64, t| if t > 0.5 { f64::NAN } else { 1.0 })];
    let found = events::solve(&|x: &f64, _: f64| *x, 1.0, 0.0..1.0, &Fixed::rk4(10), &nan, SaveAt::End);
    assert!(matches!(found, Err(SolveError::Event { index: 0, t }) if t > 0.5));
}
