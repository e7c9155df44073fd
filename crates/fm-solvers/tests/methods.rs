//! The methods themselves: their numbers, their orders, and what they cost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{State, distance, driven, driven_at, linear, linear_at, numbers, reference, slope, van_der_pol};
use fm_solvers::tableau::{ALL, DOPRI5, RK4, Tableau};
use fm_solvers::{Grid, SaveAt, SolveError, fixed};

/// Numbers by SciPy, NodePy and diffrax: `tests/reference/tableaux.py`. The 3/8 rule is held
/// against torchdiffeq's in the options test.
#[test]
fn coefficients_equal_scipys_nodepys_and_diffraxs() {
    let reference = reference("tableaux");
    let thetas = numbers(&reference["theta"]);
    let mut compared = 0;
    for tableau in ALL.iter().filter(|t| t.name != "rk4-38") {
        let table = &reference["tables"][tableau.name];
        let check = |ours: &[f64], theirs: &[f64], what: &str| {
            assert_eq!(ours.len(), theirs.len(), "{} {what}", tableau.name);
            for (a, b) in ours.iter().zip(theirs) {
                assert!((a - b).abs() < 1e-14, "{} {what}: {a} against {b}", tableau.name);
            }
        };
        check(tableau.c, &numbers(&table["c"]), "c");
        check(&tableau.a.concat(), &numbers(&table["a"]), "a");
        check(tableau.b, &numbers(&table["b"]), "b");
        if let Some(e) = tableau.e {
            // The sign of an estimate is a convention.
            let theirs = numbers(&table["e"]);
            let sign = (theirs[0] * e[0]).signum();
            check(e, &theirs.iter().map(|v| sign * v).collect::<Vec<_>>(), "e");
        }
        if let Some(e) = tableau.e_low {
            check(e, &numbers(&table["e_low"]), "e_low");
        }
        for (theta, theirs) in thetas.iter().zip(table["dense"].as_array().into_iter().flatten()) {
            let (ours, theirs) = (tableau.interpolate(*theta), numbers(theirs));
            assert_eq!(tableau.c.len(), theirs.len(), "{}", tableau.name);
            for (a, b) in ours.iter().zip(&theirs) {
                assert!((a - b).abs() < dense_rounding(tableau), "{} dense: {a} against {b}", tableau.name);
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 20);
}

/// Polynomials of degree 7 have coefficients in the thousands.
fn dense_rounding(tableau: &Tableau) -> f64 {
    if tableau.dense_order > 4 { 1e-12 } else { 1e-14 }
}

#[test]
fn every_tableau_is_consistent() {
    for tableau in ALL {
        tableau.check().unwrap();
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-14, "{}: {a} against {b}", tableau.name);
        for (row, c) in tableau.a.iter().zip(tableau.c) {
            close(row.iter().sum(), *c);
        }
        close(tableau.b.iter().sum(), 1.0);
        close(tableau.e.map_or(0.0, |e| e.iter().sum()), 0.0);
        close(tableau.e_low.map_or(0.0, |e| e.iter().sum()), 0.0);
        let b = tableau.b.iter().copied().chain(std::iter::repeat(0.0));
        let off = tableau.interpolate(1.0).iter().zip(b).map(|(at_1, b)| (at_1 - b).abs()).fold(0.0, f64::max);
        let sum = tableau.interpolate(0.3).iter().sum::<f64>();
        let rounding = dense_rounding(tableau);
        assert!(off < rounding && (sum - 0.3).abs() < rounding, "{}: {off} {sum}", tableau.name);
    }
}

/// Methods whose leading error term shows above the rounding; `tests/dop853.rs` measures the other.
fn up_to_order_5() -> impl Iterator<Item = &'static Tableau> {
    ALL.into_iter().filter(|t| t.order <= 5)
}

type Field = Box<dyn Fn(&State, f64) -> State>;

/// A problem with its states at the times that divide its span into eight.
struct Problem {
    name: &'static str,
    field: Field,
    span: (f64, f64),
    states: Vec<State>,
}

fn problems() -> Vec<Problem> {
    let eighths = |end: f64, at: fn(f64) -> State| (0..=8).map(|i| at(end * f64::from(i) / 8.0)).collect::<Vec<_>>();
    let known = &reference("problems")["van-der-pol"]["x"];
    let known = known.as_array().unwrap().iter().map(numbers).collect();
    vec![
        Problem { name: "linear", field: Box::new(linear), span: (0.0, 8.0), states: eighths(8.0, linear_at) },
        Problem { name: "van der Pol", field: Box::new(van_der_pol(0.2)), span: (0.0, 2.0), states: known },
        Problem { name: "driven", field: Box::new(driven), span: (0.0, 1.5), states: eighths(1.5, driven_at) },
    ]
}

/// Steps that are small enough for the leading term of the error, and large enough for rounding.
fn counts(order: usize) -> [usize; 4] {
    match order {
        1 => [400, 800, 1600, 3200],
        2 => [200, 400, 800, 1600],
        3 => [80, 160, 320, 640],
        4 => [80, 160, 320, 640],
        _ => [64, 96, 144, 192],
    }
}

fn grid((from, to): (f64, f64), steps: usize) -> Vec<f64> {
    Grid::Uniform.times(steps).unwrap().iter().map(|u| from + u * (to - from)).collect()
}

#[test]
fn measured_order_is_the_stated_order_in_both_directions() {
    for problem in problems() {
        for tableau in up_to_order_5() {
            for backwards in [false, true] {
                let ((from, to), mut states) = (problem.span, problem.states.clone());
                let span = if backwards { (to, from) } else { (from, to) };
                if backwards {
                    states.reverse();
                }
                // All along the way, since at a single time leading terms may cancel.
                let error = |steps: usize| {
                    let solution =
                        fixed::solve(&problem.field, states[0].clone(), &grid(span, steps), tableau, SaveAt::Steps);
                    let passed = solution.unwrap().states;
                    let off = (1..=8).map(|i| distance(&passed[i * steps / 8], &states[i]).powi(2));
                    (1.0 / steps as f64, off.sum::<f64>().sqrt())
                };
                // The fifth order shows late on a linear system, and rounding early on the others.
                let finer = |n| if tableau.order == 5 && problem.name == "linear" { n * 3 / 2 } else { n };
                let points = counts(tableau.order).map(finer).map(error);
                let order = slope(&points);
                let what = format!("{} on {}, backwards {backwards}: {order} {points:?}", tableau.name, problem.name);
                assert!((order - tableau.order as f64).abs() < 0.1, "{what}");
            }
        }
    }
}

/// Within one step the interpolant is off by h^(q + 1); over a whole solve it keeps the order of
/// the method.
#[test]
fn dense_output_has_its_stated_order() {
    for tableau in up_to_order_5() {
        let within = |h: f64| {
            let thetas = [0.21, 0.43, 0.78].map(|theta| 0.4 + theta * h);
            let solution =
                fixed::solve(&driven, driven_at(0.4), &[0.4, 0.4 + h], tableau, SaveAt::At(&thetas)).unwrap();
            let off = thetas.iter().zip(&solution.states).map(|(t, x)| distance(x, &driven_at(*t)).powi(2));
            (h, off.sum::<f64>().sqrt())
        };
        let order = slope(&[0.1, 0.07, 0.05, 0.035, 0.025].map(within));
        let expected = tableau.dense_order as f64 + 1.0;
        assert!((order - expected).abs() < 0.2, "{} within a step: {order}", tableau.name);

        let over = |steps: usize| {
            // For powers of two these lie at a third and two thirds of steps, in turn.
            let at = [0.5, 1.0];
            let solution =
                fixed::solve(&driven, driven_at(0.0), &grid((0.0, 1.5), steps), tableau, SaveAt::At(&at)).unwrap();
            let off = at.iter().zip(&solution.states).map(|(t, x)| distance(x, &driven_at(*t)).powi(2));
            (1.0 / steps as f64, off.sum::<f64>().sqrt())
        };
        let order = slope(
            &(if tableau.order == 5 {
                [16, 32, 64, 128]
            } else {
                counts(tableau.order).map(|n| n.next_power_of_two())
            })
            .map(over),
        );
        assert!((order - tableau.order as f64).abs() < 0.3, "{} over a solve: {order}", tableau.name);
    }
}

#[test]
fn evaluations_are_counted_where_they_are_made() {
    for tableau in ALL {
        let calls = std::cell::Cell::new(0);
        let counting = |x: &State, t: f64| {
            calls.set(calls.get() + 1);
            linear(x, t)
        };
        let solve = |output| {
            calls.set(0);
            fixed::solve(&counting, vec![1.0, 0.0], &grid((0.0, 1.0), 10), tableau, output).unwrap()
        };
        let plain = solve(SaveAt::End);
        let needed = match tableau.name {
            "euler" => 10,
            "midpoint" | "heun" | "heun-euler" => 20,
            "bogacki-shampine" => 30,
            "rk4" | "rk4-38" => 40,
            "dop853" => 120,
            _ => 60,
        };
        assert_eq!((plain.stats.evaluations, calls.get()), (needed, needed), "{}", tableau.name);
        assert!((plain.stats.smallest_step - 0.1).abs() < 1e-12 && plain.stats.accepted == 10);
        // An interpolant needs the last stage, which FSAL hands on: one more in all. Stages of its
        // own are evaluated only where it is used.
        let dense = solve(SaveAt::At(&[0.05, 0.06]));
        let more = usize::from(tableau.fsal()) + tableau.interpolant_stages();
        assert_eq!(dense.stats.evaluations, needed + more, "{}", tableau.name);
        assert_eq!(dense.stats.evaluations, calls.get());
        assert!(distance(&plain.x, &dense.x) < 1e-15);
    }
}

/// Every state gives the numbers that a Vec of f64 gives.
#[test]
fn states_of_all_kinds_agree() {
    let x = fixed::solve(&linear, vec![1.0, 0.0], &grid((0.0, 1.0), 20), &RK4, SaveAt::Steps).unwrap();
    assert_eq!((x.times.len(), x.states.len()), (21, 21));
    let array = |x: &ndarray::Array1<f64>, _: f64| ndarray::array![x[1], -x[0] - 0.2 * x[1]];
    let y = fixed::solve(&array, ndarray::array![1.0, 0.0], &grid((0.0, 1.0), 20), &RK4, SaveAt::Steps).unwrap();
    assert!(x.states.iter().zip(&y.states).all(|(a, b)| distance(a, &b.to_vec()) < 1e-15));
    let single = |x: &Vec<f32>, _: f64| vec![x[1], -x[0] - 0.2 * x[1]];
    let z = fixed::solve(&single, vec![1f32, 0.0], &grid((0.0, 1.0), 20), &RK4, SaveAt::End).unwrap();
    assert!(z.x.iter().zip(&x.x).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6));
    let scalar = |x: &f64, t: f64| -2.0 * t * x + t.cos() * (-t * t).exp();
    let s = fixed::solve(&scalar, 1.0, &grid((0.0, 1.0), 20), &RK4, SaveAt::End).unwrap();
    let v = fixed::solve(&driven, vec![1.0], &grid((0.0, 1.0), 20), &RK4, SaveAt::End).unwrap();
    assert_eq!(s.x, v.x[0]);
}

#[test]
fn impossible_requests_are_errors() {
    fn solve(grid: &[f64], tableau: &Tableau, output: SaveAt<'_>) -> SolveError {
        fixed::solve(&linear, vec![1.0, 0.0], grid, tableau, output).unwrap_err()
    }
    for grid in [vec![], vec![0.0], vec![0.0, 0.0], vec![0.0, 1.0, 0.5], vec![0.0, f64::NAN], vec![f64::MIN, f64::MAX]]
    {
        assert_eq!(solve(&grid, &RK4, SaveAt::End), SolveError::Grid);
    }
    for times in [[0.5, 0.2], [0.5, 1.5], [-0.1, 0.5], [0.5, 0.5], [0.5, f64::NAN]] {
        assert_eq!(solve(&[0.0, 1.0], &RK4, SaveAt::At(&times)), SolveError::Times { start: 0.0, end: 1.0 });
    }
    assert_eq!(solve(&[1.0, 0.0], &RK4, SaveAt::At(&[0.2, 0.5])), SolveError::Times { start: 1.0, end: 0.0 });
    let broken = [
        Tableau { b: &[], ..RK4 },
        Tableau { c: &[0.0], ..RK4 },
        Tableau { a: &[&[1.0], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]], ..RK4 },
        Tableau { c: &[0.1, 0.5, 0.5, 1.0], ..RK4 },
        Tableau { e: Some(&[1.0]), ..RK4 },
        Tableau { dense: &[], ..RK4 },
        Tableau { order: 0, ..RK4 },
        Tableau { b: &[f64::NAN, 0.0, 0.0, 1.0], ..RK4 },
        Tableau { b: &[0.0, 0.0, 0.0, 2.0], ..RK4 },
        Tableau { e: Some(&[0.0, 0.0, 0.0, 1.0]), ..RK4 },
    ];
    for tableau in &broken {
        assert!(matches!(solve(&[0.0, 1.0], tableau, SaveAt::End), SolveError::Tableau { .. }), "{tableau:?}");
        assert!(!tableau.fsal(), "asking is safe");
    }
    for steps in [0, Grid::MAX_STEPS + 1, usize::MAX] {
        assert!(matches!(Grid::Uniform.times(steps), Err(SolveError::Steps { .. })), "{steps}");
    }
    for s in [f64::NAN, -1.0, 2.0] {
        assert!(matches!(Grid::Warp { s }.times(3), Err(SolveError::Choice(_))), "{s}");
    }
    let turned = Grid::Edm { rho: 7.0, sigma_min: 2.0, sigma_max: 1.0 };
    assert_eq!(turned.times(3).unwrap_err(), SolveError::Grid);
}

/// A NaN is found with the time before it; states that were good stay.
#[test]
fn a_velocity_that_is_not_finite_is_named_with_its_time() {
    let broken = |x: &State, t: f64| vec![if t > 0.52 { f64::NAN } else { x[0] }];
    for (tableau, t) in [(&DOPRI5, 0.4), (&RK4, 0.4), (&fm_solvers::tableau::EULER, 0.6)] {
        let solution = fixed::solve_partial(&broken, vec![1.0], &grid((0.0, 1.0), 5), tableau, SaveAt::Steps).unwrap();
        let fm_solvers::StopReason::NonFinite { t: at } = solution.stats.reason else { panic!("{:?}", solution.stats) };
        assert!((at - t).abs() < 1e-12, "{}: {at}", tableau.name);
        assert!(solution.x[0].is_finite() && solution.states.iter().all(|x| x[0].is_finite()));
        assert!((solution.times.last().unwrap() - t).abs() < 1e-12);
    }
    // Values that overflow count too.
    let explode = |x: &State, _: f64| vec![x[0] * x[0]];
    let solution = fixed::solve_partial(&explode, vec![1.0], &grid((0.0, 40.0), 40), &RK4, SaveAt::End).unwrap();
    assert!(matches!(solution.stats.reason, fm_solvers::StopReason::NonFinite { .. }) && solution.x[0].is_finite());
}

/// Another time, the same states: the end does not move, and rows at their own times are shifted
/// each by its own.
#[test]
fn a_shifted_field_passes_through_the_same_states() {
    use fm_core::field::{RowField, VelocityField};
    use fm_solvers::{AdaptiveOptions, adaptive, grid::Shifted};
    for map in ["shift:s=3", "shift:s=0.5", "warp:s=0.3", "warp:s=1.4", "uniform"] {
        let shifted = Shifted::new(driven, map.parse().unwrap()).unwrap();
        let options = AdaptiveOptions::with_tolerance(1e-9);
        let x = adaptive::solve(&shifted, driven_at(0.0), (0.0, 1.0), &DOPRI5, &options, SaveAt::End).unwrap().x;
        assert!(distance(&x, &driven_at(1.0)) < 1e-7, "{map}");
        let rows = |x: &ndarray::Array2<f64>, t: &[f64], _: &[usize]| {
            ndarray::Array2::from_shape_fn(x.dim(), |(i, j)| driven(&vec![x[[i, j]]], t[i])[0])
        };
        let rows = Shifted::new(rows, map.parse().unwrap()).unwrap();
        let v = rows.velocities(&ndarray::array![[0.5], [2.0]], &[0.2, 0.7], &[0, 1]);
        assert!((v[[0, 0]] - shifted.velocity(&vec![0.5], 0.2)[0]).abs() < 1e-14, "{map}");
        assert!((v[[1, 0]] - shifted.velocity(&vec![2.0], 0.7)[0]).abs() < 1e-14, "{map}");
    }
    assert!(matches!(Shifted::new(driven, "edm".parse().unwrap()), Err(SolveError::NotAMap { .. })));
    assert!(matches!(Shifted::new(driven, Grid::Shift { s: f64::NAN }), Err(SolveError::Choice(_))));
}
