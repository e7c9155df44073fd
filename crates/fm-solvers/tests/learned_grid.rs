//! Learned grids against closed forms and a brute-force search.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::exact::{ExactField, Mixture};
use fm_core::path::PathKind;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_solvers::learned_grid::{LeastSquares, equal_error, least_squares};
use fm_solvers::tableau::{EULER, HEUN, RK4, Tableau};
use fm_solvers::{Grid, SaveAt, SolveError, StopReason, fixed};
use ndarray::{Array2, array};

type State = Array2<f64>;

/// The exact velocity to eight Gaussians, start points, and their end points.
struct Problem {
    mixture: Mixture,
    x0: State,
}

impl Problem {
    fn new() -> Self {
        let means = Array2::from_shape_fn((8, 2), |(k, j)| {
            let angle = k as f64 * std::f64::consts::PI / 4.0;
            5.0 * if j == 0 { angle.cos() } else { angle.sin() }
        });
        let mixture = Mixture::isotropic(&[0.125; 8], means.view(), &[0.1; 8]).unwrap();
        let noise = normal_rows(Key::new(0, 0, Stream::Sample), 200, 2).into_iter().map(f64::from).collect();
        Self { mixture, x0: Array2::from_shape_vec((200, 2), noise).unwrap() }
    }

    fn solve(&self, times: &[f64], tableau: &Tableau, save: SaveAt<'_>) -> Result<(State, Vec<State>), SolveError> {
        let field = ExactField::new(&self.mixture, PathKind::Linear, (0.0, 1.0))?;
        let solution = fixed::solve(&field, self.x0.clone(), times, tableau, save)?;
        Ok((solution.x, solution.states))
    }

    fn fine(&self) -> (State, Vec<State>) {
        self.solve(&Grid::Uniform.times(200).unwrap(), &RK4, SaveAt::Steps).unwrap()
    }

    fn error(&self, times: &[f64], tableau: &Tableau, end: &State) -> f64 {
        let (x, _) = self.solve(times, tableau, SaveAt::End).unwrap();
        (x - end).mapv(|d| d * d).mean().unwrap().sqrt()
    }
}

/// Left Riemann sums of v = t^2 are best where 2 t_i (t_(i+1) - t_i) = t_i^2 - t_(i-1)^2.
#[test]
fn riemann_sums_are_best_at_the_times_of_their_recurrence() {
    for n in [2, 3, 4, 6] {
        let mut best = vec![0.0, 1.0];
        while best.len() <= n {
            let (t, before): (f64, f64) = (best[best.len() - 1], best[best.len() - 2]);
            best.push(t + (t * t - before * before) / (2.0 * t));
        }
        let whole = best[n];
        best.iter_mut().for_each(|t| *t /= whole);
        let sum = |times: &[f64]| Ok(array![[times.windows(2).map(|p| p[0] * p[0] * (p[1] - p[0])).sum::<f64>()]]);
        let options = LeastSquares { iterations: 200, difference: 1e-4, tolerance: 0.0 };
        let found = least_squares(sum, &array![[1.0 / 3.0]], &Grid::Uniform.times(n).unwrap(), &options).unwrap();
        for (got, want) in found.times.iter().zip(&best) {
            assert!((got - want).abs() < 2e-3, "{:?}\n{best:?}", found.times);
        }
    }
}

/// Of a grid of pairs of inner times, none is better than the times found.
#[test]
fn no_times_of_a_search_are_better() {
    let problem = Problem::new();
    let (end, states) = problem.fine();
    for (tableau, order) in [(&EULER, 1), (&HEUN, 2)] {
        let start = equal_error(&states, 3, order).unwrap();
        let solve = |times: &[f64]| Ok(problem.solve(times, tableau, SaveAt::End)?.0);
        let found = least_squares(solve, &end, &start, &LeastSquares::default()).unwrap();
        let mut best = f64::INFINITY;
        for i in 1..40 {
            for j in i + 1..40 {
                let times = [0.0, f64::from(i) / 40.0, f64::from(j) / 40.0, 1.0];
                best = best.min(problem.error(&times, tableau, &end));
            }
        }
        assert!(found.error <= 1.001 * best, "{}: {} {best}", tableau.name, found.error);
        assert!((found.error - problem.error(&found.times, tableau, &end)).abs() < 1e-12);
    }
}

/// Eight steps: equal errors are better than equal steps, and least squares better than both and
/// than the other grids.
#[test]
fn learned_grids_beat_fixed_ones() {
    let problem = Problem::new();
    let (end, states) = problem.fine();
    let uniform = Grid::Uniform.times(8).unwrap();
    let start = equal_error(&states, 8, 1).unwrap();
    let solve = |times: &[f64]| Ok(problem.solve(times, &EULER, SaveAt::End)?.0);
    let found = least_squares(solve, &end, &start, &LeastSquares::default()).unwrap();
    let error = |times: &[f64]| problem.error(times, &EULER, &end);
    let others = ["warp:s=0.5", "warp:s=1.5", "edm", "shift"]
        .map(|grid| error(&grid.parse::<Grid>().unwrap().times(8).unwrap()));
    let least = others.into_iter().fold(error(&uniform), f64::min);
    assert!(found.error < 0.9 * least, "{found:?} {} {others:?}", error(&uniform));
    assert!(found.error < found.start_error && (found.start_error - error(&start)).abs() < 1e-12);
    assert!(error(&start) < error(&uniform), "{found:?} {}", error(&uniform));
}

/// x = t^3 has the error density |6 t|^(1/2) for Euler's method, whose share up to t is t^(3/2).
#[test]
fn equal_errors_are_quantiles_of_a_known_density_also_for_few_fine_steps() {
    for cells in [20, 40] {
        let states: Vec<State> = (0..=cells).map(|i| array![[(i as f64 / cells as f64).powi(3)]]).collect();
        let times = equal_error(&states, 5, 1).unwrap();
        for (i, t) in times.iter().enumerate() {
            // Every time has a twentieth of the mean density more.
            let share = (t.powf(1.5) + 0.05 * t) / 1.05;
            assert!((share - i as f64 / 5.0).abs() < 0.1 / cells as f64, "{cells} cells: {times:?}");
        }
    }
}

#[test]
fn states_that_are_not_finite_are_errors_and_a_failed_jacobian_keeps_the_best_times() {
    let stopped = |t| SolveError::Stopped { row: None, reason: StopReason::NonFinite { t } };
    let states: Vec<State> = (0..=4).map(|i| array![[if i < 3 { f64::from(i * i) } else { f64::NAN }]]).collect();
    assert_eq!(equal_error(&states, 2, 1), Err(stopped(0.5)));
    let (start, options) = ([0.0, 0.5, 1.0], LeastSquares::default());
    let solve = |times: &[f64]| Ok(array![[times[1]]]);
    for difference in [0.0, f64::NAN, -0.01, f64::INFINITY] {
        let found = least_squares(solve, &array![[0.7]], &start, &LeastSquares { difference, ..options });
        assert!(matches!(found, Err(SolveError::Path(fm_core::Error::Value { .. }))), "{difference}: {found:?}");
    }
    let broken = |_: &[f64]| Ok(array![[f64::NAN]]);
    assert_eq!(least_squares(broken, &array![[0.7]], &start, &options), Err(stopped(0.0)));
    assert_eq!(least_squares(solve, &array![[f64::NAN]], &start, &options), Err(stopped(0.0)));
    let mut left = 4;
    let failing = |times: &[f64]| {
        left -= 1;
        if left < 0 { Err(SolveError::Grid) } else { solve(times) }
    };
    let found = least_squares(failing, &array![[0.7]], &start, &options).unwrap();
    // The start, two columns, a trial and a column that fails.
    assert!(found.solves == 5 && found.error < found.start_error, "{found:?}");
    assert_eq!(found.error, (found.times[1] - 0.7).abs());
}

#[test]
fn straight_paths_get_equal_steps_and_bad_input_is_refused() {
    let straight: Vec<State> = (0..=20).map(|i| array![[f64::from(i) / 20.0]]).collect();
    let times = equal_error(&straight, 4, 2).unwrap();
    assert!(times.iter().zip([0.0, 0.25, 0.5, 0.75, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{times:?}");
    assert!(matches!(equal_error(&straight[..2], 4, 1), Err(SolveError::Grid)));
    assert!(matches!(equal_error(&straight, 0, 1), Err(SolveError::Grid)));
    let solve = |_: &[f64]| Ok(array![[0.0]]);
    for wrong in [&[0.0][..], &[0.0, 0.5], &[0.1, 1.0], &[0.0, 0.6, 0.5, 1.0], &[0.0, f64::NAN, 1.0]] {
        let found = least_squares(solve, &array![[1.0]], wrong, &LeastSquares::default());
        assert!(matches!(found, Err(SolveError::Grid)), "{wrong:?}");
    }
}
