//! Errors of fixed-step solvers at equal evaluations, and evaluations at equal error, on the exact
//! velocity to eight Gaussians.
//! `cargo run --release -p fm-solvers --example equal_error`
//!
//! The error is the root mean square over the coordinates of 1000 end points.

#![allow(clippy::print_stdout, reason = "a program prints its results")]

use fm_core::exact::{ExactField, Mixture};
use fm_core::field::VelocityField;
use fm_core::path::PathKind;
use fm_core::rng::{Key, Stream, normal_rows};
use fm_solvers::sampler::{Sampler, SolverName};
use fm_solvers::{Adaptive, solve};
use ndarray::Array2;
use std::error::Error;
use std::f64::consts::PI;

type State = Array2<f64>;

/// Solvers of the table.
pub(crate) const NAMES: [&str; 10] =
    ["euler", "midpoint", "heun", "rk4", "ab2", "ab3", "pec", "dpmpp-2m", "unipc", "unipc:order=3"];

/// Numbers of evaluations at which the table has errors. `rk4` takes fewer where a number is not a
/// multiple of four.
pub(crate) const EVALUATIONS: [usize; 4] = [10, 20, 40, 50];

/// Errors for which the table has the numbers of evaluations.
pub(crate) const TARGETS: [f64; 3] = [0.03, 0.01, 0.003];

/// Start points, and their end points by an adaptive solver.
pub(crate) struct Problem {
    mixture: Mixture,
    x0: State,
    end: State,
}

impl Problem {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let means = Array2::from_shape_fn((8, 2), |(k, j)| {
            let angle = k as f64 * PI / 4.0;
            5.0 * if j == 0 { angle.cos() } else { angle.sin() }
        });
        let mixture = Mixture::isotropic(&[0.125; 8], means.view(), &[0.1; 8])?;
        let noise = normal_rows(Key::new(0, 0, Stream::Sample), 1000, 2).into_iter().map(f64::from).collect();
        let x0 = Array2::from_shape_vec((1000, 2), noise)?;
        let field = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0))?;
        let end = solve(&field, x0.clone(), 0.0..1.0, &Adaptive::dop853().tolerance(1e-10))?.x;
        Ok(Self { mixture, x0, end })
    }

    /// The error of a solver with equal steps, and its number of evaluations.
    pub(crate) fn error(&self, solver: SolverName, steps: usize) -> Result<(f64, usize), Box<dyn Error>> {
        let exact = ExactField::new(&self.mixture, PathKind::Linear, (0.0, 1.0))?;
        let rows = |x: &State, t: &[f64], _: &[usize]| exact.velocity(x, t[0]);
        let (sampler, none) = (Sampler::fixed(solver, steps), |_| State::zeros((0, 0)));
        let samples = sampler.solve(rows, &PathKind::Linear, (0.0, 1.0), self.x0.clone(), none, false)?;
        Ok(((&samples.x - &self.end).mapv(|d| d * d).mean().unwrap_or(f64::NAN).sqrt(), samples.calls))
    }

    /// A line of the table.
    pub(crate) fn line(&self, solver: SolverName) -> Result<Line, Box<dyn Error>> {
        let each = solver.evaluations_per_step();
        let mut line = Line { errors: [0.0; EVALUATIONS.len()], needed: [0; TARGETS.len()] };
        for (error, nfe) in line.errors.iter_mut().zip(EVALUATIONS) {
            *error = self.error(solver, nfe / each)?.0;
        }
        for (needed, target) in line.needed.iter_mut().zip(TARGETS) {
            // The first number of steps at which the error is small enough.
            let mut steps = 1;
            while steps * each <= 1000 && self.error(solver, steps)?.0 > target {
                steps += (steps * each / 100).max(1);
            }
            *needed = steps * each;
        }
        Ok(line)
    }
}

/// The numbers of one solver.
pub(crate) struct Line {
    /// Errors at [`EVALUATIONS`].
    pub(crate) errors: [f64; EVALUATIONS.len()],
    /// Evaluations for [`TARGETS`].
    pub(crate) needed: [usize; TARGETS.len()],
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let problem = Problem::new()?;
    println!("| solver | error at NFE 10 | 20 | 40 | 50 | NFE for .03 | .01 | .003 |");
    println!("|---|---|---|---|---|---|---|---|");
    for name in NAMES {
        let line = problem.line(name.parse()?)?;
        let cells: Vec<String> =
            line.errors.iter().map(|e| format!("{e:.5}")).chain(line.needed.iter().map(usize::to_string)).collect();
        println!("| `{name}` | {} |", cells.join(" | "));
    }
    Ok(())
}
