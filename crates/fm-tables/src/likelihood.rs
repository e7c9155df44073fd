//! Log-densities in the units of a table.
//!
//! A network has the density q(z) of rows z in its own units. Columns x = m + d z have log p(x) =
//! log q(z) - sum ln d; if the logarithms of 1 + x are such columns, - sum ln(1 + x) is added.

use crate::draw::Drawer;
use anyhow::Context;
use fm_core::tensor::upload;
use fm_data::{Columns, Table};
use fm_run::likelihood::{Densities, LikelihoodArgs};
use fm_solvers::Sampler;
use ndarray::Array2;

/// The model's number of the class of each row.
///
/// # Errors
/// A class that the model does not have.
pub fn classes_of(table: &Table<f32>, columns: &Columns) -> anyhow::Result<Vec<i64>> {
    let number = |name: &String| {
        let place = columns.classes.iter().position(|(known, _)| known == name);
        place.with_context(|| format!("the model has no class '{name}'; leave out its rows"))
    };
    let numbers = table.classes.iter().map(number).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(table.labels.iter().map(|label| numbers[usize::from(*label)] as i64).collect())
}

/// Log-densities in the table's units of rows in those of the network, of these classes.
///
/// # Errors
/// As [`LikelihoodArgs::evaluate`].
pub fn densities(
    drawer: &Drawer<'_>,
    how: &LikelihoodArgs,
    table: Array2<f32>,
    classes: &[i64],
) -> anyhow::Result<(Vec<f64>, Densities)> {
    let (rows, dim) = table.dim();
    let x = upload(table.as_slice().unwrap_or_default(), &[rows as i64, dim as i64], drawer.device);
    let field = drawer.field(classes, &Sampler::dopri5(1e-5))?;
    let objective = drawer.objective;
    let found = match drawer.trained_source {
        Some(source) => how.evaluate_from(&field, objective, |x| source.log_density(x), &x, 0)?,
        None => how.evaluate(&field, objective, drawer.source, &x, 0)?,
    };
    // Change of units: the density in the table's units is smaller by the product of the columns'
    // deviations, and of 1 + x if they are those of ln(1 + x).
    let Columns { mean, deviation, log1p, .. } = drawer.columns;
    let scale: f64 = deviation.iter().filter(|d| **d > 0.0).map(|d| d.ln()).sum();
    let logarithm =
        |z: &[f32]| -> f64 { z.iter().zip(mean.iter().zip(deviation)).map(|(z, (m, d))| f64::from(*z) * d + m).sum() };
    let stretched = |z: &[f32]| if *log1p { logarithm(z) } else { 0.0 };
    let each = found.values.iter().zip(table.as_slice().unwrap_or_default().chunks_exact(dim.max(1)));
    Ok((each.map(|(log_p, z)| log_p - scale - stretched(z)).collect(), found))
}
