//! Means and covariances of samples during a run, for tables with more than two columns.
//!
//! The errors are |m - mu| / |mu| and |C - Sigma| / |Sigma| in Euclidean norms, relative to the
//! known moments or those of the training rows. Even a perfect sampler has non-zero errors, because
//! the number of samples is finite.

use fm_data::table::GAUSSIAN4;
use fm_terminal::println;
use fm_train::run_dir::RunDir;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde_json::json;
use std::path::Path;

/// Moments of a distribution.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    mean: Array1<f64>,
    covariance: Array2<f64>,
}

impl Moments {
    /// The moments that samples of this data should have.
    pub(crate) fn wanted(data: &str, table: &Array2<f64>) -> Self {
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
    pub(crate) fn of(table: ArrayView2<'_, f64>) -> Self {
        let mean = table.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(table.ncols()));
        let centred = table.to_owned() - &mean;
        let covariance = centred.t().dot(&centred) / (table.nrows().max(2) - 1) as f64;
        Self { mean, covariance }
    }

    /// The errors of another mean and covariance.
    pub(crate) fn errors(&self, other: &Self) -> [f64; 2] {
        let norm = |x: f64| x.sqrt();
        let mean = (&other.mean - &self.mean).mapv(|v| v * v).sum() / self.mean.mapv(|v| v * v).sum();
        let covariance =
            (&other.covariance - &self.covariance).mapv(|v| v * v).sum() / self.covariance.mapv(|v| v * v).sum();
        [norm(mean), norm(covariance)]
    }

    /// Prints the errors of samples, and appends them to the run's `moments.jsonl`.
    pub(crate) fn look(&self, run: &Path, step: u64, samples: &[f64]) -> anyhow::Result<()> {
        let dim = self.mean.len();
        let [mean, covariance] = self.errors(&Self::of(ArrayView2::from_shape((samples.len() / dim, dim), samples)?));
        println!("samples   at step {step}: relative error of the mean {mean:.4}, of the covariance {covariance:.4}");
        let line = json!({ "step": step, "mean_error": mean, "covariance_error": covariance });
        Ok(RunDir::of_group(run).append("moments.jsonl", &line)?)
    }
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
        let rows = fm_data::table::gaussian4().unwrap().values;
        let [mean, covariance] = known.errors(&Moments::of(rows.view()));
        // For 1000 exact samples, the averages are .041 and .051.
        assert!(mean < 0.12 && covariance < 0.15 && mean > 1e-4, "{mean} {covariance}");
    }
}
