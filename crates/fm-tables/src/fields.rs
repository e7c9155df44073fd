//! Velocities of a model of two columns, as arrows in the units of the table.
//!
//! At data x1 and noise x0 a path has the point alpha x1 + sigma x0 and the velocity alpha' x1 +
//! sigma' x0. A velocity v at a row z of the network's units becomes, by the map r to those of the
//! table, (r(z + h v) - r(z - h v)) / 2h.

use crate::draw::{Classes, Drawer, points};
use fm_core::field::{Converted, RowField};
use fm_core::path::ProbPath;
use fm_core::tensor::upload;
use fm_data::Columns;
use fm_pictures::Point;
use fm_run::host::to_host;
use fm_solvers::sampler::Sampler;
use ndarray::Array2;
use tch::Tensor;

/// Number of arrows per side, and of pairs.
const ARROWS: usize = 22;
const PAIRS: usize = 300;

/// The start and the end of an arrow.
pub type Arrow = (Point, Point);

/// What the network learns from: `data` rows, in its units, paired at random with source rows, at
/// time t, with the velocities of the pairs; the longest arrow spans a quarter of the reach.
///
/// # Errors
/// A source that cannot be drawn from.
pub fn of_pairs(drawer: &Drawer<'_>, data: &[f32], seed: u64, t: f64, reach: f32) -> anyhow::Result<Vec<Arrow>> {
    let (columns, objective) = (drawer.columns, drawer.objective);
    let count = PAIRS.min(data.len() / 2);
    let x0 = to_host(&drawer.start(count, seed)?)?;
    let (low, high) = objective.span()?;
    let at = objective.path.at(t.clamp(low, high))?;
    let mixed = |of_data: f64, of_source: f64| -> Vec<f32> {
        x0.iter().zip(data).map(|(x0, x1)| (of_data * f64::from(*x1) + of_source * f64::from(*x0)) as f32).collect()
    };
    let x = mixed(at.alpha, at.sigma);
    let v = in_table_units(columns, &x, &mixed(at.d_alpha, at.d_sigma));
    let longest = v.iter().map(|v| v.0.hypot(v.1)).fold(f32::MIN_POSITIVE, f32::max);
    let scale = reach / 4.0 / longest;
    let arrow = |(p, v): (Point, Point)| (p, (p.0 + scale * v.0, p.1 + scale * v.1));
    Ok(points(&columns.restore(&x)).into_iter().zip(v).map(arrow).collect())
}

/// The velocity on a grid, in the table's units; the longest arrow spans one grid cell.
///
/// # Errors
/// A class that does not exist, and guidance that does not suit the model.
pub fn arrows(
    drawer: &Drawer<'_>,
    sampler: &Sampler,
    class: Option<&str>,
    t: f64,
    reach: f32,
) -> anyhow::Result<Vec<Arrow>> {
    let columns = drawer.columns;
    let side = |k: usize| reach * (0.96 * (2 * k + 1) as f32 / ARROWS as f32 - 0.96);
    let grid: Vec<Point> = (0..ARROWS * ARROWS).map(|k| (side(k % ARROWS), side(k / ARROWS))).collect();
    let place = |(i, j): (usize, usize)| f64::from(if j == 0 { grid[i].0 } else { grid[i].1 });
    let table = columns.apply(Array2::from_shape_fn((grid.len(), 2), place).view())?;
    let x = upload(table.as_slice().unwrap_or_default(), &[grid.len() as i64, 2], drawer.device);
    let classes = columns.asked(class, grid.len())?;
    let field = drawer.field(&classes, sampler)?;
    let objective = drawer.objective;
    let (low, high) = objective.span()?;
    let predicted = |x: &Tensor, t: &[f64], rows: &[usize]| field.velocities(x, t, rows);
    let velocity = Converted::new(predicted, &objective.path, objective.prediction, (low, high))?;
    let rows: Vec<usize> = (0..grid.len()).collect();
    let v = tch::no_grad(|| velocity.velocities(&x, &vec![t.clamp(low, high); grid.len()], &rows));
    let v = in_table_units(columns, table.as_slice().unwrap_or_default(), &to_host(&v)?);
    let longest = v.iter().map(|v| v.0.hypot(v.1)).fold(f32::MIN_POSITIVE, f32::max);
    let scale = 1.9 * reach / ARROWS as f32 / longest;
    Ok(grid.iter().zip(v).map(|(p, v)| (*p, (p.0 + scale * v.0, p.1 + scale * v.1))).collect())
}

/// Velocities at rows `z`, both in the network's units, in those of the table: a central difference
/// along each.
fn in_table_units(columns: &Columns, z: &[f32], v: &[f32]) -> Vec<Point> {
    const H: f32 = 1e-3;
    let moved = |h: f32| columns.restore(&z.iter().zip(v).map(|(z, v)| z + h * v).collect::<Vec<_>>());
    let slope = |(ahead, behind): (f64, f64)| ((ahead - behind) / f64::from(2.0 * H)) as f32;
    let slopes: Vec<f32> = moved(H).into_iter().zip(moved(-H)).map(slope).collect();
    slopes.chunks_exact(2).map(|v| (v[0], v[1])).collect()
}
