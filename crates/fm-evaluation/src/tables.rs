//! Distances between samples and real rows of a table.
//!
//! The exact Wasserstein distances come from an optimal assignment of at most 2000 rows per side.
//! They decrease slowly with that number, so compare them only for equal numbers.
//!
//! ```
//! use fm_evaluation::tables::{How, spaced};
//! let x = ndarray::Array2::from_shape_fn((40, 2), |(i, j)| (i * (j + 3) % 7) as f32);
//! let how = How { directions: 20, bandwidth: Some(1.0), components: None };
//! let found = how.between(x.view(), (&x + 3.0).view());
//! let exact = found.0[3].value.clone().unwrap_or_default();
//! assert!(found.0[3].key == "wasserstein_1" && (exact - 18f64.sqrt()).abs() < 1e-5);
//! assert_eq!(spaced(x.view(), 4).row(1), x.row(10));
//! ```

use fm_data::Columns;
use fm_metrics::columns::{Column, Compared};
use fm_metrics::energy::energy_distance;
use fm_metrics::frechet;
use fm_metrics::mmd::mmd;
use fm_metrics::moments::Moments;
use fm_metrics::nearest::copy_rate;
use fm_metrics::series::{self, Apart};
use fm_metrics::sliced::sliced_wasserstein;
use fm_metrics::two_sample::{Components, nearest_neighbour_accuracy};
use fm_ot::{assignment::assign, cost::Metric};
use fm_pictures::{Layer, Plane, Point, ink, save_picture, side_by_side};
use fm_terminal::println;
use ndarray::{Array2, ArrayView2, Axis};
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::Path;

/// A distance between two tables, or the reason why there is none.
#[derive(Debug, Clone)]
pub struct Distance {
    /// Its name.
    pub name: &'static str,
    /// Its name in the JSON file.
    pub key: &'static str,
    /// The distance.
    pub value: Result<f64, String>,
}

/// Distances between two tables.
#[derive(Debug, Clone)]
pub struct Distances(pub Vec<Distance>);

/// Settings of the distances.
#[derive(Debug)]
pub struct How<'a> {
    /// Directions of the sliced Wasserstein distances.
    pub directions: usize,
    /// The bandwidth of MMD; MMD measures the spread itself if there is none.
    pub bandwidth: Option<f64>,
    /// The principal components of the two-sample test; none takes the columns themselves.
    pub components: Option<&'a Components>,
}

/// Maximum number of rows per side for the two-sample test and an assignment.
const TESTED: usize = 2000;
/// The share of samples that copy a row that was trained on, which is also printed.
pub fn copies(samples: ArrayView2<'_, f32>, trained: ArrayView2<'_, f32>) -> Option<f64> {
    match copy_rate(samples, trained) {
        Ok(found) => {
            println!(
                "copies    {:.1} %: nearer to a row that was trained on than the 1st percentile among those rows themselves",
                100.0 * found.rate
            );
            Some(found.rate)
        }
        Err(reason) => {
            println!("copies    left out: {reason}");
            None
        }
    }
}

/// Prints how the columns' statistics correlate, and draws them if a file is named.
///
/// # Errors
/// A picture that cannot be written.
pub fn show_columns(own: &Result<Compared, String>, dim: usize, drawn: Option<&Path>) -> anyhow::Result<()> {
    let own = match own {
        Ok(own) => own,
        Err(reason) => {
            println!("columns   left out: {reason}");
            return Ok(());
        }
    };
    let Compared { mean_correlation, variance_correlation, .. } = own;
    if dim > 2 {
        println!(
            "columns   correlation of their means {mean_correlation:.4}, of their variances {variance_correlation:.4}"
        );
    }
    if let Some(path) = drawn {
        picture(path, own)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

impl How<'_> {
    /// All distances between two tables in the units of a network.
    pub fn between(&self, x: ArrayView2<'_, f32>, real: ArrayView2<'_, f32>) -> Distances {
        let sliced = |p| sliced_wasserstein(x, real, p, self.directions, 0);
        let exact = |metric| wasserstein(x, real, metric);
        let some = |z: ArrayView2<'_, f32>| spaced(z, z.nrows().min(TESTED));
        let accuracy = || match self.components {
            None => nearest_neighbour_accuracy(some(x).view(), some(real).view()),
            Some(c) => nearest_neighbour_accuracy(c.coordinates(x)?.view(), c.coordinates(real)?.view()),
        };
        Distances(vec![
            Distance::of("energy distance", "energy_distance", energy_distance(x, real)),
            Distance::of("sliced Wasserstein-1", "sliced_wasserstein_1", sliced(1)),
            Distance::of("sliced Wasserstein-2", "sliced_wasserstein_2", sliced(2)),
            Distance::of("Wasserstein-1, exact", "wasserstein_1", exact(Metric::Euclidean)),
            Distance::of("Wasserstein-2, exact", "wasserstein_2", exact(Metric::SquaredEuclidean).map(f64::sqrt)),
            Distance::of("MMD^2", "mmd", mmd(x, real, self.bandwidth)),
            Distance::of("1-NN accuracy (.5 is best)", "nearest_neighbour_accuracy", accuracy()),
        ])
    }
}

impl Distance {
    fn of(name: &'static str, key: &'static str, value: Result<f64, impl Display>) -> Self {
        Self { name, key, value: value.map_err(|reason| reason.to_string()) }
    }
}

impl Distances {
    /// The values by key, or the reasons why there are none.
    pub fn json(&self) -> Value {
        let value =
            |d: &Distance| d.value.as_ref().map_or_else(|reason| json!({ "left_out": reason }), |v| (*v).into());
        Value::Object(self.0.iter().map(|d| (d.key.to_owned(), value(d))).collect())
    }
}

/// `n` evenly spaced rows.
pub fn spaced(table: ArrayView2<'_, f32>, n: usize) -> Array2<f32> {
    table.select(Axis(0), &(0..n).map(|i| i * table.nrows() / n.max(1)).collect::<Vec<_>>())
}

/// The mean cost of the optimal assignment between equal numbers of rows.
fn wasserstein(x: ArrayView2<'_, f32>, real: ArrayView2<'_, f32>, metric: Metric) -> anyhow::Result<f64> {
    let n = x.nrows().min(real.nrows()).min(TESTED);
    let cost = metric.matrix(spaced(x, n).view(), spaced(real, n).view())?;
    Ok(assign(cost.view())?.cost / n as f64)
}

/// A line per distance, with a column for each set.
pub fn table(sets: &[(String, &Distances)]) -> String {
    let width = |k: usize| if k == 0 { 12 } else { 16 };
    let number = |d: &Distance| d.value.as_ref().map_or_else(|_| "-".to_owned(), |value| format!("{value:.5}"));
    let mut text = format!("{:28}", "");
    sets.iter().enumerate().for_each(|(k, (name, _))| text += &format!("{name:>0$}", width(k)));
    for (k, distance) in sets.first().into_iter().flat_map(|(_, first)| first.0.iter().enumerate()) {
        text += &format!("\n{:28}", distance.name);
        let of_sets = || sets.iter().filter_map(|(_, distances)| distances.0.get(k));
        of_sets().enumerate().for_each(|(column, d)| text += &format!("{:>1$}", number(d), width(column)));
        let reason = of_sets().find_map(|d| d.value.as_ref().err());
        text += &reason.map_or_else(String::new, |reason| format!("  left out: {reason}"));
    }
    text
}

/// Rows of the Gaussian that has the mean and the covariance of the training rows: of windows of a
/// series, a Gaussian process.
///
/// # Errors
/// Too few training rows.
pub fn gaussian(trained: ArrayView2<'_, f32>, rows: usize, seed: u64) -> anyhow::Result<Array2<f32>> {
    let mut moments = Moments::like(trained)?;
    moments.add(trained)?;
    Ok(frechet::draw(&moments.gaussian()?, rows, seed)?.mapv(|v| v as f32))
}

/// Prints how far the autocorrelation and the spectrum of samples are from those of held-out
/// sequences, and those of training sequences beside them. Returns both as JSON.
///
/// # Errors
/// Rows that are no sequences of this length.
pub fn sequences(
    length: usize,
    samples: &Array2<f32>,
    real: &Array2<f32>,
    trained: &Array2<f32>,
) -> anyhow::Result<Value> {
    let wide = |rows: &Array2<f32>| rows.mapv(f64::from);
    let apart = |rows: &Array2<f32>| series::compare(wide(rows).view(), wide(real).view(), length);
    let (own, floor) = (apart(samples)?, apart(trained)?);
    println!(
        "sequences autocorrelation {:.4} apart (rows trained on: {:.4}), spectrum {:.2} dB ({:.2} dB)",
        own.autocorrelation, floor.autocorrelation, own.spectrum, floor.spectrum
    );
    let json = |apart: Apart| json!({ "autocorrelation": apart.autocorrelation, "spectrum": apart.spectrum });
    Ok(json!({ "samples": json(own), "trained": json(floor) }))
}

/// A plot of each column's mean and variance, samples against real rows: the points lie on the
/// diagonal if they agree.
fn picture(path: &Path, compared: &Compared) -> anyhow::Result<()> {
    let plane = |title: &str, of: fn(&Column) -> f64| {
        let log = |column: &Column| of(column).abs().ln_1p() as f32;
        let dots: Vec<Point> = compared.real.iter().map(log).zip(compared.samples.iter().map(log)).collect();
        let reach = dots.iter().fold(1e-3f32, |most, p| most.max(p.0).max(p.1)) * 1.05;
        let diagonal = Layer::Paths(vec![vec![(0.0, 0.0), (reach, reach)]], ink::FIELD);
        Plane {
            title: title.into(),
            span: (0.0, reach),
            layers: vec![diagonal, Layer::Points(String::new(), dots, ink::SAMPLES)],
        }
    };
    let planes = [plane("means: real, samples", |c| c.mean), plane("variances: real, samples", |c| c.variance)];
    save_picture(path, &side_by_side(&planes)?)
}

/// Mean and variance of each column, of samples and of real rows.
pub fn statistics(columns: &Columns, compared: &Compared) -> Vec<Value> {
    let name = |k: usize| columns.names.get(k).cloned().unwrap_or_else(|| (k + 1).to_string());
    let of = |c: &Column| json!({ "mean": c.mean, "variance": c.variance });
    let both = compared.samples.iter().zip(&compared.real).enumerate();
    both.map(|(k, (a, b))| json!({ "column": name(k), "samples": of(a), "real": of(b) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    /// The distance between the means bounds the cost of every plan from below.
    #[test]
    fn a_shifted_cloud_is_as_far_as_it_was_shifted() {
        let x = Array2::from_shape_fn((300, 2), |(i, j)| ((i * 7919 + j * 104_729) % 1000) as f32 / 100.0);
        let y = (&x + &array![3.0f32, 4.0]).slice(s![..;-1, ..]).to_owned();
        let exact = |metric| wasserstein(x.view(), y.view(), metric).unwrap();
        assert!((exact(Metric::Euclidean) - 5.0).abs() < 1e-5);
        assert!((exact(Metric::SquaredEuclidean).sqrt() - 5.0).abs() < 1e-5);
    }
}
