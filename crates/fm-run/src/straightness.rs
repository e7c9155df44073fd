//! Straightness and energy of the paths of a flow.
//!
//! The straightness S = E int |(x1 - x0) - v|^2 dt of a path from x0 to x1 is 0 if it is a line
//! with constant speed. The path energy is E int |v|^2 dt = S + E |x1 - x0|^2. Both are integrals
//! over the time span of the objective, along trajectories by RK4.

use fm_core::field::{Converted, RowField, SharedTime};
use fm_core::objective::Objective;
use fm_core::state::RowCombination;
use fm_solvers::straightness::straightness;
use fm_solvers::tableau::RK4;
use fm_solvers::{Grid, SaveAt, fixed};
use tch::{Kind, Tensor};

/// The straightness of the path from each row of `start`: the mean of the squares per value.
///
/// # Errors
/// An objective without a velocity, and a solve that fails.
pub fn of_rows(
    field: &dyn RowField<Tensor>,
    objective: &Objective,
    start: &Tensor,
    steps: usize,
) -> anyhow::Result<Vec<f64>> {
    let span = objective.span()?;
    let predicted = |x: &Tensor, t: &[f64], rows: &[usize]| field.velocities(x, t, rows);
    let velocity = Converted::new(predicted, &objective.path, objective.prediction, span)?;
    Ok(straightness(&velocity, start.shallow_clone(), &times(span, steps)?, &RK4)?)
}

/// Straightness and energy, means over the paths from the rows of `start`, as squared norms.
///
/// # Errors
/// As [`of_rows`].
pub fn of_paths(
    field: &dyn RowField<Tensor>,
    objective: &Objective,
    start: &Tensor,
    steps: usize,
) -> anyhow::Result<[f64; 2]> {
    let span = objective.span()?;
    let predicted = |x: &Tensor, t: &[f64], rows: &[usize]| field.velocities(x, t, rows);
    let velocity = Converted::new(predicted, &objective.path, objective.prediction, span)?;
    let bends = of_rows(field, objective, start, steps)?;
    let together = SharedTime(|x: &Tensor, t: &[f64], rows: &[usize]| velocity.velocities(x, t, rows));
    let end = fixed::solve(&together, start.shallow_clone(), &times(span, steps)?, &RK4, SaveAt::End)?.x;
    let count = start.rows().max(1);
    let moved = (end - start).square().sum(Kind::Double).double_value(&[]) / count as f64;
    let straight = bends.iter().sum::<f64>() / bends.len() as f64 * (start.numel() / count) as f64;
    Ok([straight, straight + moved])
}

/// Equal times over a span.
fn times((low, high): (f64, f64), steps: usize) -> anyhow::Result<Vec<f64>> {
    Ok(Grid::Uniform.times(steps)?.iter().map(|t| low + t * (high - low)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// v = (t, 0) leads from x0 to x0 + (1/2, 0): S = int (1/2 - t)^2 dt = 1/12, E = 1/3.
    #[test]
    fn an_accelerated_path_is_not_straight() {
        let velocity = |x: &Tensor, t: &[f64], _: &[usize]| {
            Tensor::from_slice(&t.iter().flat_map(|t| [*t as f32, 0.0]).collect::<Vec<_>>()).view_as(x)
        };
        let start = Tensor::zeros([3, 2], (Kind::Float, tch::Device::Cpu));
        let objective = Objective::default();
        let rows = of_rows(&velocity, &objective, &start, 50).unwrap();
        assert!(rows.len() == 3 && rows.iter().all(|s| (s * 2.0 - 1.0 / 12.0).abs() < 1e-3), "{rows:?}");
        let [straight, energy] = of_paths(&velocity, &objective, &start, 50).unwrap();
        assert!((straight - 1.0 / 12.0).abs() < 1e-3 && (energy - 1.0 / 3.0).abs() < 1e-3, "{straight} {energy}");
    }
}
