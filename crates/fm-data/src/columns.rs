//! Conversion between the units of a table, in f64, and those of a network, in f32.
//!
//! Column by column, z = (f(x) - mean) / deviation, computed in f64 and narrowed to f32 last: a
//! column of time stamps such as 1700000000 + i keeps its differences. The deviation is divided by
//! n; for a constant column it is 0, and z = f(x) - mean. The columns of a [sequence](crate::series)
//! have the statistics of their channel, over all places. With outliers clipped, x is first moved
//! into the interval of two quantiles.
//!
//! | [`Preprocess`] | f(x) | mean, deviation |
//! |---|---|---|
//! | `none` | x | 0, 1 |
//! | `standardize` | x | of x |
//! | `log1p-standardize`, `counts` | ln(1 + x) | of f(x) |
//! | `minmax` | x | the middle of the range, half of the range |
//! | `quantile` | the normal quantile of the share of values below x | 0, 1 |
//!
//! ```
//! use fm_data::{Columns, Preprocess, Table};
//! let table = Table::of(ndarray::array![[1_700_000_000.0], [1_700_000_001.0], [1_700_000_002.0]]);
//! let columns = Columns::of(&table, Preprocess::Standardize)?;
//! let scaled = columns.apply_table(&table)?; // a data set for training
//! assert_eq!(scaled.values[[1, 0]], 0.0);
//! assert!((scaled.values[[2, 0]] - 1.5f32.sqrt()).abs() < 1e-6);
//! let restored = columns.restore(&[0.0, 1.5f32.sqrt()]);
//! assert_eq!(restored[0], 1_700_000_001.0);
//! assert!((restored[1] - 1_700_000_002.0).abs() < 1e-6);
//! # Ok::<(), fm_data::DataError>(())
//! ```

use crate::quantiles::{from_normal, to_normal};
use crate::scaling::{Scaling, scaling};
use crate::series::Series;
use crate::{DataError, Preprocess, Table, error};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// Column means and standard deviations, stored with a model so that samples are in the table's
/// units. Deserialising checks that the parts match.
#[doc(alias = "StandardScaler")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Columns {
    /// The mean of each column, or the middle of its range.
    pub mean: Vec<f64>,
    /// The standard deviation of each column, or half of its range; 0 for a constant column, which
    /// stays constant.
    pub deviation: Vec<f64>,
    /// Whether they are statistics of ln(1 + x).
    pub log1p: bool,
    /// Whether values are whole numbers.
    pub whole: bool,
    /// Whether mean and deviation are those of the range.
    #[serde(default, skip_serializing_if = "is_false")]
    pub range: bool,
    /// The quantiles of each column, if it is made normal by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<Vec<f64>>,
    /// The interval into which the values of each column are moved first, if outliers are clipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<[f64; 2]>,
    /// Whether values that are restored are at least 0.
    #[serde(default, skip_serializing_if = "is_false")]
    pub non_negative: bool,
    /// Column names, if they are not just numbers.
    pub names: Vec<String>,
    /// The name of the column of classes, if the table has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The classes, with the number of rows of each.
    pub classes: Vec<(String, usize)>,
    /// The shape of a row, if rows are sequences; the statistics are then per channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
}

/// [`Columns`] as they are stored, not checked yet.
#[derive(Deserialize)]
struct Stored {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    #[serde(default)]
    log1p: bool,
    #[serde(default)]
    whole: bool,
    #[serde(default)]
    range: bool,
    #[serde(default)]
    quantiles: Vec<Vec<f64>>,
    #[serde(default)]
    limits: Vec<[f64; 2]>,
    #[serde(default)]
    non_negative: bool,
    #[serde(default)]
    label: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    classes: Vec<(String, usize)>,
    #[serde(default)]
    series: Option<Series>,
}

impl TryFrom<Stored> for Columns {
    type Error = DataError;

    fn try_from(stored: Stored) -> Result<Self, DataError> {
        let Stored { mean, deviation, log1p, whole, range, quantiles, limits, .. } = stored;
        let Stored { non_negative, label, names, classes, series, .. } = stored;
        let columns = Self {
            mean,
            deviation,
            log1p,
            whole,
            range,
            quantiles,
            limits,
            non_negative,
            names,
            label,
            classes,
            series,
        };
        columns.check()?;
        Ok(columns)
    }
}

impl Columns {
    /// The statistics of a table.
    ///
    /// # Errors
    /// [`DataError::Columns`] for a value of -1 or less if ln(1 + x) is wanted, and for values
    /// that are not finite or so large that their variance is not.
    #[doc(alias = "fit_transform")]
    #[doc(alias = "fit")]
    pub fn of(table: &Table, preprocess: Preprocess) -> Result<Self, DataError> {
        Self::clipped(table, preprocess, 0.0)
    }

    /// The statistics of a table without its outliers: each column is first clipped to its
    /// quantiles at `share` and 1 - `share`.
    ///
    /// # Errors
    /// As [`of`](Self::of); a share that is negative, or 0.5 or more.
    #[doc(alias = "winsorize")]
    pub fn clipped(table: &Table, preprocess: Preprocess, share: f64) -> Result<Self, DataError> {
        let Scaling { mean, deviation, quantiles, limits } = scaling(table, preprocess, share)?;
        let count = |k: usize| table.labels.iter().filter(|label| usize::from(**label) == k).count();
        Ok(Self {
            mean,
            deviation,
            log1p: preprocess.is_log1p(),
            whole: preprocess == Preprocess::Counts,
            range: preprocess == Preprocess::MinMax,
            quantiles,
            limits,
            non_negative: false,
            label: table.label.clone(),
            names: if table.has_names() { table.names.clone() } else { Vec::new() },
            classes: table.classes.iter().enumerate().map(|(k, name)| (name.clone(), count(k))).collect(),
            series: table.series,
        })
    }

    /// `dim` columns without names and without any transformation.
    pub fn unchanged(dim: usize) -> Self {
        let (mean, deviation) = (vec![0.0; dim], vec![1.0; dim]);
        let (log1p, whole, range, non_negative) = (false, false, false, false);
        let (quantiles, limits, names, label, classes) = Default::default();
        Self {
            mean,
            deviation,
            log1p,
            whole,
            range,
            quantiles,
            limits,
            non_negative,
            names,
            label,
            classes,
            series: None,
        }
    }

    /// Whether values are only shifted and scaled, so that densities are known in both units.
    pub fn is_affine(&self) -> bool {
        !self.log1p && self.quantiles.is_empty() && self.limits.is_empty()
    }

    /// The number of columns.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Checks that the parts match.
    ///
    /// # Errors
    /// [`DataError::Columns`] for lists of different lengths, means that are not finite, and
    /// deviations that are not finite or negative.
    pub fn check(&self) -> Result<(), DataError> {
        let dim = self.dim();
        let told = |problem: String| Err(refused(problem, "give the columns that were stored with the model"));
        if self.deviation.len() != dim || !(self.names.is_empty() || self.names.len() == dim) {
            let (deviations, names) = (self.deviation.len(), self.names.len());
            return told(format!("there are {dim} means, {deviations} deviations and {names} names"));
        }
        let fits = |(mean, deviation): (&f64, &f64)| mean.is_finite() && deviation.is_finite() && *deviation >= 0.0;
        if let Some(Series { length, channels }) = self.series.filter(|s| s.length.checked_mul(s.channels) != Some(dim))
        {
            return told(format!("sequences of {length} places with {channels} channels are not {dim} columns"));
        }
        let rises = |values: &[f64]| values.iter().all(|x| x.is_finite()) && values.is_sorted();
        let some = |count: usize| count == 0 || count == dim;
        let sorted = self.quantiles.iter().all(|q| rises(q)) && self.limits.iter().all(|limits| rises(limits));
        if !(some(self.quantiles.len()) && some(self.limits.len()) && sorted) {
            return told("their quantiles or limits are incomplete or do not rise".into());
        }
        match self.mean.iter().zip(&self.deviation).position(|pair| !fits(pair)) {
            Some(k) => told(format!("column {} has mean {} and deviation {}", k + 1, self.mean[k], self.deviation[k])),
            None => Ok(()),
        }
    }

    /// Rows (rows, dim) in the units of the network.
    ///
    /// # Errors
    /// [`DataError::Columns`] for another number of columns, and for the first value that is not
    /// finite in f32 after the transformation.
    #[doc(alias = "transform")]
    pub fn apply(&self, table: ArrayView2<'_, f64>) -> Result<Array2<f32>, DataError> {
        self.check()?;
        if table.ncols() != self.dim() {
            let problem = format!("the table has {} columns where {} are expected", table.ncols(), self.dim());
            return Err(refused(problem, "give a table of the same columns"));
        }
        let mut scaled = Array2::zeros(table.dim());
        for (row, (from, mut to)) in table.rows().into_iter().zip(scaled.rows_mut()).enumerate() {
            for (k, (x, z)) in from.iter().zip(to.iter_mut()).enumerate() {
                let value = self.transformed(k, *x) - self.mean[k];
                *z = (if self.deviation[k] > 0.0 { value / self.deviation[k] } else { value }) as f32;
                if !z.is_finite() {
                    let problem = format!("row {row}, column {} (from 0) has the value {x}, which gives {z}", k);
                    return Err(refused(problem, "scale the column down, standardize it, or leave out the row"));
                }
            }
        }
        Ok(scaled)
    }

    /// f(x) of column k.
    fn transformed(&self, k: usize, x: f64) -> f64 {
        // NaN stays, and is reported.
        let x = self.limits.get(k).map_or(x, |[low, high]| x.max(*low).min(*high) + 0.0 * x);
        match self.quantiles.get(k) {
            Some(quantiles) => to_normal(quantiles, x),
            None if self.log1p => x.ln_1p(),
            None => x,
        }
    }

    /// A table in the units of the network: a data set for training. Columns are taken by name
    /// where both have names, as [`Table::in_order`] describes. A note names columns with different
    /// values that are equal in f32.
    ///
    /// # Errors
    /// As [`apply`](Self::apply) and [`Table::in_order`].
    pub fn apply_table(&self, table: &Table) -> Result<Table<f32>, DataError> {
        let ordered = if self.names.is_empty() { None } else { Some(table.in_order(&self.names)?) };
        let table = ordered.as_ref().unwrap_or(table);
        let mut scaled = Table {
            names: table.names.clone(),
            values: self.apply(table.values.view())?,
            labels: table.labels.clone(),
            classes: table.classes.clone(),
            label: table.label.clone(),
            notes: table.notes.clone(),
            series: table.series,
        };
        // Whether f32 merges most neighbouring rows that differ in f64.
        let merged = |k: &usize| {
            let (x, z) = (table.values.column(*k), scaled.values.column(*k));
            let rows = 1..x.len();
            let differ: Vec<bool> = rows.filter(|r| x[*r] != x[r - 1]).map(|r| z[r] != z[r - 1]).collect();
            2 * differ.iter().filter(|kept| !**kept).count() > differ.len()
        };
        let merged: Vec<&String> = (0..self.dim()).filter(merged).filter_map(|k| table.names.get(k)).collect();
        if !merged.is_empty() {
            scaled.notes.push(format!(
                "column {}: most different values are equal in single precision; standardize the columns to keep them apart",
                error::some(&merged)
            ));
        }
        Ok(scaled)
    }

    /// Values of the network (rows of [`dim`](Self::dim) values) in the table's units; an incomplete
    /// last row is left out.
    #[doc(alias = "inverse_transform")]
    pub fn restore(&self, values: &[f32]) -> Vec<f64> {
        let rows = values.chunks_exact(self.dim().max(1));
        let restored = |(k, z): (usize, &f32)| {
            let value = f64::from(*z) * self.deviation[k] + self.mean[k];
            let restored = match (self.log1p, self.whole) {
                (false, _) => self.quantiles.get(k).map_or(value, |quantiles| from_normal(quantiles, value)),
                (true, false) => value.exp_m1().max(0.0),
                (true, true) => value.exp_m1().round().max(0.0),
            };
            if self.non_negative { restored.max(0.0) } else { restored }
        };
        rows.flat_map(|row| row.iter().enumerate().map(restored)).collect()
    }

    /// A description of the transformation.
    pub fn describe(&self) -> String {
        let each = if self.series.is_some() { "channel by channel" } else { "column by column" };
        let standard = format!("(x - mean) / deviation, {each}");
        let unchanged = || self.deviation.iter().all(|d| *d == 1.0) && self.mean.iter().all(|m| *m == 0.0);
        let scaled = match (self.log1p, self.whole) {
            (true, false) => format!("ln(1 + x), then {standard}"),
            (true, true) => format!("ln(1 + x) of counts, then {standard}"),
            _ if !self.quantiles.is_empty() => format!("to a normal distribution by quantiles, {each}"),
            _ if self.range => format!("to [-1, 1], {each}"),
            _ if unchanged() => "none".into(),
            _ => standard,
        };
        if self.limits.is_empty() { scaled } else { format!("outliers clipped, then {scaled}") }
    }

    /// The header line of a CSV file, if the columns have names, or if a column of classes follows.
    pub fn header(&self, with_class: bool) -> Option<String> {
        let named = !self.names.is_empty();
        let names = (0..self.dim()).map(|k| self.names.get(k).cloned().unwrap_or_else(|| (k + 1).to_string()));
        let label = if self.label.is_empty() { "class" } else { &self.label };
        let class = with_class.then(|| label.to_owned());
        (named || with_class).then(|| names.chain(class).map(|name| quoted(&name)).collect::<Vec<_>>().join(","))
    }
}

/// A field of a CSV file, quoted if it has to be.
pub fn quoted(field: &str) -> String {
    let plain = !field.contains([',', '"', '\n', '\r']) && field.trim() == field;
    if plain { field.into() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn refused(problem: String, remedy: &str) -> DataError {
    DataError::Columns { problem, remedy: remedy.into() }
}
