//! Conversion between the units of a table, in f64, and those of a network, in f32.
//!
//! Column by column, z = (f(x) - mean) / deviation with f(x) = x or ln(1 + x), computed in f64 and
//! narrowed to f32 last: a column of time stamps such as 1700000000 + i keeps its differences. The
//! deviation is divided by n; for a constant column it is 0, and z = f(x) - mean. The columns of a
//! [sequence](crate::series) have the statistics of their channel, over all places.
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

use crate::series::Series;
use crate::{DataError, Preprocess, Table, error};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, s};
use serde::{Deserialize, Serialize};

/// Column means and standard deviations, stored with a model so that samples are in the table's
/// units. Deserialising checks that the parts match.
#[doc(alias = "StandardScaler")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Columns {
    /// The mean of each column.
    pub mean: Vec<f64>,
    /// The standard deviation of each column; 0 for a constant column, which stays constant.
    pub deviation: Vec<f64>,
    /// Whether they are statistics of ln(1 + x).
    pub log1p: bool,
    /// Whether values are whole numbers.
    pub whole: bool,
    /// Column names, if they are not just numbers.
    pub names: Vec<String>,
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
    names: Vec<String>,
    #[serde(default)]
    classes: Vec<(String, usize)>,
    #[serde(default)]
    series: Option<Series>,
}

impl TryFrom<Stored> for Columns {
    type Error = DataError;

    fn try_from(stored: Stored) -> Result<Self, DataError> {
        let Stored { mean, deviation, log1p, whole, names, classes, series } = stored;
        let columns = Self { mean, deviation, log1p, whole, names, classes, series };
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
    #[doc(alias = "fit")]
    pub fn of(table: &Table, preprocess: Preprocess) -> Result<Self, DataError> {
        let dim = table.values.ncols();
        let log1p = preprocess.is_log1p();
        let mut moments = Vec::new();
        if preprocess == Preprocess::None {
            moments.resize(dim, (0.0, 1.0));
        }
        for k in moments.len()..dim {
            let column = table.values.column(k);
            let name = || format!("column {}", table.names.get(k).map_or("", |name| name));
            if let Some(least) = column.iter().find(|x| log1p && **x <= -1.0) {
                return Err(refused(
                    format!("{} has the value {least}, which has no ln(1 + x)", name()),
                    "standardize it instead",
                ));
            }
            let (mean, deviation) = match table.series {
                // All places of a channel have one scale.
                Some(Series { channels, .. }) if k >= channels => moments[k % channels],
                Some(Series { channels, .. }) => {
                    let channel = table.values.slice(s![.., k..; channels]);
                    mean_deviation(Array1::from_iter(channel.iter().copied()).view(), log1p)
                }
                None => mean_deviation(column, log1p),
            };
            if !(mean.is_finite() && deviation.is_finite()) {
                let problem = format!("{} has values that are not finite or too large to be squared", name());
                return Err(refused(problem, "scale the column down, or leave it out"));
            }
            moments.push((mean, deviation));
        }
        let (mean, deviation) = moments.into_iter().unzip();
        let count = |k: usize| table.labels.iter().filter(|label| usize::from(**label) == k).count();
        Ok(Self {
            mean,
            deviation,
            log1p,
            whole: preprocess == Preprocess::Counts,
            names: if table.has_names() { table.names.clone() } else { Vec::new() },
            classes: table.classes.iter().enumerate().map(|(k, name)| (name.clone(), count(k))).collect(),
            series: table.series,
        })
    }

    /// `dim` columns without names and without any transformation.
    pub fn unchanged(dim: usize) -> Self {
        let (mean, deviation) = (vec![0.0; dim], vec![1.0; dim]);
        Self { mean, deviation, log1p: false, whole: false, names: Vec::new(), classes: Vec::new(), series: None }
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
                let value = (if self.log1p { x.ln_1p() } else { *x }) - self.mean[k];
                *z = (if self.deviation[k] > 0.0 { value / self.deviation[k] } else { value }) as f32;
                if !z.is_finite() {
                    let problem = format!("row {row}, column {} (from 0) has the value {x}, which gives {z}", k);
                    return Err(refused(problem, "scale the column down, standardize it, or leave out the row"));
                }
            }
        }
        Ok(scaled)
    }

    /// A table in the units of the network: a data set for training. Columns are taken by name
    /// where both have names, as [`Table::in_order`] describes. A note names columns whose values
    /// f32 cannot tell apart.
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
        let columns = || self.mean.iter().zip(&self.deviation);
        let restored = |(z, (mean, deviation)): (&f32, (&f64, &f64))| {
            let value = f64::from(*z) * deviation + mean;
            match (self.log1p, self.whole) {
                (false, _) => value,
                (true, false) => value.exp_m1().max(0.0),
                (true, true) => value.exp_m1().round().max(0.0),
            }
        };
        rows.flat_map(|row| row.iter().zip(columns()).map(restored)).collect()
    }

    /// A description of the transformation.
    pub fn describe(&self) -> String {
        let each = if self.series.is_some() { "channel by channel" } else { "column by column" };
        let standard = format!("(x - mean) / deviation, {each}");
        match (self.log1p, self.whole) {
            (false, _) if self.deviation.iter().all(|d| *d == 1.0) && self.mean.iter().all(|m| *m == 0.0) => {
                "none".into()
            }
            (false, _) => standard,
            (true, false) => format!("ln(1 + x), then {standard}"),
            (true, true) => format!("ln(1 + x) of counts, then {standard}"),
        }
    }

    /// The header line of a CSV file, if the columns have names, or if a column of classes follows.
    pub fn header(&self, with_class: bool) -> Option<String> {
        let named = !self.names.is_empty();
        let names = (0..self.dim()).map(|k| self.names.get(k).cloned().unwrap_or_else(|| (k + 1).to_string()));
        let class = with_class.then(|| "class".to_owned());
        (named || with_class).then(|| names.chain(class).map(|name| quoted(&name)).collect::<Vec<_>>().join(","))
    }
}

/// A field of a CSV file, quoted if it has to be.
pub fn quoted(field: &str) -> String {
    let plain = !field.contains([',', '"', '\n', '\r']) && field.trim() == field;
    if plain { field.into() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
}

fn refused(problem: String, remedy: &str) -> DataError {
    DataError::Columns { problem, remedy: remedy.into() }
}

/// Mean and standard deviation (divided by n) of a column, or of ln(1 + x).
fn mean_deviation(column: ArrayView1<'_, f64>, log1p: bool) -> (f64, f64) {
    let values = || column.iter().map(|x| if log1p { x.ln_1p() } else { *x });
    let Some(first) = values().next() else { return (0.0, 0.0) };
    if values().all(|x| x == first) {
        return (first, 0.0);
    }
    let n = column.len() as f64;
    // Differences from the first value keep the digits of values with a large offset.
    let mean = first + values().map(|x| x - first).sum::<f64>() / n;
    let variance = values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_is_done_to_a_table_is_undone() {
        let table = Table::of(array![[0.0, 7.0, 3.0], [5.0, 7.0, 1.0], [100.0, 7.0, 0.0]]);
        for preprocess in [Preprocess::None, Preprocess::Standardize, Preprocess::Log1pStandardize, Preprocess::Counts]
        {
            let columns = Columns::of(&table, preprocess).unwrap();
            let values = columns.apply(table.values.view()).unwrap();
            if preprocess != Preprocess::None {
                let centred = values.mean_axis(ndarray::Axis(0)).unwrap();
                assert!(centred.iter().all(|m| m.abs() < 1e-6), "{preprocess}: {centred}");
            }
            let restored = columns.restore(values.as_slice().unwrap());
            let close = restored.iter().zip(&table.values).all(|(a, b)| (a - b).abs() < 2e-5 * (1.0 + b));
            assert!(close, "{preprocess}: {restored:?}");
        }
        let counts = Columns::of(&table, Preprocess::Counts).unwrap();
        let drawn = counts.restore(&[-9.0, 0.3, 0.1]);
        assert_eq!((drawn[0], drawn[1], drawn[2].fract()), (0.0, 7.0, 0.0));
    }

    #[test]
    fn large_offsets_keep_their_differences() {
        for offset in [1.7e9, 1.7e12, -4e8] {
            let table = Table::of(Array2::from_shape_fn((1000, 1), |(i, _)| offset + i as f64));
            let columns = Columns::of(&table, Preprocess::Standardize).unwrap();
            assert!((columns.deviation[0] - ((1e6 - 1.0f64) / 12.0).sqrt()).abs() < 1e-6, "{columns:?}");
            let scaled = columns.apply_table(&table).unwrap();
            assert!(scaled.notes.is_empty());
            let restored = columns.restore(scaled.values.as_slice().unwrap());
            assert!(restored.iter().zip(&table.values).all(|(a, b)| (a - b).abs() < 1e-3), "{offset}");
            let plain = Columns::of(&table, Preprocess::None).unwrap().apply_table(&table).unwrap();
            assert!(plain.notes[0].contains("single precision"), "{:?}", plain.notes);
        }
    }

    #[test]
    fn values_that_have_no_place_are_errors() {
        let of = |values, preprocess| Columns::of(&Table::of(values), preprocess);
        assert!(of(array![[0.5], [-1.0]], Preprocess::Counts).unwrap_err().to_string().contains("value -1"));
        assert!(of(array![[1e300], [-1e300]], Preprocess::Standardize).unwrap_err().to_string().contains("too large"));
        assert!(of(array![[f64::NAN], [1.0]], Preprocess::Standardize).is_err());
        let unchanged = Columns::unchanged(1);
        assert!(unchanged.apply(array![[1e39]].view()).unwrap_err().to_string().contains("gives inf"));
        assert!(unchanged.apply(array![[1.0, 2.0]].view()).unwrap_err().to_string().contains("has 2 columns"));
        let constant = of(array![[0.1], [0.1], [0.1]], Preprocess::Standardize).unwrap();
        assert_eq!((constant.mean[0], constant.deviation[0]), (0.1, 0.0));
        assert_eq!(constant.restore(&[5.0]), [0.1]);
    }

    #[test]
    fn names_and_classes_are_stored_and_followed() {
        let mut table = Table::of(array![[1.0, 2.0], [3.0, 4.0]]);
        table.names = vec!["a".into(), "b, c".into()];
        (table.labels, table.classes) = (vec![1, 1], vec!["x".into(), "y".into()]);
        let columns = Columns::of(&table, Preprocess::default()).unwrap();
        assert_eq!(columns.header(true).unwrap(), "a,\"b, c\",class");
        assert_eq!(columns.classes, [("x".to_owned(), 0), ("y".to_owned(), 2)]);
        assert_eq!(Columns::unchanged(2).header(false), None);
        let turned = table.in_order(&["b, c".into(), "a".into()]).unwrap();
        assert_eq!(columns.apply_table(&turned).unwrap().values, columns.apply_table(&table).unwrap().values);
        let again: Columns = serde_json::from_str(&serde_json::to_string(&columns).unwrap()).unwrap();
        assert_eq!(again, columns);
    }

    #[test]
    fn stored_columns_of_older_runs_are_read_and_broken_ones_refused() {
        let old: Columns = serde_json::from_str(r#"{"mean":[1.5],"deviation":[2.0]}"#).unwrap();
        assert_eq!((old.mean[0], old.log1p, old.names.is_empty()), (1.5, false, true));
        for broken in [
            r#"{"mean":[1.0],"deviation":[]}"#,
            r#"{"mean":[1.0],"deviation":[-1.0]}"#,
            r#"{"mean":[1.0],"deviation":[1.0],"names":["a","b"]}"#,
            r#"{"mean":[null],"deviation":[1.0]}"#,
        ] {
            assert!(serde_json::from_str::<Columns>(broken).is_err(), "{broken}");
        }
    }
}
