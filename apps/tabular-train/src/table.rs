//! Tables: read, standardised column by column, and cut into training batches.

use crate::args::Config;
use fm_core::coupling::Coupling;
use fm_core::rng::{self, Stream, normal_rows};
use fm_core::time::TimeLaw;
use fm_data::order::Order;
use fm_data::points;
use fm_train::batch::{Batch, BatchSource};
use ndarray::{Array1, Array2, ArrayView2, Axis};
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
    fn of(table: &Array2<f32>) -> Self {
        let mean = table.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(table.ncols()));
        let deviation = table.std_axis(Axis(0), 0.0).mapv(|s| if s > 0.0 { s } else { 1.0 });
        Self { mean: mean.to_vec(), deviation: deviation.to_vec() }
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

/// Reads the data that `--data` names, in its own units, with its column statistics.
pub(crate) fn open(config: &Config) -> anyhow::Result<(Array2<f32>, Columns)> {
    let table = match config.data.strip_suffix(".csv") {
        Some(_) => points::csv(Path::new(&config.data))?,
        None => points::toy(&config.data, config.rows, config.seed)?,
    };
    let columns = Columns::of(&table);
    Ok((table, columns))
}

/// Training batches of standardised rows.
pub(crate) struct TableBatches {
    table: Array2<f32>,
    order: Order,
    coupling: Box<dyn Coupling>,
    seed: u64,
    rows: usize,
}

impl TableBatches {
    pub(crate) fn new(mut table: Array2<f32>, columns: &Columns, config: &Config) -> Self {
        columns.standardise(&mut table);
        let order = Order::new(config.seed, table.nrows());
        Self { table, order, coupling: config.coupling.build(), seed: config.seed, rows: config.batch_size }
    }
}

impl BatchSource for TableBatches {
    fn batch(&self, step: u64) -> Result<Batch, String> {
        let (n, dim) = (self.rows, self.table.ncols());
        let x1 = self.table.select(Axis(0), &self.order.batch(step, n));
        let x0 = normal_rows(self.seed, step, Stream::Noise, 0, n, dim);
        let view = ArrayView2::from_shape((n, dim), &x0).map_err(|e| e.to_string())?;
        let mut draws = rng::stream(self.seed, step, Stream::Coupling, 0);
        let pairing = self.coupling.couple(view, x1.view(), &mut draws).map_err(|e| e.to_string())?;
        let time = |i| TimeLaw::Uniform.sample(&mut rng::stream(self.seed, step, Stream::Time, i as u64));
        let (x0, times) = (pairing.gather(&x0, dim), (0..n).map(time).collect());
        Ok(Batch { x0, x1: x1.iter().copied().collect(), classes: Vec::new(), times })
    }
}
