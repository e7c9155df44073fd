//! Conversion between rows of a table and the values of a network.

use fm_app::preprocess::Preprocess;
use fm_data::Table;
use ndarray::{Array1, Array2, Axis};
use serde::{Deserialize, Serialize};

/// Column means and standard deviations, stored with the model so that samples are in the table's
/// units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Columns {
    pub(crate) mean: Vec<f32>,
    /// 0 for a constant column, which stays constant.
    pub(crate) deviation: Vec<f32>,
    /// Whether they are statistics of ln(1 + x).
    #[serde(default)]
    pub(crate) log1p: bool,
    /// Whether values are integers.
    #[serde(default)]
    pub(crate) whole: bool,
    /// Column names, if they are not just numbers.
    #[serde(default)]
    pub(crate) names: Vec<String>,
    /// The classes, with the number of rows of each.
    #[serde(default)]
    pub(crate) classes: Vec<(String, usize)>,
}

impl Columns {
    pub(crate) fn of(table: &Table, preprocess: Preprocess) -> Self {
        let log1p = matches!(preprocess, Preprocess::Log1pStandardize | Preprocess::Counts);
        let values = if log1p { table.values.mapv(f32::ln_1p) } else { table.values.clone() };
        let dim = values.ncols();
        let (mean, deviation) = match preprocess {
            Preprocess::None => (Array1::zeros(dim), Array1::ones(dim)),
            _ => moments(&values),
        };
        let numbered = table.names.iter().zip(1..).all(|(name, k): (_, usize)| *name == k.to_string());
        let count = |k: usize| table.labels.iter().filter(|label| usize::from(**label) == k).count();
        Self {
            mean: mean.to_vec(),
            deviation: deviation.to_vec(),
            log1p,
            whole: preprocess == Preprocess::Counts,
            names: if numbered { Vec::new() } else { table.names.clone() },
            classes: table.classes.iter().enumerate().map(|(k, name)| (name.clone(), count(k))).collect(),
        }
    }

    /// Columns without any transformation.
    pub(crate) fn unchanged(dim: usize) -> Self {
        Self::of(&Table::of(Array2::zeros((1, dim))), Preprocess::None)
    }

    pub(crate) fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Converts the table to the units of the network.
    pub(crate) fn apply(&self, table: &mut Array2<f32>) {
        for mut row in table.rows_mut() {
            for ((x, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                let value = if self.log1p { x.ln_1p() } else { *x };
                *x = if *deviation > 0.0 { (value - mean) / deviation } else { value - mean };
            }
        }
    }

    /// Converts values of the network to the table's units.
    pub(crate) fn restore(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(self.dim().max(1)) {
            for ((x, mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
                let value = *x * deviation + mean;
                *x = match (self.log1p, self.whole) {
                    (false, _) => value,
                    (true, false) => value.exp_m1().max(0.0),
                    (true, true) => value.exp_m1().round().max(0.0),
                };
            }
        }
    }

    /// A description of the transformation.
    pub(crate) fn describe(&self) -> String {
        let standard = "(x - mean) / deviation, column by column";
        match (self.log1p, self.whole) {
            (false, _) if self.deviation.iter().all(|d| *d == 1.0) && self.mean.iter().all(|m| *m == 0.0) => {
                "none".into()
            }
            (false, _) => standard.into(),
            (true, false) => format!("ln(1 + x), then {standard}"),
            (true, true) => format!("ln(1 + x) of counts, then {standard}"),
        }
    }

    /// The header line of a CSV file, if the columns have names.
    pub(crate) fn header(&self, with_class: bool) -> Option<String> {
        let named = !self.names.is_empty();
        let names = (1..=self.dim()).map(|k| if named { self.names[k - 1].clone() } else { k.to_string() });
        let class = with_class.then(|| "class".to_owned());
        (named || with_class).then(|| names.chain(class).map(|name| quoted(&name)).collect::<Vec<_>>().join(","))
    }
}

/// Quotes a field of a CSV file.
pub(crate) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.into() }
}

/// Means and standard deviations (divided by n), in double precision.
fn moments(table: &Array2<f32>) -> (Array1<f32>, Array1<f32>) {
    let table = table.mapv(f64::from);
    let mean = table.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(table.ncols()));
    let deviation = table.std_axis(Axis(0), 0.0);
    (mean.mapv(|m| m as f32), deviation.mapv(|s| s as f32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_is_done_to_a_table_is_undone() {
        let table = Table::of(array![[0.0f32, 7.0, 3.0], [5.0, 7.0, 1.0], [100.0, 7.0, 0.0]]);
        for preprocess in [Preprocess::None, Preprocess::Standardize, Preprocess::Log1pStandardize, Preprocess::Counts]
        {
            let columns = Columns::of(&table, preprocess);
            let mut values = table.values.clone();
            columns.apply(&mut values);
            if preprocess != Preprocess::None {
                let centred = values.mean_axis(Axis(0)).unwrap();
                assert!(centred.iter().all(|m| m.abs() < 1e-6), "{preprocess}: {centred}");
            }
            let mut values = values.into_raw_vec_and_offset().0;
            columns.restore(&mut values);
            assert!(
                values.iter().zip(&table.values).all(|(a, b)| (a - b).abs() < 2e-5 * (1.0 + b)),
                "{preprocess}: {values:?}"
            );
        }
        let counts = Columns::of(&table, Preprocess::Counts);
        let mut drawn = vec![-9.0, 0.3, 0.1];
        counts.restore(&mut drawn);
        assert_eq!((drawn[0], drawn[1], drawn[2].fract()), (0.0, 7.0, 0.0));
    }

    #[test]
    fn names_and_classes_travel_along() {
        let table = Table {
            names: vec!["a".into(), "b, c".into()],
            values: array![[1.0, 2.0], [3.0, 4.0]],
            labels: vec![1, 1],
            classes: vec!["x".into(), "y".into()],
        };
        let columns = Columns::of(&table, Preprocess::default());
        assert_eq!(columns.header(true).unwrap(), "a,\"b, c\",class");
        assert_eq!(columns.classes, [("x".to_owned(), 0), ("y".to_owned(), 2)]);
        assert_eq!(Columns::unchanged(2).header(false), None);
        let old: Columns = serde_json::from_str(r#"{"mean":[1.0],"deviation":[2.0]}"#).unwrap();
        assert!(!old.log1p && old.names.is_empty());
    }
}
