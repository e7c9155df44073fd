//! Means and covariances of samples during a run, for tables with more than two columns.
//!
//! The errors are |m - mu| / |mu| and |C - Sigma| / |Sigma| in Euclidean norms, relative to the
//! known moments or those of the training rows. Even a perfect sampler has non-zero errors, because
//! the number of samples is finite.
//!
//! ```
//! use fm_tables::moments::Moments;
//! use ndarray::array;
//! let wanted = Moments::of(array![[1.0, 0.0], [3.0, 0.0]].view());
//! let found = Moments::of(array![[2.0, 0.0], [4.0, 0.0]].view());
//! assert_eq!(wanted.errors(&found), [0.5, 0.0]);
//! ```

use crate::data::toy_of;
use fm_data::points::Toy;
use fm_data::table::GAUSSIAN4;
use fm_terminal::println;
use fm_train::run_dir::RunDir;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde_json::{Value, json};
use std::path::Path;

/// Moments of a distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    mean: Array1<f64>,
    covariance: Array2<f64>,
}

impl Moments {
    /// The moments that samples of this data should have.
    pub fn wanted(data: &str, table: &Array2<f64>) -> Self {
        if let Some(recipe) = toy_of(data).and_then(Toy::recipe) {
            return Self { covariance: recipe.covariance(), mean: recipe.mean };
        }
        if data == "gaussian4" {
            let (mean, covariance) = GAUSSIAN4;
            return Self {
                mean: mean.to_vec().into(),
                covariance: Array2::from_shape_fn((4, 4), |(i, j)| covariance[i][j]),
            };
        }
        Self::of(table.view())
    }

    /// The moments of rows; the covariance is divided by n - 1.
    pub fn of(table: ArrayView2<'_, f64>) -> Self {
        let mean = table.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(table.ncols()));
        let centred = table.to_owned() - &mean;
        let covariance = centred.t().dot(&centred) / (table.nrows().max(2) - 1) as f64;
        Self { mean, covariance }
    }

    /// The errors of another mean and covariance.
    pub fn errors(&self, other: &Self) -> [f64; 2] {
        let norm = |x: f64| x.sqrt();
        let mean = (&other.mean - &self.mean).mapv(|v| v * v).sum() / self.mean.mapv(|v| v * v).sum();
        let covariance =
            (&other.covariance - &self.covariance).mapv(|v| v * v).sum() / self.covariance.mapv(|v| v * v).sum();
        [norm(mean), norm(covariance)]
    }

    /// Appends the errors of samples to the run's `moments.jsonl`, and prints them with the loss of
    /// the step if the log has it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn look(&self, run: &Path, look: &Look, samples: &[f64]) -> anyhow::Result<()> {
        let (dim, step) = (self.mean.len(), look.step);
        let [mean, covariance] = self.errors(&Self::of(ArrayView2::from_shape((samples.len() / dim, dim), samples)?));
        if look.printed {
            let epoch = look.epoch.map_or(String::new(), |epoch| format!(", epoch {epoch}"));
            let loss = loss_of(run, step).map_or(String::new(), |loss| format!("loss {loss:.4}, "));
            println!(
                "samples   at step {step}{epoch}: {loss}relative error of the mean (mu_loss) {mean:.4}, of the covariance (std_loss) \
                 {covariance:.4}"
            );
        }
        let line = json!({ "step": step, "mean_error": mean, "covariance_error": covariance });
        Ok(RunDir::of_group(run).append("moments.jsonl", &line)?)
    }
}

/// When samples are measured.
#[derive(Debug)]
pub struct Look {
    /// The step.
    pub step: u64,
    /// Passes over the rows so far; `None` for data without a number of rows.
    pub epoch: Option<usize>,
    /// Whether the errors are printed too.
    pub printed: bool,
}

/// The loss in the last line of the log, if that line is of this step.
fn loss_of(run: &Path, step: u64) -> Option<f64> {
    let (text, _) = fm_train::files::read_plain(&run.join("metrics.jsonl"), &fm_core::budget::limits::LOG).ok()?;
    let line: Value = serde_json::from_slice(text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next()?).ok()?;
    line["loss"].as_f64().filter(|_| line["step"] == step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn errors_are_relative() {
        let wanted = Moments::of(array![[1.0, 0.0], [3.0, 0.0]].view());
        assert_eq!((wanted.mean[0], wanted.covariance[[0, 0]]), (2.0, 2.0));
        let found = Moments::of(array![[2.0, 1.0], [4.0, 1.0]].view());
        assert_eq!(wanted.errors(&found), [2f64.sqrt() / 2.0, 0.0]);
        let known = Moments::wanted("gaussian4", &array![[0.0]]);
        let [mean, covariance] = known.errors(&Moments::wanted("gaussian:dim=4,seed=41", &array![[0.0]]));
        assert!(mean < 1e-6 && covariance < 1e-6);
        let rows = fm_data::table::gaussian4().unwrap().values;
        let [mean, covariance] = known.errors(&Moments::of(rows.view()));
        // For 1000 exact samples, the averages are .041 and .051.
        assert!(mean < 0.12 && covariance < 0.15 && mean > 1e-4, "{mean} {covariance}");
    }
}
