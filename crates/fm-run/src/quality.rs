//! The quality of samples during training: their energy distance to rows of the data.
//!
//! D^2(X, Y) = 2 E|X - Y| - E|X - X'| - E|Y - Y'| of [`fm_metrics::energy`], in the network's
//! units. It is 0 in expectation if samples and data have the same distribution; lower is better.
//! The samples start from the same noise each time, so two values of a run differ by the weights
//! alone.
//!
//! ```
//! use fm_run::quality::spread;
//! let data = ndarray::Array2::from_shape_fn((6, 1), |(i, _)| i as f32);
//! assert_eq!(spread(&data, 3)?.column(0).to_vec(), [0.0, 2.0, 4.0]);
//! # Ok::<(), anyhow::Error>(())
//! ```

use anyhow::anyhow;
use fm_cli::memory::ensure_fits;
use fm_core::data::{Dataset, Pick};
use fm_metrics::energy::energy_distance;
use fm_solvers::SolveError;
use fm_train::callbacks::{Callback, is_due};
use fm_train::record::LogRecord;
use fm_train::train::TrainState;
use fm_train::{TrainError, error::Outside};
use ndarray::Array2;
use std::ops::ControlFlow;

/// Rows of the data that samples are compared with, at most. The time of a measurement grows with
/// the square of their number.
pub const COMPARED: usize = 2000;

/// Draws samples of the network, in its units.
pub type Sample<'a> = Box<dyn Fn() -> anyhow::Result<Array2<f32>> + 'a>;

/// Adds the quality of samples of the first EMA of the weights to the log.
pub struct Quality<'a> {
    /// Rows of the data, in the network's units.
    pub data: Array2<f32>,
    /// Draws the samples, with the weights that are bound at the time.
    pub sample: Sample<'a>,
    /// Steps between measurements; only lines of the log at multiples of it have the quality, and
    /// the last line.
    pub every: u64,
    /// The last step of the run.
    pub last: u64,
}

impl std::fmt::Debug for Quality<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quality").field("rows", &self.data.nrows()).field("every", &self.every).finish_non_exhaustive()
    }
}

impl Callback for Quality<'_> {
    fn measure(&mut self, state: &mut TrainState, record: &mut LogRecord) -> Result<(), TrainError> {
        if !is_due(record.step, self.every, self.last) {
            return Ok(());
        }
        state.params.bind(Some(state.ema.weights()));
        let samples = (self.sample)();
        state.params.bind(None);
        let quality = match samples {
            // Samples that diverge have no quality; the run goes on.
            Err(error) if matches!(error.downcast_ref(), Some(SolveError::Stopped { .. })) => Ok(f64::NAN),
            Err(error) => Err(error),
            Ok(samples) => energy_distance(samples.view(), self.data.view()).map_err(|problem| anyhow!(problem)),
        };
        record.quality = Some(quality.map_err(|error| TrainError::Callback(Outside::from(error)))?);
        Ok(())
    }

    fn after_step(&mut self, _: &mut TrainState, _: Option<&LogRecord>) -> Result<ControlFlow<()>, TrainError> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Fails if a measurement's samples do not fit into memory.
///
/// # Errors
/// The memory that they need and that there is.
pub fn ensure_samples_fit(samples: usize, dim: usize) -> anyhow::Result<()> {
    // Noise and samples, and the class of each.
    let bytes = 2 * size_of::<f32>() + size_of::<i64>();
    ensure_fits("the samples that measure quality", &[samples, dim], bytes, "--quality-samples")
}

/// At most `most` evenly spaced rows of a data set, (rows, dim).
///
/// # Errors
/// A row that cannot be read.
pub fn spread(data: &dyn Dataset, most: usize) -> anyhow::Result<Array2<f32>> {
    let (count, dim) = (data.len().min(most), data.dim());
    let mut rows = Array2::zeros((count, dim));
    for (i, mut row) in rows.outer_iter_mut().enumerate() {
        let at = (i as u128 * data.len() as u128 / count as u128) as usize;
        let pick = Pick { row: at, mirrored: false };
        let problem = |problem| anyhow!("cannot read row {}: {problem}", pick.row);
        row.as_slice_mut().map_or(Ok(()), |out| data.write(pick, out)).map_err(problem)?;
    }
    Ok(rows)
}
