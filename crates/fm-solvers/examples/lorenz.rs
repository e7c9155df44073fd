//! The Lorenz attractor as a function of time, with two events.
//! `cargo run -p fm-solvers --example lorenz`

#![allow(clippy::print_stdout, reason = "a program prints its results")]

use fm_solvers::{Adaptive, DenseSolution, Event, SolveError, dense};

/// Until t = 20 or until x passes -15 downwards, with the passages of the plane z = 27 on the way.
pub(crate) fn attractor() -> Result<DenseSolution<Vec<f64>>, SolveError> {
    let lorenz =
        |x: &Vec<f64>, _t: f64| vec![10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3.0 * x[2]];
    let section = Event::new(|x: &Vec<f64>, _| x[2] - 27.0).rising();
    let far_left = Event::new(|x: &Vec<f64>, _| x[0] + 15.0).falling().terminal();
    let solver = Adaptive::dop853().tolerance(1e-10).max_evaluations(100_000);
    dense::solve_with_events(&lorenz, vec![1.0; 3], 0.0..20.0, &solver, &[section, far_left])
}

pub(crate) fn main() -> Result<(), SolveError> {
    let solution = attractor()?;
    let end = solution.span().end;
    println!("{} evaluations until t = {end:.6}, where x = {:.6?}", solution.stats.evaluations, solution.x);
    for (t, x) in solution.events[0].times.iter().zip(&solution.events[0].states) {
        println!("z = 27 at t = {t:.6}, x = {:9.6}, y = {:9.6}", x[0], x[1]);
    }
    for i in 0..=10 {
        let t = end * f64::from(i) / 10.0;
        println!("x({t:.3}) = {:.6?}", solution.at(t)?);
    }
    Ok(())
}
