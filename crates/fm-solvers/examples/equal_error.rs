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
const NAMES: [&str; 10] =
    ["euler", "midpoint", "heun", "rk4", "ab2", "ab3", "pec", "dpmpp-2m", "unipc", "unipc:order=3"];

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let means = Array2::from_shape_fn((8, 2), |(k, j)| {
        let angle = k as f64 * PI / 4.0;
        5.0 * if j == 0 { angle.cos() } else { angle.sin() }
    });
    let mixture = Mixture::isotropic(&[0.125; 8], means.view(), &[0.1; 8])?;
    let exact = ExactField::new(&mixture, PathKind::Linear, (0.0, 1.0))?;
    let noise = normal_rows(Key::new(0, 0, Stream::Sample), 1000, 2).into_iter().map(f64::from).collect();
    let x0 = Array2::from_shape_vec((1000, 2), noise)?;
    let field = |x: &State, t: f64| exact.velocity(x, t);
    let end = solve(&field, x0.clone(), 0.0..1.0, &Adaptive::dop853().tolerance(1e-10))?.x;
    let rows = |x: &State, t: &[f64], _: &[usize]| exact.velocity(x, t[0]);
    let error = |solver: SolverName, steps: usize| -> Result<f64, Box<dyn Error>> {
        let none = |_| State::zeros((0, 0));
        let samples =
            Sampler::fixed(solver, steps).solve(rows, &PathKind::Linear, (0.0, 1.0), x0.clone(), none, false)?;
        Ok((&samples.x - &end).mapv(|d| d * d).mean().unwrap_or(f64::NAN).sqrt())
    };
    println!("| solver | RMS at NFE 8 | 20 | 40 | NFE for .03 | .01 | .003 |\n|---|---|---|---|---|---|---|");
    for name in NAMES {
        let solver: SolverName = name.parse()?;
        let each = solver.evaluations_per_step();
        let mut cells = Vec::new();
        for nfe in [8, 20, 40] {
            cells.push(format!("{:.4}", error(solver, nfe / each)?));
        }
        for target in [0.03, 0.01, 0.003] {
            // The first number of steps at which the error is small enough.
            let mut steps = 1;
            while steps * each <= 1000 && error(solver, steps)? > target {
                steps += (steps * each / 100).max(1);
            }
            cells.push((steps * each).to_string());
        }
        println!("| `{name}` | {} |", cells.join(" | "));
    }
    Ok(())
}
