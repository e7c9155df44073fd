//! Tables: read, standardised column by column, and cut into training batches.

use crate::config::Config;
use fm_app::sources;
use fm_core::source::Source;
use fm_data::{npy, points};
use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Column means and standard deviations, kept with the model so that samples come out in the table's own units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Columns {
    pub(crate) mean: Vec<f32>,
    pub(crate) deviation: Vec<f32>,
}

impl Columns {
    /// A constant column gets deviation 1: it stays constant.
    pub(crate) fn of(table: &Array2<f32>) -> Self {
        let mean = table.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(table.ncols()));
        let deviation = table.std_axis(Axis(0), 0.0).mapv(|s| if s > 0.0 { s } else { 1.0 });
        Self { mean: mean.to_vec(), deviation: deviation.to_vec() }
    }

    /// Values that are left as they are.
    pub(crate) fn unchanged(dim: usize) -> Self {
        Self { mean: vec![0.0; dim], deviation: vec![1.0; dim] }
    }

    pub(crate) fn standardise(&self, table: &mut Array2<f32>) {
        for mut row in table.rows_mut() {
            row.iter_mut().zip(&self.mean).zip(&self.deviation).for_each(|((x, m), s)| *x = (*x - m) / s);
        }
    }

    pub(crate) fn restore(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(self.mean.len().max(1)) {
            row.iter_mut().zip(&self.mean).zip(&self.deviation).for_each(|((x, m), s)| *x = *x * s + m);
        }
    }
}

/// Reads a toy distribution or a file, in its own units.
pub(crate) fn read(name: &str, rows: usize, seed: u64) -> anyhow::Result<Array2<f32>> {
    Ok(match Path::new(name).extension().and_then(|e| e.to_str()) {
        Some("csv") => points::csv(Path::new(name))?,
        Some("npy") => npy::table(Path::new(name))?,
        _ => points::toy(name, rows, seed)?,
    })
}

/// The source that a configuration names; a data set of its own is put into the units of the data.
pub(crate) fn open_source(
    config: &mut Config,
    columns: &Columns,
    deviation: impl FnOnce() -> f64,
) -> anyhow::Result<Source> {
    let (rows, seed) = (config.rows, config.seed);
    sources::open(&mut config.flow.source, columns.mean.len(), deviation, |name| {
        let mut table = read(name, rows, seed)?;
        columns.standardise(&mut table);
        Ok(table)
    })
}
