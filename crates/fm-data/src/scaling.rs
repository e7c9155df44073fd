//! The statistics by which the columns of a table are scaled.

use crate::quantiles::{quantile, quantiles};
use crate::series::Series;
use crate::{DataError, Preprocess, Table};
use ndarray::s;

/// The statistics of all columns.
#[derive(Debug, Default)]
pub(crate) struct Scaling {
    pub(crate) mean: Vec<f64>,
    pub(crate) deviation: Vec<f64>,
    pub(crate) quantiles: Vec<Vec<f64>>,
    pub(crate) limits: Vec<[f64; 2]>,
}

/// The most quantiles of a column, and of all columns together; they are stored with the model.
const OF_A_COLUMN: usize = 1000;
const OF_ALL: usize = 1 << 18;

/// The statistics of a table whose columns are first clipped to their quantiles at `clip` and
/// 1 - `clip`. The columns of a sequence have those of their channel, over all places.
pub(crate) fn scaling(table: &Table, preprocess: Preprocess, clip: f64) -> Result<Scaling, DataError> {
    if !(0.0..0.5).contains(&clip) {
        return Err(refused(
            format!("a share of {clip} at each end is to be clipped"),
            "give a share from 0 to below 0.5",
        ));
    }
    let dim = table.values.ncols();
    let mut all = Scaling::default();
    for k in 0..dim {
        if let Some(Series { channels, .. }) = table.series.filter(|series| k >= series.channels) {
            all.repeat(k % channels);
            continue;
        }
        let name = || format!("column {}", table.names.get(k).map_or("", |name| name));
        let mut values = column(table, k);
        if let Some(least) = values.iter().find(|x| preprocess.is_log1p() && **x <= -1.0) {
            let problem = format!("{} has the value {least}, which has no ln(1 + x)", name());
            return Err(refused(problem, "standardize it instead"));
        }
        if clip > 0.0 {
            all.limits.push(limits(&values, clip));
            let [low, high] = all.limits[k];
            values.iter_mut().for_each(|x| *x = x.clamp(low, high));
        }
        all.push(&values, preprocess, OF_A_COLUMN.min(OF_ALL / dim).max(2));
        if !(all.mean[k].is_finite() && all.deviation[k].is_finite()) || values.iter().any(|x| x.is_nan()) {
            let problem = format!("{} has values that are not finite or too large to be squared", name());
            return Err(refused(problem, "scale the column down, or leave it out"));
        }
    }
    Ok(all)
}

impl Scaling {
    fn repeat(&mut self, k: usize) {
        self.mean.push(self.mean[k]);
        self.deviation.push(self.deviation[k]);
        self.quantiles.extend(self.quantiles.get(k).cloned());
        self.limits.extend(self.limits.get(k).copied());
    }

    fn push(&mut self, values: &[f64], preprocess: Preprocess, most: usize) {
        let (mean, deviation) = match preprocess {
            Preprocess::None => (0.0, 1.0),
            Preprocess::Standardize => mean_deviation(values.iter().copied()),
            Preprocess::Log1pStandardize | Preprocess::Counts => mean_deviation(values.iter().map(|x| x.ln_1p())),
            Preprocess::MinMax => middle_and_half(values),
            Preprocess::Quantile => {
                self.quantiles.push(quantiles(&sorted(values), most));
                (0.0, 1.0)
            }
        };
        self.mean.push(mean);
        self.deviation.push(deviation);
    }
}

/// The values of a column, or of the channel of a sequence that begins there.
fn column(table: &Table, k: usize) -> Vec<f64> {
    match table.series {
        Some(Series { channels, .. }) => table.values.slice(s![.., k..; channels]).iter().copied().collect(),
        None => table.values.column(k).to_vec(),
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

fn limits(values: &[f64], clip: f64) -> [f64; 2] {
    let values = sorted(values);
    if values.is_empty() { [0.0; 2] } else { [clip, 1.0 - clip].map(|share| quantile(&values, share)) }
}

/// The middle of the range, and half of the range.
fn middle_and_half(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() { (0.0, 0.0) } else { (0.5 * least + 0.5 * greatest, 0.5 * greatest - 0.5 * least) }
}

/// Mean and standard deviation (divided by n).
fn mean_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let Some(first) = values.clone().next() else { return (0.0, 0.0) };
    if values.clone().all(|x| x == first) {
        return (first, 0.0);
    }
    let n = values.clone().count() as f64;
    // Differences from the first value keep the digits of values with a large offset.
    let mean = first + values.clone().map(|x| x - first).sum::<f64>() / n;
    let variance = values.map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

fn refused(problem: String, remedy: &str) -> DataError {
    DataError::Columns { problem, remedy: remedy.into() }
}
